package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm/store"
)

// Published returns a projection as readers see it. See [store.Projections].
func (s backend) Published(ctx context.Context, projection string) (*store.Projection, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	versions, err := readVersions(ctx, s.pool, &s.queries, projection)
	if err != nil {
		return nil, translate(err)
	}
	installed := versions.Live()
	if installed == nil {
		return nil, store.UnknownProjection(projection)
	}
	published := &store.Projection{
		Name: installed.Name, Version: installed.Version, Build: installed.Build, Tables: installed.Tables,
		Views: installed.Views,
	}
	readers := s.placed(published).readers
	for _, view := range installed.Views {
		columns, err := s.viewColumns(ctx, quote(readers, view.Name))
		if err != nil {
			return nil, err
		}
		if len(columns) > 0 {
			published.Tables = append(published.Tables, store.Table{Name: view.Name, Columns: columns})
		}
	}
	return published, nil
}

// viewColumns returns the columns of a view, or none when it is not there.
func (s *Store) viewColumns(ctx context.Context, view string) ([]store.Column, error) {
	rows, err := s.pool.Query(ctx, `SELECT a.attname, format_type(a.atttypid, NULL) FROM pg_attribute a
		WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`, view)
	if err != nil {
		return nil, translate(err)
	}
	columns, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c store.Column, err error) {
		var name string
		err = row.Scan(&c.Name, &name)
		c.Type = typeOf(name)
		return c, err
	})
	return columns, translate(err)
}

// narrower are types of the database whose values a declared type has too.
var narrower = map[string]store.Kind{
	"smallint": store.KindI64, "integer": store.KindI64, "real": store.KindF64, "json": store.KindJSON,
}

// typeOf is the type of a declaration that has the values of a type of the database, by its name, or text.
func typeOf(name string) store.Type {
	base, array := strings.CutSuffix(name, "[]")
	if kind, is := narrower[base]; is {
		return store.Type{Kind: kind, Array: array}
	}
	for kind, wire := range wireTypes {
		if wire.name == base {
			return store.Type{Kind: kind, Array: array}
		}
	}
	return store.Type{Kind: store.KindText}
}

// readOnlyStatement keeps the rest of a transaction from changing anything.
var readOnlyStatement = statement{sql: "SELECT pg_catalog.set_config('transaction_read_only', 'on', true)"}

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
	read, params := s.rowsStatement(request, table, conditions)
	pinned := &parameters{}
	pinned.add(pinParams[0], s.transactionLimits())
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	conn, err := s.acquire(ctx)
	if err != nil {
		return translate(err)
	}
	defer conn.Release()
	boundRows(conn, store.ResultBytesMax)
	defer boundRows(conn, eventBytesMax)
	p := s.startPipeline(ctx, conn)
	p.send(&statement{sql: s.queries.pin, params: pinParams}, pinned.values())
	p.send(&readOnlyStatement, nil)
	p.send(read, params.values())
	return p.finish(func(of *statementResult) error {
		if of.statement != read {
			return of.drain()
		}
		return of.collect(rows)
	})
}

// rowsStatement makes the statement that reads rows. A cast to the type that a column has is none, and its index serves.
func (s *Store) rowsStatement(
	request store.RowsRequest, table *store.Table, conditions []store.Condition,
) (*statement, *parameters) {
	read, params := &statement{name: store.TableRows(table.Name)}, &parameters{}
	columns := make([]string, len(table.Columns))
	for i, c := range table.Columns {
		columns[i], read.results = resultExpression(quote(c.Name), c.Type), append(read.results, c.Type)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "SELECT %s FROM %s", strings.Join(columns, ", "),
		quote(s.placed(request.Projection).readers, table.Name))
	for i, c := range conditions {
		joined := " AND "
		if i == 0 {
			joined = " WHERE "
		}
		read.params = append(read.params, c.Column.Type)
		params.add(c.Column.Type, c.Value)
		fmt.Fprintf(&b, "%s%s::%s = $%d", joined, quote(c.Column.Name), sqlType(c.Column.Type), i+1)
	}
	if request.Ordered && len(table.Key) > 0 {
		b.WriteString(" ORDER BY " + quoteList(table.Key))
	}
	if request.Limit > 0 {
		fmt.Fprintf(&b, " LIMIT %d", request.Limit)
	}
	read.sql = b.String()
	return read, params
}
