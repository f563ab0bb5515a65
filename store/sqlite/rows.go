package sqlite

import (
	"context"
	"fmt"

	"github.com/pupwasm/pupwasm/store"
)

// ReadRows reads rows of a table through its view. See [store.Projections].
func (s backend) ReadRows(ctx context.Context, request store.RowsRequest, rows *store.Rows) error {
	table, known := request.Projection.Table(request.Table)
	if !known {
		return store.UnknownTable(request.Projection.Name, request.Table)
	}
	rows.Reset(len(table.Columns))
	entry := statement{name: store.TableRows(table.Name), keys: 1}
	columns := make([]string, len(table.Columns))
	for i, c := range table.Columns {
		columns[i], entry.results = c.Name, append(entry.results, c.Type)
	}
	entry.sql = fmt.Sprintf("SELECT %s FROM %s", quoteList(columns),
		quote(inPlace(s.placed(request.Projection).readers, table.Name)))
	var key []store.Value
	if request.Key != nil {
		value, ok := table.KeyValue(request.Key)
		if !ok {
			return nil
		}
		_, column, _ := table.Mark()
		entry.sql, entry.params, key = entry.sql+" WHERE "+quote(column.Name)+" = $1", []store.Type{column.Type},
			[]store.Value{value}
	}
	return s.read(ctx, func(c *conn) error {
		statement, err := c.prepareNew(entry.sql)
		if err == nil {
			defer statement.close()
			if err = statement.bindRow(&entry, key); err == nil {
				err = statement.collect(&entry, 0, rows)
			}
		}
		return rejected(entry.name, err)
	})
}
