package grammar

import (
	"slices"
	"strings"

	"github.com/pupwasm/pupwasm/store/mysql/internal/lexer"
)

// call reads a function with what is in its parentheses.
func (p *parser) call(name string) {
	p.called(1)
	switch {
	case p.fault != nil:
		return
	case aggregates[name]:
		p.aggregate(name)
		return
	case windows[name]:
		p.begin(name)
		p.arguments(name)
		p.need(")")
		p.over(name)
		return
	case !functions[name]:
		if p.hint() != "" {
			p.unexpected("a value")
		}
		p.refuse("calls %.80s, whose result depends on more than its arguments or which reaches outside the projection",
			strings.ToLower(name))
		return
	}
	p.begin(name)
	p.deeper(func() { p.inner(name) })
	p.need(")")
}

// begin writes the name and its parenthesis, without a blank: with one, MariaDB looks for a function of a user.
func (p *parser) begin(name string) {
	p.at += 2
	p.write(name)
	p.glue("(")
}

// inner reads what is in the parentheses of a function.
func (p *parser) inner(name string) {
	switch name {
	case "CAST":
		p.expression()
		p.need("AS")
		p.castType()
	case "CONVERT":
		p.expression()
		if p.take("USING") {
			p.need("utf8mb4")
			return
		}
		p.need(",")
		p.castType()
	case "CHAR":
		p.list(p.expression)
		p.need("USING", "utf8mb4")
	case "EXTRACT":
		p.unit()
		p.need("FROM")
		p.expression()
	case "TRIM":
		p.trim()
	case "SUBSTRING", "SUBSTR":
		p.expression()
		if p.take("FROM") {
			p.expression()
			if p.take("FOR") {
				p.expression()
			}
			return
		}
		p.more(1, 2)
	case "TIMESTAMPADD", "TIMESTAMPDIFF":
		p.unit()
		p.more(2, 2)
	case "REPEAT", "SPACE", "LPAD", "RPAD":
		p.grown(name)
	case "STR_TO_DATE":
		p.expression()
		p.need(",")
		p.dateFormat()
	case "VALUES", "VALUE", "DEFAULT":
		if p.row != nil {
			p.refuse("calls %s, must be one expression over the columns of a row", strings.ToLower(name))
			return
		}
		p.column()
	default:
		p.arguments(name)
	}
}

// arguments reads those of a function.
func (p *parser) arguments(name string) {
	n, atLeast := 0, arguments[name]
	if !p.is(")") {
		p.list(func() {
			switch n++; {
			case n == patterns[name], n == replacements[name]:
				p.pattern(p.expression)
			case n == texts[name] && name == "REPLACE":
				p.bounding(p.expression, ReplacedMax)
			case n == texts[name]:
				p.bounding(p.expression, TextMax)
			default:
				p.expression()
			}
		})
	}
	if walks[name] {
		p.called(max(n-2, 0))
	}
	if p.fault == nil && n < atLeast {
		p.refuse("has a call with %d arguments, which depends on the session: there must be %d", n, atLeast)
	}
	if n > argumentsMax {
		p.refuse("has a call with %d arguments, there may be %d", n, argumentsMax)
	}
}

// argumentsMax bounds them.
const argumentsMax = 32

// more reads further arguments.
func (p *parser) more(atLeast, atMost int) {
	for n := range atMost {
		if n >= atLeast && !p.is(",") {
			return
		}
		p.need(",")
		p.expression()
	}
}

// trim reads what TRIM has. What it takes away, it may look for from the beginning for each time it finds it, unless
// that is one byte.
func (p *parser) trim() {
	if p.takeOne("BOTH", "LEADING", "TRAILING") && p.take("FROM") {
		p.expression()
		return
	}
	first := p.at
	p.expression()
	if !p.take("FROM") {
		return
	}
	if t := p.tokens[first]; p.fault == nil && (p.at != first+2 || t.Kind != lexer.Text || len(t.Text) != 1) {
		p.refuse("has a TRIM of more than one character, or of one beyond ASCII")
	}
	p.expression()
}

// dateFormat takes the format of a text that is a date. Without a date in it, the result is a time, to which the server
// adds the day where it wants both.
func (p *parser) dateFormat() {
	format := p.text()
	for rest := format; p.fault == nil; {
		_, after, found := strings.Cut(rest, "%")
		switch {
		case !found || after == "":
			p.refuse("has the format %.40q without a date", format)
		case strings.IndexByte("YyMmcbj", after[0]) >= 0:
			return
		default:
			rest = after[1:]
		}
	}
}

// castType takes the type of a CAST, by the names that other databases have too.
func (p *parser) castType() {
	t := p.peek()
	name := strings.ToUpper(t.Text)
	as := castTypes[name]
	if t.Kind != lexer.Word || as == "" {
		p.refuse("has a cast to %s: there are %s", t.Shown(), wordsOf(castTypes))
		return
	}
	p.at++
	p.write(as)
	p.skip("PRECISION")
	if p.is("(") {
		p.sizes()
	}
	if p.take("CHARACTER", "SET") || p.take("CHARSET") {
		p.need("utf8mb4")
	}
	if as == "SIGNED" || as == "UNSIGNED" {
		p.skip("INTEGER")
	}
}

// sizes are the numbers of a type.
func (p *parser) sizes() {
	p.within(func() {
		p.list(func() {
			if p.peek().Kind != lexer.Number {
				p.unexpected("a number")
				return
			}
			p.operand()
		})
	})
}

// aggregate reads a function over rows, or over a window of them.
func (p *parser) aggregate(name string) {
	if p.row != nil {
		p.refuse("calls %s over rows, must be one expression over the columns of a row", strings.ToLower(name))
		return
	}
	p.begin(name)
	p.deeper(func() {
		p.take("DISTINCT")
		if name == "COUNT" && p.take("*") {
			return
		}
		p.list(p.expression)
		if !ordered[name] {
			return
		}
		p.order()
		if name == "GROUP_CONCAT" && p.take("SEPARATOR") {
			p.text()
		}
		p.limit()
	})
	p.need(")")
	if p.is("OVER") {
		p.over(name)
	}
}

// over reads the window of a function.
func (p *parser) over(name string) {
	switch {
	case p.row != nil:
		p.refuse("calls %s over rows, must be one expression over the columns of a row", strings.ToLower(name))
	case !p.take("OVER"):
		p.refuse("calls %s without OVER", strings.ToLower(name))
	case p.is("("):
		p.within(p.window)
	default:
		p.takeName()
	}
}

func (p *parser) window() {
	if t := p.peek(); t.Kind == lexer.Name || t.Kind == lexer.Word && !reserved[strings.ToUpper(t.Text)] {
		p.takeName()
	}
	if p.take("PARTITION", "BY") {
		p.list(p.expression)
	}
	p.order()
	if !p.takeOne("ROWS", "RANGE") {
		return
	}
	if !p.take("BETWEEN") {
		p.bound()
		return
	}
	p.bound()
	p.need("AND")
	p.bound()
}

// bound is one of a window.
func (p *parser) bound() {
	if p.take("CURRENT", "ROW") {
		return
	}
	if !p.take("UNBOUNDED") {
		p.count()
	}
	if !p.takeOne("PRECEDING", "FOLLOWING") {
		p.unexpected("PRECEDING")
	}
}

// jsonTable reads JSON_TABLE, which makes rows of JSON.
func (p *parser) jsonTable() {
	p.begin("JSON_TABLE")
	p.deeper(func() {
		p.expression()
		p.need(",")
		p.text()
		p.jsonColumns()
	})
	p.need(")")
}

func (p *parser) jsonColumns() {
	p.need("COLUMNS")
	p.within(func() { p.list(p.jsonColumn) })
}

func (p *parser) jsonColumn() {
	if p.take("NESTED") {
		p.take("PATH")
		p.text()
		p.jsonColumns()
		return
	}
	p.takeName()
	if p.take("FOR", "ORDINALITY") {
		return
	}
	t := p.peek()
	name := strings.ToUpper(t.Text)
	if t.Kind != lexer.Word || !columnTypes[name] {
		p.refuse("has a column of JSON_TABLE of the type %s: there are %s", t.Shown(), wordsOf(columnTypes))
		return
	}
	p.at++
	p.write(name)
	if p.is("(") {
		p.sizes()
	}
	if slices.Contains(textTypes, name) {
		p.skip("CHARACTER", "SET", "utf8mb4")
		p.write("CHARACTER SET utf8mb4 COLLATE")
		if p.skip("COLLATE") {
			p.collation()
		} else {
			p.write("utf8mb4_nopad_bin") // as columns of tables have it
		}
	}
	p.take("EXISTS")
	p.need("PATH")
	p.text()
	for p.is("NULL", "ON") || p.is("ERROR", "ON") || p.is("DEFAULT") {
		if !p.takeOne("NULL", "ERROR") {
			p.need("DEFAULT")
			p.text()
		}
		p.need("ON")
		if !p.takeOne("EMPTY", "ERROR") {
			p.unexpected("EMPTY")
		}
	}
}
