package grammar

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pupwasm/pupwasm/store/mysql/internal/lexer"
)

// expression reads values with operators between them. What binds closer is for the server.
func (p *parser) expression() {
	p.deeper(func() {
		subject := p.here()
		for more := true; more; {
			for p.is("NOT") || p.takeOne("!", "-", "+", "~", "BINARY") {
				if p.take("NOT") {
					subject = p.here()
				}
			}
			p.operand()
			p.behind()
			more = p.operator(&subject)
		}
	})
}

// behind reads what may follow a value.
func (p *parser) behind() {
	for {
		switch {
		case p.take("IS"):
			p.take("NOT")
			if !p.takeOne("NULL", "TRUE", "FALSE", "UNKNOWN") {
				p.unexpected("NULL")
			}
		case p.take("COLLATE"):
			p.collation()
		default:
			return
		}
	}
}

func (p *parser) collation() {
	name := strings.ToLower(p.name())
	if p.fault == nil && !collations[name] {
		p.refuse("has the collation %s: there are %s", name, wordsOf(collations))
	}
	p.write(name)
}

// Operators take a value behind them. Those that are closer bind closer than LIKE.
var (
	operators       = []string{"AND", "&&", "OR", "XOR", "=", "<=>", "<>", "!=", "<", ">", "<=", ">="}
	closerOperators = []string{"+", "-", "*", "/", "%", "DIV", "MOD", "&", "|", "^", "<<", ">>"}
)

// operator reads the next one, and reports whether a value must follow. The subject is what LIKE would be over.
func (p *parser) operator(subject *mark) bool {
	for {
		switch {
		case p.is("||"):
			p.called(1)
			return p.take("||")
		case p.takeOne(closerOperators...):
			return true
		case p.takeOne(operators...), p.take("BETWEEN"), p.take("NOT", "BETWEEN"): // its AND is as any other
			*subject = p.here()
			return true
		case p.take("IN"), p.take("NOT", "IN"):
			p.within(p.queryOrList)
		case p.is("LIKE"), p.is("NOT", "LIKE"):
			p.like(*subject)
		default:
			return false
		}
		p.behind()
	}
}

// queryOrList is what is in parentheses.
func (p *parser) queryOrList() {
	if p.beginsQuery("SELECT", "WITH") {
		p.query()
	} else {
		p.list(p.expression)
	}
}

func (p *parser) like(subject mark) {
	ahead := 1
	if p.is("NOT") {
		ahead = 2
	}
	if t := p.ahead(ahead); t.Kind != lexer.Text || p.ahead(ahead+1).Is("||") || isSought(t.Text) {
		p.bounded(subject, TextMax)
	}
	p.take("NOT")
	p.need("LIKE")
	first := p.here()
	value := func() {
		for p.operand(); p.take("||"); {
			p.called(1)
			p.operand()
		}
	}
	if t := p.peek(); t.Kind == lexer.Text && !p.ahead(1).Is("||") && !isSought(t.Text) {
		p.bounding(value, PatternMax)
	} else {
		p.pattern(value)
	}
	if !p.take("ESCAPE") {
		// A backslash escapes nothing, but when the server reads the expressions of a table again, it would.
		if p.row != nil && p.fault == nil && (!p.wasOne(first, lexer.Text) || strings.Contains(p.tokens[first.at].Text, `\`)) {
			p.refuse("has LIKE with a backslash, or with a pattern that is not a text, and without ESCAPE")
		}
		return
	}
	if p.peek().Kind != lexer.Text || p.peek().Text == "" {
		p.unexpected("a character")
		return
	}
	p.text()
}

// operand reads one value.
func (p *parser) operand() {
	switch t := p.peek(); t.Kind {
	case lexer.Number, lexer.Bytes:
		p.at++
		p.write(t.Text)
	case lexer.Text:
		p.text()
	case lexer.Parameter:
		p.parameter(t.Index)
	case lexer.Word:
		p.word(strings.ToUpper(t.Text))
	case lexer.Name:
		p.column()
	default:
		if !p.is("(") {
			p.unexpected("a value")
			return
		}
		p.within(p.queryOrList)
	}
}

// text takes a text. The server would put two in a row together.
func (p *parser) text() string {
	t := p.peek()
	if t.Kind != lexer.Text {
		p.unexpected("a text")
		return ""
	}
	p.at++
	p.write("'" + strings.ReplaceAll(t.Text, "'", "''") + "'")
	if p.peek().Kind == lexer.Text {
		p.unexpected("the end of a text")
	}
	return t.Text
}

// ParameterName is what the procedure of a statement calls a parameter. No other name has a $.
func ParameterName(index int) string { return fmt.Sprintf("`$%d`", index) }

func (p *parser) parameter(index int) {
	if p.row != nil {
		p.refuse("has the parameter $%d, must be one expression over the columns of a row", index)
		return
	}
	p.at++
	p.parameters = max(p.parameters, index)
	p.write(ParameterName(index))
}

// word reads a value that begins with a word.
func (p *parser) word(upper string) {
	switch next := p.ahead(1); {
	case upper == "CASE":
		p.conditional()
	case slices.Contains([]string{"NULL", "TRUE", "FALSE"}, upper):
		p.take(upper)
	case slices.Contains([]string{"EXISTS", "ALL", "ANY", "SOME"}, upper) && next.Is("("):
		p.take(upper)
		p.within(p.query)
	case upper == "INTERVAL":
		p.take(upper)
		p.expression()
		p.unit()
	case next.Kind == lexer.Text && (upper == "DATE" || upper == "TIMESTAMP"):
		p.take(upper)
		p.text()
	case next.Kind == lexer.Text && !reserved[upper]:
		p.refuse("has %s before a text: there are DATE and TIMESTAMP, and texts are UTF-8", upper)
	case next.Is("("):
		p.call(upper)
	default:
		p.column()
	}
}

// conditional reads CASE.
func (p *parser) conditional() {
	p.need("CASE")
	if !p.is("WHEN") {
		p.expression()
	}
	for p.need("WHEN"); ; {
		p.expression()
		p.need("THEN")
		p.expression()
		if !p.take("WHEN") {
			break
		}
	}
	if p.take("ELSE") {
		p.expression()
	}
	p.need("END")
}

// unit is one of time, behind INTERVAL.
func (p *parser) unit() {
	if !p.takeOne(units...) {
		p.unexpected("a unit such as DAY")
	}
}

// column takes the name of one, or all those of a table. It is written without the database: MariaDB 10.11 ends with a
// fault of memory when it looks for the column of a database's table in a join that has USING or NATURAL.
func (p *parser) column() {
	parts := p.chain()
	all := p.is(".", "*")
	if all {
		parts = append(parts, "*")
	}
	switch {
	case p.fault != nil:
		return
	case p.is("("):
		p.refuse("calls %.80s, which is no function of the server, or is in quotes", strings.Join(parts, "."))
		return
	case p.row != nil:
		p.ofRow(parts)
		return
	case len(parts) > 3, len(parts) == 3 && (parts[0] != p.tables.Database || !slices.Contains(p.tables.Names, parts[1])):
		p.refuse("uses %.80s, which is not a table of the projection", strings.Join(parts[:2], "."))
		return
	}
	parts = parts[max(len(parts)-2, 0):]
	if !all {
		p.write(quotedChain(parts))
		return
	}
	p.at += 2
	p.write(quoted(parts[0]) + ".*")
}

// ofRow takes a column of the row that an expression is over.
func (p *parser) ofRow(parts []string) {
	column := parts[len(parts)-1]
	switch {
	case len(parts) >= 2 && parts[len(parts)-2] != p.row.Table, len(parts) == 3 && parts[0] != p.row.Database:
		p.refuse("uses %.80s, must be one expression over the columns of a row", strings.Join(parts, "."))
	case slices.Contains(p.row.Generated, column):
		p.refuse("uses column %q, which is generated itself", column)
	case !slices.Contains(p.row.Columns, column):
		p.refuse("uses %.80q, which is not a column of the table", column)
	default:
		p.write(quoted(column))
	}
}
