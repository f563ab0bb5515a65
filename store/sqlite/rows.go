package sqlite

import (
	"context"
	"fmt"
	"strings"

	"github.com/pupwasm/pupwasm/store"
)

// Published returns a projection as readers see it. See [store.Projections].
func (s backend) Published(ctx context.Context, projection string) (published *store.Projection, err error) {
	err = s.read(ctx, func(c *conn) error {
		versions, err := c.versions(&s.queries, projection)
		if err != nil {
			return err
		}
		installed := versions.Live()
		if installed == nil {
			return store.UnknownProjection(projection)
		}
		published = &store.Projection{
			Name: installed.Name, Version: installed.Version, Build: installed.Build, Tables: installed.Tables,
			Views: installed.Views,
		}
		readers := s.placed(published).readers
		for _, view := range installed.Views {
			columns, err := c.viewColumns(inPlace(readers, view.Name))
			if err != nil {
				return err
			}
			if len(columns) > 0 {
				published.Tables = append(published.Tables, store.Table{Name: view.Name, Columns: columns})
			}
		}
		return nil
	})
	return published, err
}

// viewColumns returns the columns of a view, or none when it is not there. SQLite does not know the types of what is
// computed.
func (c *conn) viewColumns(view string) (columns []store.Column, err error) {
	err = c.query("SELECT name FROM pragma_table_info($1) ORDER BY cid", func(row *prepared) error {
		columns = append(columns, store.Column{Name: row.ColumnText(0)})
		return nil
	}, view)
	return columns, err
}

// ReadRows reads rows of a table through its view. See [store.Projections].
func (s backend) ReadRows(ctx context.Context, request store.RowsRequest, rows *store.Rows) error {
	table, conditions, possible, err := request.Conditions()
	if err != nil {
		return err
	}
	rows.Reset(len(table.Columns))
	if !possible {
		return nil
	}
	entry, values := s.rowsStatement(request, table, conditions)
	return s.read(ctx, func(c *conn) error {
		statement, err := c.prepareNew(entry.sql)
		if err == nil {
			defer statement.close()
			if err = statement.bindRow(&entry, values); err == nil {
				err = statement.collect(&entry, 0, rows)
			}
		}
		return rejected(entry.name, err)
	})
}

// rowsStatement makes the statement that reads rows.
func (s *Store) rowsStatement(
	request store.RowsRequest, table *store.Table, conditions []store.Condition,
) (entry statement, values []store.Value) {
	entry.name = store.TableRows(table.Name)
	columns := make([]string, len(table.Columns))
	for i, c := range table.Columns {
		columns[i], entry.results = c.Name, append(entry.results, c.Type)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "SELECT %s FROM %s", quoteList(columns), quote(inPlace(s.placed(request.Projection).readers, table.Name)))
	for i, c := range conditions {
		joined := " AND "
		if i == 0 {
			joined = " WHERE "
		}
		b.WriteString(joined + equals(c, fmt.Sprintf("$%d", i+1)))
		of := c.Column.Type
		if of.Kind == store.KindNull {
			of.Kind = store.KindText
		}
		entry.params, values = append(entry.params, of), append(values, c.Value)
		if c.Key {
			entry.keys++
		}
	}
	if request.Ordered && len(table.Key) > 0 {
		b.WriteString(" ORDER BY " + quoteList(table.Key))
	}
	if request.Limit > 0 {
		fmt.Fprintf(&b, " LIMIT %d", request.Limit)
	}
	entry.sql = b.String()
	return entry, values
}

// equals compares a column with a parameter. Numerics that are no key are stored with the decimals that they came with,
// and so are equal when neither is smaller.
func equals(c store.Condition, parameter string) string {
	name := quote(c.Column.Name)
	switch {
	case c.Column.Type.Kind == store.KindNull:
		return fmt.Sprintf("CAST(%s AS TEXT) = %s", name, parameter)
	case c.Column.Type.Kind == store.KindNumeric && !c.Key:
		return fmt.Sprintf("%[1]s IS NOT NULL AND %[2]s(%[1]s, %[4]s) = %[3]s(%[1]s, %[4]s)", name, minNumericFunction,
			maxNumericFunction, parameter)
	}
	return name + " = " + parameter
}
