// Package grammar reads the SQL of modules by a grammar of its own: the part of MariaDB's that statements of
// projections need. A text becomes words, the words are read clause by clause, and what is run is written from what was
// read. So no text of a module reaches the server, which might read it otherwise than we do.
//
//	text ──lexer──► words ──grammar──► allowed? ──write──► text that is run
//	                           │
//	      query.go, change.go: the clauses     expression.go, calls.go: values
//	      names.go: the functions, types and words that it may have
//
// Every name is written in quotes, every comment is left out, and every other word that is written is one of this
// package. What is not known is refused, so that what a later MariaDB adds is refused too. The grammar takes more than
// the server does: that names, types and clauses fit is for the server's own check (package mysql, sandbox.go).
package grammar

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pupwasm/pupwasm/internal/oneline"
	"github.com/pupwasm/pupwasm/store/mysql/internal/lexer"
)

// Tables are what a statement may use.
type Tables struct {
	Database string
	Names    []string
}

// Statement is one that may be run.
type Statement struct {
	SQL        string // as it is written
	Selects    bool   // it is a query
	Parameters int    // the highest number of a parameter
}

// Check reads one statement.
//
// # Errors
//
// The text says what is wrong, in one line, and goes on from a name such as `write "total"`.
func Check(sql string, tables Tables) (*Statement, error) {
	p, err := newParser(sql)
	if err != nil {
		return nil, oneline.Error(err)
	}
	p.tables = tables
	selects := p.statement()
	for p.skip(";") {
	}
	if err := p.end("one statement"); err != nil {
		return nil, oneline.Error(err)
	}
	return &Statement{SQL: string(p.out), Selects: selects, Parameters: p.parameters}, nil
}

// Row is a table over whose columns an expression is.
type Row struct {
	Database, Table string
	Columns         []string // that the expression may use
	Generated       []string // the others
}

// Expression reads an expression over the columns of one row.
//
// # Errors
//
// As those of [Check].
func Expression(sql string, row Row) (string, error) {
	p, err := newParser(sql)
	if err != nil {
		return "", oneline.Error(err)
	}
	if len(p.tokens) == 0 {
		return "", errors.New("is empty, must be one expression over the columns of a row")
	}
	p.row = &row
	p.expression()
	if err := p.end("one expression over the columns of a row"); err != nil {
		return "", oneline.Error(err)
	}
	return string(p.out), nil
}

// parser reads words and writes what they mean. After a fault it is at their end.
type parser struct {
	tokens     []lexer.Token
	at         int
	out        []byte
	tables     Tables
	with       []string // names of WITH that may be used here
	row        *Row     // of an expression; nil in a statement
	parameters int
	calls      int
	patterns   int // bytes of patterns
	depth      int
	fault      error
}

func newParser(sql string) (*parser, error) {
	tokens, err := lexer.Read(sql)
	return &parser{tokens: tokens}, err
}

// writtenMax bounds what is written, in which patterns are there twice.
const writtenMax = 256 << 10

// end makes sure that all was read.
func (p *parser) end(of string) error {
	switch {
	case p.fault != nil:
		return p.fault
	case p.at > 0 && p.at < len(p.tokens) && p.tokens[p.at-1].Is(";"):
		return errors.New("has two statements, must be one")
	case p.at < len(p.tokens) && p.hint() != "":
		return errors.New(p.hint())
	case p.at < len(p.tokens):
		return fmt.Errorf("has %s behind its end, must be %s", p.peek().Shown(), of)
	case len(p.out) > writtenMax:
		return errors.New("has too many patterns within each other")
	}
	return nil
}

func (p *parser) refuse(format string, args ...any) {
	if p.fault == nil {
		p.fault = fmt.Errorf(format, args...)
	}
	p.at = len(p.tokens)
}

// unexpected refuses the word at hand.
func (p *parser) unexpected(wanted string) {
	switch t := p.peek(); {
	case t.Kind == 0:
		p.refuse("ends where %s is due", wanted)
	case p.hint() != "":
		p.refuse("%s", p.hint())
	default:
		p.refuse("has %s where %s is due", t.Shown(), wanted)
	}
}

// hint says more of the word at hand, if it is one of those that are asked for.
func (p *parser) hint() string {
	t := p.peek()
	word := strings.ToUpper(t.Text)
	switch {
	case t.Kind == lexer.Word && hints[word] != "":
		return "has " + word + ": " + hints[word]
	case t.Is("->") || t.Is("->>"):
		return "has " + t.Text + ": JSON_VALUE(data, '$.name') is the same here"
	}
	return ""
}

// peek is the word at hand, without a kind at the end.
func (p *parser) peek() lexer.Token { return p.ahead(0) }

func (p *parser) ahead(n int) lexer.Token {
	if p.at+n < len(p.tokens) {
		return p.tokens[p.at+n]
	}
	return lexer.Token{}
}

// is reports whether these words or symbols come next.
func (p *parser) is(words ...string) bool {
	for n, word := range words {
		if t := p.ahead(n); !t.Is(word) && (t.Kind != lexer.Word || !strings.EqualFold(t.Text, word)) {
			return false
		}
	}
	return true
}

// skip passes over words that come next.
func (p *parser) skip(words ...string) bool {
	if !p.is(words...) {
		return false
	}
	p.at += len(words)
	return true
}

// take writes words that come next.
func (p *parser) take(words ...string) bool {
	if !p.skip(words...) {
		return false
	}
	p.write(strings.Join(words, " "))
	return true
}

// takeOne writes the word that comes next, if it is one of those given.
func (p *parser) takeOne(words ...string) bool {
	return slices.ContainsFunc(words, func(word string) bool { return p.take(word) })
}

func (p *parser) need(words ...string) {
	if !p.take(words...) {
		p.unexpected(strings.Join(words, " "))
	}
}

// write puts a word behind what is written. Two signs in a row never become one.
func (p *parser) write(word string) {
	if len(p.out) > 0 && p.out[len(p.out)-1] != '(' && word != ")" && word != "," {
		p.out = append(p.out, ' ')
	}
	p.out = append(p.out, word...)
}

// glue is write without a blank.
func (p *parser) glue(word string) { p.out = append(p.out, word...) }

// list reads one or more with commas between them.
func (p *parser) list(one func()) {
	for one(); p.take(","); {
		one()
	}
}

// depthMax is how deep parentheses and queries may be within each other. The server's own bound is its stack.
const depthMax = 100

// within reads what is in parentheses.
func (p *parser) within(inner func()) {
	p.need("(")
	p.deeper(inner)
	p.need(")")
}

// deeper bounds recursion.
func (p *parser) deeper(inner func()) {
	if p.depth++; p.depth > depthMax {
		p.refuse("is nested more than %d deep", depthMax)
	} else {
		inner()
	}
	p.depth--
}

// name takes a name that the statement gives.
func (p *parser) name() string {
	t := p.peek()
	if t.Kind != lexer.Name && (t.Kind != lexer.Word || reserved[strings.ToUpper(t.Text)]) {
		p.unexpected("a name")
		return ""
	}
	p.at++
	return t.Text
}

// takeName writes a name.
func (p *parser) takeName() { p.write(quoted(p.name())) }

// names are those in parentheses.
func (p *parser) names() { p.within(func() { p.list(p.takeName) }) }

func quoted(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }
