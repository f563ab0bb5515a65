package mysql

import (
	"context"
	"fmt"
	"strings"

	"github.com/pupwasm/pupwasm/store"
)

// Published returns a projection as readers see it. See [store.Projections].
func (s backend) Published(ctx context.Context, projection string) (published *store.Projection, err error) {
	err = s.read(ctx, func(c *conn) error {
		versions, err := c.versions(&s.queries.versions, projection)
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
			columns, err := c.viewColumns(readers, view.Name)
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

// viewColumns returns the columns of a view, or none when it is not there.
func (c *conn) viewColumns(database, view string) (columns []store.Column, err error) {
	err = c.query(`SELECT column_name, data_type, column_type FROM information_schema.columns
		WHERE table_schema = $1 AND table_name = $2 ORDER BY ordinal_position`, func(r *row) error {
		columns = append(columns, store.Column{Name: r.text(0), Type: typeOf(r.text(1), r.text(2))})
		return nil
	}, database, view)
	return columns, err
}

// typeOf is the type of a declaration that has the values of a type of the database. Arrays and JSON are texts there.
// NULL has no type.
func typeOf(name, whole string) store.Type {
	kind := store.KindText
	switch name {
	case "tinyint", "smallint", "mediumint", "int", "bigint", "year":
		kind = store.KindI64
		switch {
		case whole == "tinyint(1)":
			kind = store.KindBool
		case name == "bigint" && strings.HasSuffix(whole, "unsigned"):
			kind = store.KindNumeric
		}
	case "float", "double":
		kind = store.KindF64
	case "decimal":
		kind = store.KindNumeric
	case "datetime", "timestamp":
		kind = store.KindTimestamp
	case "binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob":
		kind = store.KindBytes
		switch whole {
		case "binary(16)":
			kind = store.KindUUID
		case "binary(0)":
			kind = store.KindNull
		}
	}
	return store.Type{Kind: kind}
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
	name := store.TableRows(table.Name)
	query, err := s.rowsQuery(request, table, conditions)
	if err != nil {
		return &store.RejectedError{Statement: name, Reason: err.Error()}
	}
	results := make([]store.Type, len(table.Columns))
	for i, c := range table.Columns {
		results[i] = c.Type
	}
	return s.read(ctx, func(c *conn) error {
		return rejected(&statement{name: name}, c.query(query, func(r *row) error { return r.collect(results, rows) }))
	})
}

// rowsQuery makes the query that reads rows.
func (s *Store) rowsQuery(request store.RowsRequest, table *store.Table, conditions []store.Condition) (string, error) {
	columns := make([]string, len(table.Columns))
	for i, c := range table.Columns {
		columns[i] = c.Name
	}
	var b []byte
	if limit := s.options.TransactionTimeout; limit > 0 {
		b = fmt.Appendf(b, "SET STATEMENT max_statement_time = %g FOR ", limit.Seconds())
	}
	b = fmt.Appendf(b, "SELECT %s FROM %s", quoteList(columns), quoteIn(s.placed(request.Projection).readers, table.Name))
	for i, c := range conditions {
		joined := " AND "
		if i == 0 {
			joined = " WHERE "
		}
		column, of := quote(c.Column.Name), c.Column.Type
		if of.Kind == store.KindNull {
			column, of.Kind = "CAST("+column+" AS CHAR)", store.KindText
		}
		var err error
		if b, err = appendValue(append(b, joined+column+" = "...), of, c.Value, c.Key); err != nil {
			return "", err
		}
	}
	if request.Ordered && len(table.Key) > 0 {
		b = append(b, " ORDER BY "+quoteList(table.Key)...)
	}
	if request.Limit > 0 {
		b = fmt.Appendf(b, " LIMIT %d", request.Limit)
	}
	return string(b), nil
}

// errResult is what is wrong with a value of a result.
type errResult struct{ error }

// collect adds a row to rows.
func (r *row) collect(results []store.Type, rows *store.Rows) error {
	for at, t := range results {
		if err := rows.Reserve(r.size(at, t)); err != nil {
			return errResult{err}
		}
		value, err := r.value(at, t)
		if err != nil {
			return errResult{err}
		}
		rows.Values = append(rows.Values, value)
	}
	return nil
}
