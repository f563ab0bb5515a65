package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/pupwasm/pupwasm/store"
)

// ReadRows reads rows of a table through its view. See [store.Projections].
func (s backend) ReadRows(ctx context.Context, request store.RowsRequest, rows *store.Rows) error {
	table, known := request.Projection.Table(request.Table)
	if !known {
		return store.UnknownTable(request.Projection.Name, request.Table)
	}
	rows.Reset(len(table.Columns))
	place := s.placed(request.Projection)
	read, params := &statement{name: store.TableRows(table.Name)}, &parameters{}
	columns := make([]string, len(table.Columns))
	for i, c := range table.Columns {
		columns[i], read.results = resultExpression(quote(c.Name), c.Type), append(read.results, c.Type)
	}
	read.sql = fmt.Sprintf("SELECT %s FROM %s", strings.Join(columns, ", "), quote(place.readers, table.Name))
	if request.Key != nil {
		value, ok := table.KeyValue(request.Key)
		if !ok {
			return nil
		}
		_, column, _ := table.Mark()
		read.sql, read.params = read.sql+" WHERE "+quote(column.Name)+" = $1", []store.Type{column.Type}
		params.add(column.Type, value)
	}
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
	p.send(read, params.values())
	return p.finish(func(of *statementResult) error { return of.collect(rows) })
}
