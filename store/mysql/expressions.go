package mysql

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql/internal/grammar"
)

// expression is a generated column or a check of a table, as it was written anew.
type expression struct {
	name      string // as the user knows it
	of        string // the column or the check
	text      string // for CREATE TABLE
	generates bool   // the column; else it is a check
}

// expressionsOf reads the generated columns and the checks of a table. A generated column must not use another one, as in
// PostgreSQL.
func expressionsOf(p placed, table *store.Table) (all []expression, err error) {
	row := grammar.Row{Database: p.tables, Table: table.Name}
	for _, c := range table.Columns {
		if c.Generated != nil {
			row.Generated = append(row.Generated, c.Name)
		} else {
			row.Columns = append(row.Columns, c.Name)
		}
	}
	add := func(e expression, sql store.Statement, row grammar.Row) error {
		text, err := p.textOf(e.name, sql)
		if err != nil {
			return err
		}
		if e.text, err = p.read.expression(text, row); err != nil {
			return &store.CatalogueError{Item: e.name, Reason: err.Error()}
		}
		all = append(all, e)
		return nil
	}
	for _, c := range table.Columns {
		if c.Generated == nil {
			continue
		}
		e := expression{name: fmt.Sprintf("column %q of table %q", c.Name, table.Name), of: c.Name, generates: true}
		if err := add(e, c.Generated, row); err != nil {
			return nil, err
		}
	}
	row.Columns, row.Generated = slices.Concat(row.Columns, row.Generated), nil
	for _, check := range table.Checks {
		e := expression{name: fmt.Sprintf("check %q of table %q", check.Name, table.Name), of: check.Name}
		if err := add(e, check.SQL, row); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// trialTable is the name of a table that is made to check expressions.
const trialTable = "pupwasm__trial"

// checkExpressions has the server check the expressions of a table: each as a part of a query, which it explains, and on a
// table of its own, which is dropped.
func (i *installer) checkExpressions(table *store.Table, all []expression) error {
	columns := make([]string, len(table.Columns))
	for n, c := range table.Columns {
		columns[n] = fmt.Sprintf("CAST(NULL AS %s) AS %s", castOf(c.Type), quote(c.Name))
	}
	for n := range all {
		// The line break ends a remark.
		_, err := i.conn.exec(fmt.Sprintf("SET STATEMENT max_statement_time = %d FOR ", explainMax) + immediate(fmt.Sprintf(
			"EXPLAIN FORMAT=JSON SELECT (%s\n) FROM (SELECT %s) AS %s", all[n].text, strings.Join(columns, ", "),
			quote(table.Name))))
		if err := i.projection.faultOf(all[n].name, err); err != nil {
			return err
		}
		if err := i.tryTable(table, all, all[n]); err != nil {
			return err
		}
	}
	return nil
}

// tryTable makes a table with one expression, and with the generated columns that a check may use.
func (i *installer) tryTable(table *store.Table, all []expression, e expression) error {
	attempt, of := *table, []expression{e}
	attempt.Name = trialTable
	if !e.generates {
		for _, other := range all {
			if other.generates {
				of = append(of, other)
			}
		}
	}
	text, err := createTable(i.projection, &attempt, of)
	if err != nil {
		return err
	}
	_, err = i.conn.exec(immediate(text))
	if err := i.projection.faultOf(e.name, err); err != nil {
		return err
	}
	if _, err := i.conn.exec("DROP TABLE " + i.projection.table(trialTable)); err != nil {
		return fmt.Errorf("dropping the table that checks expressions: %w", err)
	}
	return nil
}

// castOf is a type as CAST has it.
func castOf(t store.Type) string {
	if t.Array {
		return "CHAR"
	}
	switch t.Kind {
	case store.KindBool, store.KindI64:
		return "SIGNED"
	case store.KindF64:
		return "DOUBLE"
	case store.KindBytes, store.KindUUID:
		return "BINARY"
	case store.KindNumeric, store.KindTimestamp:
		return storageOf(t, 0)
	default:
		return "CHAR"
	}
}
