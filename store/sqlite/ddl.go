package sqlite

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ncruces/go-sqlite3"

	"github.com/pupwasm/pupwasm/store"
)

type faultFunc func(format string, args ...any) error

func (i *installer) createTable(table *store.Table) error {
	fault := func(format string, args ...any) error {
		return &store.CatalogueError{Item: fmt.Sprintf("table %q", table.Name), Reason: fmt.Sprintf(format, args...)}
	}
	if _, ok := table.DDL.For(store.DialectSQLite); ok {
		item := fmt.Sprintf("ddl of table %q", table.Name)
		text, err := declared(i.projection, item, table.DDL)
		if err != nil {
			return err
		}
		return i.runDDL(table, text, func(format string, args ...any) error {
			return &store.CatalogueError{Item: item, Reason: fmt.Sprintf(format, args...)}
		})
	}
	statement, err := createTable(i.projection, table)
	if err != nil {
		return fault("%s", err)
	}
	return i.define(table, statement)
}

// define runs a statement of ours that makes a table or an index.
func (i *installer) define(table *store.Table, statement string) error {
	err := i.conn.db.Exec(statement)
	var code sqlite3.ErrorCode
	if errors.As(err, &code) && !transient(code) {
		return &store.CatalogueError{Item: fmt.Sprintf("table %q", table.Name), Reason: reason(err)}
	}
	if err != nil {
		return fmt.Errorf("creating table %s: %w", table.Name, err)
	}
	return nil
}

// runDDL runs one CREATE TABLE that a module brought.
func (i *installer) runDDL(table *store.Table, ddl string, fault faultFunc) error {
	creating := *i.catalogue.policy
	creating.creating = i.projection.tableName(table.Name)
	statement, refusal, err := i.conn.vet(&creating, ddl, "CREATE")
	if err != nil {
		return err
	}
	if refusal != "" {
		return fault("%s", refusal)
	}
	defer statement.close()
	if len(statement.places) > 0 {
		return fault("has parameters")
	}
	if err := i.conn.under(&creating, statement.Exec); err != nil {
		return fault("%s", reason(err))
	}
	shape, err := i.shape(table)
	if err != nil {
		return err
	}
	if shape == nil {
		return fault("does not make %s", creating.creating)
	}
	if err := i.checkDDL(table, shape.Columns, fault); err != nil {
		return err
	}
	return i.checkTypes(table, shape)
}

// checkDDL looks at what SQLite does not ask about while it compiles a CREATE TABLE: the functions of defaults, which it
// also calls later without asking, and foreign keys.
func (i *installer) checkDDL(table *store.Table, columns []store.ColumnShape, fault faultFunc) error {
	nothing := &policy{projection: i.projection.Name}
	for _, column := range columns {
		if column.Default == "" {
			continue
		}
		statement, refusal, err := i.conn.vet(nothing, "SELECT ("+column.Default+")", "SELECT")
		if err != nil {
			return err
		}
		if refusal != "" {
			return fault("the default of column %q %s", column.Name, refusal)
		}
		statement.close()
	}
	return i.conn.query("SELECT \"table\" FROM pragma_foreign_key_list($1)", func(row *prepared) error {
		if parent := row.ColumnText(0); !i.catalogue.policy.tables[strings.ToLower(parent)] {
			return fault("refers to %s, which is not a table of the projection", parent)
		}
		return nil
	}, i.projection.tableName(table.Name))
}

// checkTypes finds a column that a module's own DDL makes otherwise than declared.
func (i *installer) checkTypes(table *store.Table, shape *store.TableShape) error {
	for _, c := range table.Columns {
		at := slices.IndexFunc(shape.Columns, func(is store.ColumnShape) bool { return is.Name == c.Name })
		reason := ""
		if at < 0 {
			reason = fmt.Sprintf("column %q is declared, its ddl lacks it", c.Name)
		} else if is := shape.Columns[at].Type; !fits(c.Type, is) {
			reason = fmt.Sprintf("column %q is declared %s, which needs %s in SQLite, in its ddl it is %s", c.Name, c.Type, storageOf(c.Type), is)
		}
		if reason != "" {
			return &store.CatalogueError{Item: fmt.Sprintf("table %q", table.Name), Reason: reason}
		}
	}
	return nil
}
