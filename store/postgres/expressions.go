package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pupwasm/pupwasm/store"
)

// expression is a generated column or a check of a table, as written from its parse tree.
type expression struct {
	statement        // a query of it, for the server's check
	of        string // the column or the check
	text      string // for CREATE TABLE
	generates bool   // the column; else it is a check
}

// expressionsOf reads the generated columns and the checks of a table.
func expressionsOf(p placed, table *store.Table) ([]expression, error) {
	var all []expression
	for _, c := range table.Columns {
		if c.Generated == nil {
			continue
		}
		e, err := p.expression(table, fmt.Sprintf("column %q of table %q", c.Name, table.Name), c.Generated,
			sqlType(c.Type))
		if err != nil {
			return nil, err
		}
		e.of, e.generates = c.Name, true
		all = append(all, e)
	}
	for _, check := range table.Checks {
		e, err := p.expression(table, fmt.Sprintf("check %q of table %q", check.Name, table.Name), check.SQL, "")
		if err != nil {
			return nil, err
		}
		e.of = check.Name
		all = append(all, e)
	}
	return all, nil
}

func (p placed) expression(table *store.Table, item string, sql store.Statement, as string) (expression, error) {
	text, err := p.textOf(item, sql)
	if err != nil {
		return expression{}, err
	}
	read, err := p.read.expression(text, p.grammarTables(), table.Name, as)
	if err != nil {
		return expression{}, &store.CatalogueError{Item: item, Reason: err.Error()}
	}
	query := "SELECT " + read.SQL + " FROM " + p.table(table.Name)
	return expression{
		statement: statement{name: item, declared: query, sql: query, clock: read.Clock},
		text:      read.SQL,
	}, nil
}

// checkExpressions has the server check the expressions of a table on a table without them, which is rolled back.
// The server refuses a generated column that depends on a setting, and so a check is tried as one too: restored
// from a dump, it would be checked under other settings.
func (i *installer) checkExpressions(ctx context.Context, table *store.Table, all []expression) error {
	if len(all) == 0 {
		return nil
	}
	return i.tentatively(ctx, func() error {
		if err := i.define(ctx, table, createTable(i.projection, table, nil)); err != nil {
			return err
		}
		sandbox := &sandbox{installer: i}
		for n := range all {
			e := &all[n]
			if err := sandbox.check(ctx, &e.statement); err != nil {
				return err
			}
			as := "boolean"
			if c, _ := table.Column(e.of); e.generates {
				as = sqlType(c.Type)
			}
			err := i.asOwner(ctx, func() error {
				return i.runAlone(ctx, fmt.Sprintf("ALTER TABLE %s ADD COLUMN pupwasm_%d %s GENERATED ALWAYS AS "+
					"(%s) STORED",
					i.projection.table(table.Name), n, as, e.text), nil)
			})
			var pg *pgconn.PgError
			if errors.As(err, &pg) && !mayPass(pg.Code) {
				return &store.CatalogueError{Item: e.name, Reason: expressionFault(pg)}
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// expressionFault says what is wrong with an expression, in words that also suit a check.
func expressionFault(pg *pgconn.PgError) string {
	said := describe(pg)
	if strings.Contains(said, "generation expression is not immutable") {
		return "depends on a setting such as the time zone, and not on the row alone"
	}
	return strings.NewReplacer("column generation expressions", "an expression over one row",
		"column generation expression", "an expression over one row").Replace(said)
}

// generated returns the clause of a generated column for CREATE TABLE, and "" for any other.
func generated(all []expression, column string) string {
	at := slices.IndexFunc(all, func(e expression) bool { return e.generates && e.of == column })
	if at < 0 {
		return ""
	}
	return " GENERATED ALWAYS AS (" + all[at].text + ") STORED"
}
