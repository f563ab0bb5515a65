// Package lexer reads the SQL of modules as words, by the rules of MariaDB with ANSI_QUOTES and NO_BACKSLASH_ESCAPES:
// "a" is a name, and a backslash is a character like any other. What it does not know is refused: executable comments,
// variables, names with a $, and characters beyond ASCII outside of texts and quoted names.
package lexer

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// textMax bounds a statement.
const textMax = 16 << 10

// Kind is what a token is.
type Kind uint8

// The kinds.
const (
	Word      Kind = iota + 1 // a word or a name without quotes
	Name                      // a name in quotes, without them
	Text                      // a text, without its quotes
	Number                    // 1, 1.5, .5, 1e10
	Bytes                     // x'00', 0x00, b'1' or 0b1, in lower case
	Parameter                 // $1
	Symbol                    // an operator or a mark
)

// Token is a word of SQL.
type Token struct {
	Kind  Kind
	Text  string // see the kinds
	Index int    // of a parameter, from 1
	Glued bool   // it follows the one before without a blank
}

// Is reports whether the token is this symbol.
func (t Token) Is(symbol string) bool { return t.Kind == Symbol && t.Text == symbol }

// Shown is the token for an error.
func (t Token) Shown() string {
	switch t.Kind {
	case Text:
		return fmt.Sprintf("the text '%.40s'", t.Text)
	case Name:
		return fmt.Sprintf("the name %.40q", t.Text)
	case Parameter:
		return "$" + strconv.Itoa(t.Index)
	}
	return fmt.Sprintf("%.40s", t.Text)
}

// Read reads a text.
//
// # Errors
//
// The text says what is wrong, and goes on from a name such as `write "total"`.
func Read(sql string) ([]Token, error) {
	if len(sql) > textMax {
		return nil, fmt.Errorf("has %d bytes, a statement has at most %d", len(sql), textMax)
	}
	if strings.ContainsRune(sql, 0) || !utf8.ValidString(sql) {
		return nil, errors.New("contains a NUL character, or is not UTF-8")
	}
	r := reader{rest: sql}
	for r.blanks(); r.err == nil && r.rest != ""; r.blanks() {
		r.token()
	}
	return r.tokens, r.err
}

// reader is a text with the tokens before it.
type reader struct {
	rest   string
	tokens []Token
	apart  bool // a blank or a comment comes before rest
	err    error
}

func (r *reader) refuse(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

// add takes a token of so many bytes.
func (r *reader) add(length int, t Token) {
	t.Glued = !r.apart && len(r.tokens) > 0
	r.tokens = append(r.tokens, t)
	r.rest, r.apart = r.rest[length:], false
}

const (
	blanks  = " \t\n\v\f\r"
	digits  = "0123456789"
	letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
)

// span is how many bytes at the beginning of a text are among chars.
func span(text, chars string) int {
	for at := range len(text) {
		if strings.IndexByte(chars, text[at]) < 0 {
			return at
		}
	}
	return len(text)
}

// blanks takes white space and comments.
func (r *reader) blanks() {
	for r.err == nil {
		length := span(r.rest, blanks)
		switch after := r.rest[length:]; {
		case length > 0:
		case strings.HasPrefix(after, "/*"):
			length = r.comment()
		case strings.HasPrefix(after, "--"):
			if len(after) > 2 && strings.IndexByte(blanks, after[2]) < 0 {
				r.refuse("has -- without a blank behind it, which MariaDB does not take for a comment")
				return
			}
			length = lineOf(after)
		case strings.HasPrefix(after, "#"):
			length = lineOf(after)
		default:
			return
		}
		r.rest, r.apart = r.rest[length:], true
	}
}

// lineOf is the length of a text up to the end of its line. A carriage return does not end a comment.
func lineOf(text string) int {
	if end := strings.IndexByte(text, '\n'); end >= 0 {
		return end
	}
	return len(text)
}

func (r *reader) comment() (length int) {
	body := r.rest[2:]
	switch end := strings.Index(body, "*/"); {
	case strings.HasPrefix(body, "!"), strings.HasPrefix(body, "M!"), strings.HasPrefix(body, "m!"),
		strings.HasPrefix(body, "+"):
		r.refuse("has a comment that MariaDB runs: /*%.2s", body)
		return 0
	case end < 0:
		r.refuse("has a comment that does not end")
		return 0
	default:
		return end + 4
	}
}

func (r *reader) token() {
	switch c := r.rest[0]; {
	case c == '\'':
		r.quoted(Text)
	case c == '`' || c == '"':
		r.quoted(Name)
	case c == '$':
		r.parameter()
	case strings.IndexByte(digits, c) >= 0, c == '.' && span(r.rest[1:], digits) > 0 && !r.afterName():
		r.number()
	case strings.IndexByte(letters, c) >= 0:
		r.word()
	default:
		r.symbol()
	}
}

// afterName reports whether a dot belongs to a name.
func (r *reader) afterName() bool {
	if len(r.tokens) == 0 {
		return false
	}
	last := r.tokens[len(r.tokens)-1].Kind
	return last == Word || last == Name
}

// quoted takes a text or a name, in which the quote is doubled.
func (r *reader) quoted(kind Kind) {
	quote := r.rest[:1]
	var value strings.Builder
	for at := 1; ; {
		end := strings.Index(r.rest[at:], quote)
		if end < 0 {
			r.refuse("has a %s that does not end", map[Kind]string{Text: "text", Name: "name in quotes"}[kind])
			return
		}
		value.WriteString(r.rest[at : at+end])
		if at += end + 1; !strings.HasPrefix(r.rest[at:], quote) {
			if kind == Name {
				r.checkName(value.String())
			}
			r.add(at, Token{Kind: kind, Text: value.String()})
			return
		}
		value.WriteString(quote)
		at++
	}
}

// nameMax is how many characters a name has.
const nameMax = 64

func (r *reader) checkName(name string) {
	switch {
	case name == "" || utf8.RuneCountInString(name) > nameMax || strings.HasSuffix(name, " "):
		r.refuse("has the name %.80q: a name has 1 to %d characters, and no blank at its end", name, nameMax)
	case strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c == '$' || c > 0xffff }):
		r.refuse("has the name %.80q: a name has no control characters, no $, and none beyond U+FFFF", name)
	}
}

// parameter takes $1.
func (r *reader) parameter() {
	length := 1 + span(r.rest[1:], digits)
	number, err := strconv.Atoi(r.rest[1:length])
	if err != nil || number < 1 || number > parametersMax || r.rest[1] == '0' || r.wordAt(length) {
		r.refuse("has %.20q: parameters are $1, $2, …, without casts", r.rest[:max(length, 1)])
		return
	}
	r.add(length, Token{Kind: Parameter, Index: number})
}

// parametersMax is more than a declaration has.
const parametersMax = 10_000

// wordAt reports whether a word, a name or a number goes on at a place.
func (r *reader) wordAt(at int) bool {
	return at < len(r.rest) && (strings.IndexByte(letters+digits+"$'\"`", r.rest[at]) >= 0 || r.rest[at] >= utf8.RuneSelf)
}

func (r *reader) number() {
	if r.hexadecimal() {
		return
	}
	length := span(r.rest, digits)
	if strings.HasPrefix(r.rest[length:], ".") {
		length += 1 + span(r.rest[length+1:], digits)
	}
	if span(r.rest[length:], "eE") == 1 {
		sign := length + 1 + min(span(r.rest[length+1:], "+-"), 1)
		if exponent := span(r.rest[sign:], digits); exponent > 0 {
			length = sign + exponent
		}
	}
	if r.wordAt(length) || strings.HasPrefix(r.rest[length:], ".") {
		r.refuse("has %.20q, which is no number", r.rest)
		return
	}
	r.add(length, Token{Kind: Number, Text: r.rest[:length]})
}

// hexadecimal takes 0x41 and 0b01.
func (r *reader) hexadecimal() bool {
	if !strings.HasPrefix(r.rest, "0x") && !strings.HasPrefix(r.rest, "0b") {
		return false
	}
	length := 2 + span(r.rest[2:], hexadecimals)
	if r.wordAt(length) {
		r.refuse("has %.20q, which is no number", r.rest)
	}
	r.bytes(length, r.rest[2:length])
	return true
}

const hexadecimals = digits + "abcdefABCDEF"

// bytes takes a constant of bytes, in hexadecimal or in binary digits.
func (r *reader) bytes(length int, value string) {
	text := strings.ToLower(r.rest[:length])
	switch {
	case strings.HasPrefix(strings.TrimPrefix(text, "0"), "x"):
		if len(value)%2 != 0 || span(value, hexadecimals) < len(value) || text == "0x" {
			r.refuse("has %.20q: bytes are pairs of hexadecimal digits", text)
		}
	case value == "" || span(value, "01") < len(value) || len(value) > 64:
		r.refuse("has %.20q: bits are 1 to 64 of 0 and 1", text)
	}
	r.add(length, Token{Kind: Bytes, Text: text})
}

func (r *reader) word() {
	length := span(r.rest, letters+digits)
	word := r.rest[:length]
	after := r.rest[length:]
	if strings.HasPrefix(after, "'") && length == 1 && strings.Contains("xXbB", word) {
		end := strings.IndexByte(after[1:], '\'')
		if end < 0 {
			r.refuse("has a text that does not end")
			return
		}
		r.bytes(length+end+2, after[1:end+1])
		return
	}
	if strings.HasPrefix(after, "$") || after != "" && after[0] >= utf8.RuneSelf {
		r.refuse("has the name %.20q: one with other characters than A to Z, digits and _ is written in quotes", r.rest)
		return
	}
	r.add(length, Token{Kind: Word, Text: word})
}

// symbols are the operators and marks, longer ones first.
var symbols = []string{
	"<=>", "->>", "<>", "!=", "<=", ">=", "<<", ">>", "||", "&&", "->", ":=",
	"(", ")", ",", ".", ";", "*", "+", "-", "/", "%", "=", "<", ">", "!", "~", "^", "&", "|",
}

func (r *reader) symbol() {
	for _, s := range symbols {
		if strings.HasPrefix(r.rest, s) {
			r.add(len(s), Token{Kind: Symbol, Text: s})
			return
		}
	}
	c, _ := utf8.DecodeRuneInString(r.rest)
	switch c {
	case '@':
		r.refuse("has an @: a statement has no variables")
	case '?', ':':
		r.refuse("has a %c: parameters are $1, $2, …, without casts", c)
	default:
		r.refuse("has the character %q, which is possible in a text or a quoted name only", c)
	}
}
