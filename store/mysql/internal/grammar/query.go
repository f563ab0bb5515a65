package grammar

import (
	"slices"
	"strings"

	"github.com/pupwasm/pupwasm/store/mysql/internal/lexer"
)

// beginsQuery reports whether one of these words comes next, behind any number of parentheses.
func (p *parser) beginsQuery(words ...string) bool {
	at := 0
	for p.ahead(at).Is("(") {
		at++
	}
	t := p.ahead(at)
	return t.Kind == lexer.Word && slices.Contains(words, strings.ToUpper(t.Text))
}

// beginsRows is beginsQuery where VALUES is not the function of ON DUPLICATE KEY UPDATE.
func (p *parser) beginsRows() bool { return p.beginsQuery("SELECT", "WITH", "VALUES") }

// query reads a SELECT with all that may be around it.
func (p *parser) query() {
	if p.row != nil {
		p.refuse("has a query, must be one expression over the columns of a row")
		return
	}
	p.deeper(func() {
		before := len(p.with)
		if p.take("WITH") {
			p.withList(p.take("RECURSIVE"))
		}
		p.term()
		for p.takeOne("UNION", "EXCEPT", "INTERSECT") {
			p.takeOne("ALL", "DISTINCT")
			p.term()
		}
		p.order()
		p.limit()
		p.with = p.with[:before]
	})
}

// withList reads the queries of WITH. One of them has not the name of a table, so that no name means both.
func (p *parser) withList(recursive bool) {
	p.list(func() {
		name := p.name()
		if slices.ContainsFunc(p.tables.Names, func(table string) bool { return strings.EqualFold(table, name) }) {
			p.refuse("has %q in its WITH, which is the name of a table", name)
			return
		}
		p.write(quoted(name))
		if recursive {
			p.with = append(p.with, name)
		}
		if p.is("(") {
			p.names()
		}
		p.need("AS")
		p.within(p.query)
		if !recursive {
			p.with = append(p.with, name)
		}
	})
}

// term is one part of a UNION.
func (p *parser) term() {
	switch {
	case p.is("("):
		p.within(p.query)
	case p.take("VALUES"):
		p.list(func() { p.within(func() { p.list(p.expression) }) })
	case p.take("SELECT"):
		p.selection()
	default:
		p.unexpected("SELECT")
	}
}

func (p *parser) selection() {
	p.takeOne("DISTINCT", "ALL")
	p.list(func() {
		if !p.take("*") {
			p.expression()
			p.alias()
		}
	})
	if p.take("FROM") {
		p.tableRefs()
	}
	p.where()
	if p.take("GROUP", "BY") {
		p.list(p.sorted)
		p.take("WITH", "ROLLUP")
	}
	if p.take("HAVING") {
		p.expression()
	}
	if p.take("WINDOW") {
		p.list(func() {
			p.takeName()
			p.need("AS")
			p.within(p.window)
		})
	}
}

func (p *parser) alias() {
	t := p.peek()
	if p.take("AS") || t.Kind == lexer.Name || t.Kind == lexer.Word && !reserved[strings.ToUpper(t.Text)] {
		p.takeName()
	}
}

func (p *parser) where() {
	if p.take("WHERE") {
		p.expression()
	}
}

func (p *parser) order() {
	if p.take("ORDER", "BY") {
		p.list(p.sorted)
	}
}

func (p *parser) sorted() {
	p.expression()
	p.takeOne("ASC", "DESC")
	if p.is("NULLS") {
		p.refuse("has NULLS FIRST or LAST: ORDER BY n IS NULL, n puts NULL last, and it is first otherwise")
	}
}

func (p *parser) limit() {
	if !p.take("LIMIT") {
		return
	}
	p.count()
	if p.takeOne("OFFSET", ",") {
		p.count()
	}
}

// count is a number of rows.
func (p *parser) count() {
	if t := p.peek(); t.Kind != lexer.Number && t.Kind != lexer.Parameter {
		p.unexpected("a number")
		return
	}
	p.operand()
}

// tableRefs are those of FROM.
func (p *parser) tableRefs() { p.list(p.tableRef) }

func (p *parser) tableRef() {
	p.tableFactor()
	for {
		switch {
		case p.is("ON", "DUPLICATE"):
			return
		case p.take("ON"):
			p.expression()
		case p.take("USING"):
			p.names()
		case p.join():
			p.tableFactor()
		default:
			return
		}
	}
}

func (p *parser) join() bool {
	natural := p.take("NATURAL")
	switch {
	case p.take("JOIN"), p.take("STRAIGHT_JOIN"):
		return true
	case p.takeOne("INNER", "CROSS"):
	case p.takeOne("LEFT", "RIGHT"):
		p.take("OUTER")
	case !natural:
		return false
	}
	p.need("JOIN")
	return true
}

func (p *parser) tableFactor() {
	switch {
	case p.is("(") && p.beginsRows():
		p.within(p.query)
		p.alias()
	case p.is("("):
		p.within(p.tableRefs)
	case p.is("JSON_TABLE", "("):
		p.jsonTable()
		p.alias()
	case p.take("DUAL"):
	default:
		if p.table(true) {
			p.alias()
		}
	}
}

// table takes the name of a table of the projection, or, where it may be, one of WITH.
func (p *parser) table(orWith bool) bool {
	parts := p.chain()
	switch {
	case p.fault != nil:
		return false
	case len(parts) == 1 && orWith && slices.Contains(p.with, parts[0]),
		len(parts) == 2 && parts[0] == p.tables.Database && slices.Contains(p.tables.Names, parts[1]):
		p.write(quotedChain(parts))
		return true
	case len(parts) == 1 && slices.Contains(p.tables.Names, parts[0]):
		p.refuse("uses the table %s without braces: write {%[1]s}", parts[0])
	default:
		p.refuse("uses %.80s, which is not a table of the projection", strings.Join(parts, "."))
	}
	return false
}

// chain is a name with those before it: database.table.column.
func (p *parser) chain() []string {
	parts := []string{p.name()}
	for len(parts) < 3 && p.is(".") && !p.ahead(1).Is("*") {
		p.at++
		t := p.peek() // behind a dot, every word is a name
		if t.Kind != lexer.Name && t.Kind != lexer.Word {
			p.unexpected("a name")
			return nil
		}
		p.at++
		parts = append(parts, t.Text)
	}
	return parts
}

func quotedChain(parts []string) string {
	all := make([]string, len(parts))
	for i, part := range parts {
		all[i] = quoted(part)
	}
	return strings.Join(all, ".")
}
