package grammar

import (
	"strings"

	"github.com/pupwasm/pupwasm/store/mysql/internal/lexer"
)

// statement reads one, and reports whether it is a query.
func (p *parser) statement() (selects bool) {
	switch {
	case len(p.tokens) == 0, p.is(";"):
		p.refuse("has no statement")
	case p.is("SELECT"), p.is("WITH"), p.is("VALUES"), p.is("("):
		p.query()
		return true
	case p.take("INSERT"):
		p.take("IGNORE")
		p.insert()
	case p.take("REPLACE"):
		p.insert()
	case p.take("UPDATE"):
		p.update()
	case p.take("DELETE"):
		p.remove()
	default:
		p.refuse("begins with %s: a statement selects, inserts, replaces, updates or deletes", p.peek().Shown())
	}
	return false
}

// insert reads what is behind INSERT and REPLACE.
func (p *parser) insert() {
	p.need("INTO")
	if !p.table(false) {
		return
	}
	if p.is("(") && !p.beginsRows() {
		p.within(func() {
			if !p.is(")") {
				p.list(p.takeName)
			}
		})
	}
	switch {
	case p.is("VALUES"), p.is("VALUE"):
		p.at++
		p.write("VALUES")
		p.list(func() { p.within(p.values) })
	case p.take("SET"):
		p.assignments()
	case p.beginsRows():
		p.query()
	default:
		p.unexpected("VALUES")
	}
	if p.take("ON", "DUPLICATE", "KEY", "UPDATE") {
		p.assignments()
	}
	if p.is("ON", "CONFLICT") {
		p.refuse("has ON CONFLICT: ON DUPLICATE KEY UPDATE n = VALUES(n) is the same here")
	}
}

// values are those of one row, which may have none.
func (p *parser) values() {
	if !p.is(")") {
		p.list(p.value)
	}
}

// value is that of a column.
func (p *parser) value() {
	if p.is("DEFAULT") && !p.ahead(1).Is("(") {
		p.take("DEFAULT")
		return
	}
	p.expression()
}

func (p *parser) assignments() {
	p.list(func() {
		p.column()
		p.need("=")
		p.value()
	})
}

func (p *parser) update() {
	p.tableRefs()
	p.need("SET")
	p.assignments()
	if p.is("FROM") {
		p.refuse("has FROM in an UPDATE: UPDATE {a} AS a JOIN {b} AS b ON … SET a.n = b.n is the same here")
	}
	p.where()
	p.order()
	p.limit()
}

// remove reads what is behind DELETE: one table, or the tables to delete from and how they are joined.
func (p *parser) remove() {
	switch {
	case p.is("FROM") && p.deletesUsing():
		p.need("FROM")
		p.list(p.target)
		p.need("USING")
		p.tableRefs()
	case p.take("FROM"):
		if !p.table(false) {
			return
		}
		if t := p.peek(); t.Kind == lexer.Name || p.is("AS") {
			p.refuse("has another name for the table that it deletes from: DELETE t FROM {table} AS t WHERE … is the same here")
		}
	default:
		p.list(p.target)
		p.need("FROM")
		p.tableRefs()
	}
	p.where()
	p.order()
	p.limit()
}

// deletesUsing looks for USING behind the names of DELETE FROM.
func (p *parser) deletesUsing() bool {
	for at := 1; ; at++ {
		switch t := p.ahead(at); {
		case t.Kind == lexer.Word && strings.EqualFold(t.Text, "USING"):
			return true
		case t.Kind == lexer.Word && !reserved[strings.ToUpper(t.Text)], t.Kind == lexer.Name, t.Is("."), t.Is(","):
		default:
			return false
		}
	}
}

// target is a table of the projection, or another name that the joined tables give to one: the server looks for it
// among these.
func (p *parser) target() {
	if t := p.ahead(1); !t.Is(".") {
		p.takeName()
		return
	}
	p.table(false)
}
