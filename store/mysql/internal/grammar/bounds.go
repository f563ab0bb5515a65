package grammar

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pupwasm/pupwasm/store/mysql/internal/lexer"
)

// The server looks at its limit of time between rows only: nothing interrupts what an expression does with one row. So
// what multiplies lengths is bounded: a value that is too long makes a sum go beyond BIGINT.
const (
	// PatternMax is how many bytes a pattern has, which a function compares with each place of a text.
	PatternMax = 100
	// TextMax is how many bytes that text has.
	TextMax = 64 << 10
	// ReplacedMax is how many bytes the text of REPLACE has, which moves what is behind each place.
	ReplacedMax = 6 << 10
	// ResultMax is how many bytes REPEAT gives, and how many characters SPACE, LPAD and RPAD do.
	ResultMax = 1 << 20
	// patternsMax is how many bytes the patterns of a statement have together.
	patternsMax = 800
	// callsMax bounds how many functions a statement calls: each may hold a text of max_allowed_packet until the
	// statement ends.
	callsMax = 100
)

const beyond = "9223372036854775807 * ("

// Exceeded says which bound a value was beyond, by what the server says of the sum, or "".
func Exceeded(message string) string {
	switch {
	case strings.Contains(message, fmt.Sprintf("'%d + %s", PatternMax, beyond)):
		return fmt.Sprintf("a pattern has more than %d bytes", PatternMax)
	case strings.Contains(message, fmt.Sprintf("'%d + %s", TextMax, beyond)):
		return fmt.Sprintf("a text in which a pattern is looked for has more than %d bytes", TextMax)
	case strings.Contains(message, fmt.Sprintf("'%d + %s", ReplacedMax, beyond)):
		return fmt.Sprintf("a text in which REPLACE looks for a pattern has more than %d bytes", ReplacedMax)
	case strings.Contains(message, fmt.Sprintf("'%d + %s", ResultMax, beyond)):
		return fmt.Sprintf("a result of REPEAT, SPACE, LPAD or RPAD is longer than %d", ResultMax)
	}
	return ""
}

// mark is a place in what is read and written, with what was counted up to it.
type mark struct{ out, at, calls, patterns int }

func (p *parser) here() mark { return mark{len(p.out), p.at, p.calls, p.patterns} }

// since is what was written from a place on.
func (p *parser) since(from mark) string { return strings.TrimSpace(string(p.out[from.out:])) }

// wasOne reports whether what was read from a place on is one word of a kind.
func (p *parser) wasOne(from mark, kind lexer.Kind) bool {
	return p.fault == nil && p.at == from.at+1 && p.tokens[from.at].Kind == kind
}

// again replaces what was written from a place on by something in which it is there twice, and so runs twice.
func (p *parser) again(from mark, text string) {
	p.out = p.out[:from.out]
	p.write(text)
	p.called(p.calls - from.calls)
	p.sought(p.patterns - from.patterns)
	if len(p.out) > writtenMax {
		p.refuse("has too many patterns within each other")
	}
}

// called counts calls.
func (p *parser) called(calls int) {
	if p.calls += calls; p.calls > callsMax {
		p.refuse("has more than %d calls, of which || is one; what is in a function that looks for a pattern counts twice",
			callsMax)
	}
}

// sought counts bytes of patterns.
func (p *parser) sought(bytes int) {
	if p.patterns += bytes; p.patterns > patternsMax {
		p.refuse("has patterns of more than %d bytes together, where one that is no text counts as %d", patternsMax,
			PatternMax)
	}
}

// isSought reports whether a pattern of LIKE is compared with more than the beginning of a text.
func isSought(pattern string) bool { return strings.Contains(strings.TrimRight(pattern, "%"), "%") }

// pattern reads a value that is compared with each place of a text.
func (p *parser) pattern(value func()) {
	from := p.here()
	p.bounding(value, PatternMax)
	if p.wasOne(from, lexer.Text) {
		p.sought(len(p.tokens[from.at].Text))
	} else {
		p.sought(PatternMax)
	}
}

// bounding reads a value that the server is to refuse when it has more bytes.
func (p *parser) bounding(value func(), most int) {
	from := p.here()
	value()
	p.bounded(from, most)
}

// bounded has the server refuse what was written from a place on when it has more bytes.
func (p *parser) bounded(from mark, most int) {
	switch {
	case p.fault != nil:
	case !p.wasOne(from, lexer.Text):
		p.again(from, fmt.Sprintf("LEFT(%s, %d + %sLENGTH(%[1]s) > %[2]d))", p.since(from), most, beyond))
	case len(p.tokens[from.at].Text) > most:
		p.refuse("has a pattern of %d bytes, there may be %d", len(p.tokens[from.at].Text), most)
	}
}

// grown reads the arguments of a function that makes a long text: of how much, and of how many times or characters.
func (p *parser) grown(name string) {
	whole, each := p.here(), 1
	size := ""
	if name != "SPACE" {
		p.expression()
		if name == "REPEAT" {
			size = fmt.Sprintf("LENGTH(%s) * ", p.since(whole))
			if each = ResultMax; p.wasOne(whole, lexer.Text) {
				each = len(p.tokens[whole.at].Text)
			}
		}
		p.need(",")
	}
	count := p.here()
	if size == "" {
		whole = count
	}
	p.expression()
	if p.wasOne(count, lexer.Number) {
		if n, err := strconv.Atoi(p.tokens[count.at].Text); err == nil && n <= ResultMax && n*each <= ResultMax {
			p.pad(name)
			return
		}
	}
	if p.fault == nil {
		first, n := string(p.out[whole.out:count.out]), p.since(count)
		p.again(whole, strings.TrimSpace(fmt.Sprintf("%s LEAST(%s, %d + %s%s%[2]s > %[3]d))", strings.TrimSpace(first), n, ResultMax,
			beyond, size)))
	}
	p.pad(name)
}

// pad reads what LPAD and RPAD fill a text with.
func (p *parser) pad(name string) {
	if name == "LPAD" || name == "RPAD" {
		p.more(0, 1)
	}
}
