package sqlite

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ncruces/go-sqlite3"

	"github.com/pupwasm/pupwasm/store"
)

type faultFunc func(format string, args ...any) error

// installTable creates a table that is missing, and checks that one that is there is as declared.
func (i *installer) installTable(table *store.Table) error {
	fault := func(format string, args ...any) error {
		return &store.CatalogueError{Item: fmt.Sprintf("table %q", table.Name), Reason: fmt.Sprintf(format, args...)}
	}
	columns, err := i.columnsOf(table)
	if err != nil {
		return err
	}
	origin, remedy := "the table in the database", fmt.Sprintf(": run 'pupwasm reset %s' to build it anew", i.projection.Name)
	if columns == nil {
		origin, remedy = "its ddl", ""
		if err := i.create(table, fault); err != nil {
			return err
		}
		if columns, err = i.columnsOf(table); err != nil {
			return err
		}
	}
	for _, c := range table.Columns {
		switch actual, exists := columns[c.Name]; {
		case !exists:
			return fault("column %q is declared, %s lacks it%s", c.Name, origin, remedy)
		case !fits(c.Type, actual.declared):
			return fault("column %q is declared %s, which needs %s in SQLite, in %s it is %s%s",
				c.Name, c.Type, storageOf(c.Type), origin, actual.declared, remedy)
		}
	}
	return nil
}

func (i *installer) create(table *store.Table, fault faultFunc) error {
	if table.DDL != nil {
		item := fmt.Sprintf("ddl of table %q", table.Name)
		if _, ok := table.DDL.For(store.DialectSQLite); ok {
			text, err := declared(i.projection, item, table.DDL)
			if err != nil {
				return err
			}
			return i.runDDL(table, text, func(format string, args ...any) error {
				return &store.CatalogueError{Item: item, Reason: fmt.Sprintf(format, args...)}
			})
		}
	}
	statements, err := createTable(i.projection, table)
	if err != nil {
		return fault("%s", err)
	}
	for _, statement := range statements {
		if err := i.conn.db.Exec(statement); err != nil {
			var code sqlite3.ErrorCode
			if errors.As(err, &code) && !transient(code) {
				return fault("%s", reason(err))
			}
			return fmt.Errorf("creating table %s: %w", table.Name, err)
		}
	}
	return nil
}

// runDDL runs one CREATE TABLE that a module brought.
func (i *installer) runDDL(table *store.Table, ddl string, fault faultFunc) error {
	creating := *i.catalogue.policy
	creating.creating = tableName(i.projection.Name, table.Name)
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
	columns, err := i.columnsOf(table)
	if err != nil {
		return err
	}
	if columns == nil {
		return fault("does not make %s", creating.creating)
	}
	return i.checkDDL(table, columns, fault)
}

// checkDDL looks at what SQLite does not ask about while it compiles a CREATE TABLE: the functions of defaults, which it
// also calls later without asking, and foreign keys.
func (i *installer) checkDDL(table *store.Table, columns map[string]columnInfo, fault faultFunc) error {
	nothing := &policy{projection: i.projection.Name}
	for name, column := range columns {
		if column.standard == "" {
			continue
		}
		statement, refusal, err := i.conn.vet(nothing, "SELECT ("+column.standard+")", "SELECT")
		if err != nil {
			return err
		}
		if refusal != "" {
			return fault("the default of column %q %s", name, refusal)
		}
		statement.close()
	}
	return i.conn.query("SELECT \"table\" FROM pragma_foreign_key_list($1)", func(row *prepared) error {
		if parent := row.ColumnText(0); !i.catalogue.policy.tables[strings.ToLower(parent)] {
			return fault("refers to %s, which is not a table of the projection", parent)
		}
		return nil
	}, tableName(i.projection.Name, table.Name))
}

// columnInfo is a column as it is in the file.
type columnInfo struct {
	declared string
	standard string // the expression of the default
}

// columnsOf returns a table's columns by name, or nil when there is no table.
func (i *installer) columnsOf(table *store.Table) (map[string]columnInfo, error) {
	var columns map[string]columnInfo
	err := i.conn.query("SELECT name, type, coalesce(dflt_value, '') FROM pragma_table_xinfo($1)", func(row *prepared) error {
		if columns == nil {
			columns = map[string]columnInfo{}
		}
		columns[row.ColumnText(0)] = columnInfo{declared: row.ColumnText(1), standard: row.ColumnText(2)}
		return nil
	}, tableName(i.projection.Name, table.Name))
	if err != nil {
		return nil, fmt.Errorf("looking at table %s: %w", table.Name, err)
	}
	return columns, nil
}
