package sqlite

import (
	"fmt"
	"strings"

	"github.com/pupwasm/pupwasm/store"
)

// expression is a generated column or a check of a table.
type expression struct {
	name      string // as the user knows it
	of        string // the column or the check
	text      string
	generates bool // the column; else it is a check
}

// expressionsOf returns the generated columns and the checks of a table, which stay within the parentheses that
// they are put in.
func expressionsOf(p placed, table *store.Table) ([]expression, error) {
	var all []expression
	add := func(e expression, sql store.Statement) error {
		text, err := declared(p, e.name, sql)
		if err != nil {
			return err
		}
		if fault := leavesParentheses(text); fault != "" {
			return &store.CatalogueError{Item: e.name, Reason: fault}
		}
		e.text = text + "\n" // the line break ends a remark
		all = append(all, e)
		return nil
	}
	for _, c := range table.Columns {
		if c.Generated == nil {
			continue
		}
		e := expression{name: fmt.Sprintf("column %q of table %q", c.Name, table.Name), of: c.Name, generates: true}
		if err := add(e, c.Generated); err != nil {
			return nil, err
		}
	}
	for _, check := range table.Checks {
		e := expression{name: fmt.Sprintf("check %q of table %q", check.Name, table.Name), of: check.Name}
		if err := add(e, check.SQL); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// leavesParentheses returns what in a text would end the parentheses around it, by the tokens of SQLite
// (https://sqlite.org/lang_keywords.html and tokenize.c): texts, quoted names and comments may hold anything, the
// rest must open what it closes. Parameters are refused too, since their names may have parentheses.
func leavesParentheses(sql string) (fault string) {
	const closes = "has a ) too many, must be one expression over the columns of a row"
	depth := 0
	for at := 0; at < len(sql); at++ {
		rest, end := sql[at+1:], 0
		switch c := sql[at]; {
		case c == '\'' || c == '"' || c == '`':
			end = strings.IndexByte(rest, c) // a doubled one begins the next piece
		case c == '[':
			end = strings.IndexByte(rest, ']')
		case c == '-' && strings.HasPrefix(rest, "-"):
			end = strings.IndexByte(rest+"\n", '\n')
		case c == '/' && strings.HasPrefix(rest, "*"):
			if end = strings.Index(rest[1:], "*/"); end >= 0 {
				end += len("*") + len("*/") - 1
			}
		case c == '(':
			depth++
			continue
		case c == ')':
			if depth--; depth < 0 {
				return closes
			}
			continue
		case strings.IndexByte(";$@:#?", c) >= 0:
			return fmt.Sprintf("has %q, must be one expression over the columns of a row, without parameters", c)
		default:
			continue
		}
		if end < 0 {
			return "has a text, a quoted name or a remark that does not end"
		}
		at += 1 + end
	}
	if depth > 0 {
		return "has a ( too many, must be one expression over the columns of a row"
	}
	return ""
}

// checkExpressions asks SQLite's authorizer what the expressions of a table do. SQLite asks about them neither
// when it makes the table nor when it computes them. A generated column must not use another one, as in
// PostgreSQL.
func (i *installer) checkExpressions(table *store.Table, all []expression) error {
	nothing := &policy{projection: i.projection.Name}
	for _, e := range all {
		var columns []string
		for _, c := range table.Columns {
			if c.Generated == nil || !e.generates {
				columns = append(columns, "NULL AS "+quote(c.Name))
			}
		}
		query := fmt.Sprintf("SELECT (%s) FROM (SELECT %s) AS %s", e.text, strings.Join(columns, ", "),
			i.projection.table(table.Name))
		statement, fault, err := i.conn.vet(nothing, query, "SELECT")
		if err != nil {
			return err
		}
		if fault != "" {
			return &store.CatalogueError{Item: e.name, Reason: fault}
		}
		statement.close()
		// What SQLite itself allows in such a place, it says when it compiles the table. Nothing runs.
		table, err := createTable(i.projection, table, []expression{e})
		if err != nil {
			return err
		}
		if statement, err = i.conn.prepareNew(table); err != nil {
			return &store.CatalogueError{Item: e.name, Reason: reason(err)}
		}
		statement.close()
	}
	return nil
}
