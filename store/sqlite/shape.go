package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ncruces/go-sqlite3"

	"github.com/pupwasm/pupwasm/store"
)

// createTables makes all tables, and returns their shapes as they are stored.
func (i *installer) createTables() (string, error) {
	if i.projection.Bare() {
		return "[]", nil
	}
	for t := range i.projection.Tables {
		if err := i.createTable(&i.projection.Tables[t]); err != nil {
			return "", err
		}
	}
	found, err := i.shapes()
	if err != nil {
		return "", err
	}
	if err := i.projection.CheckTables(found); err != nil {
		return "", err
	}
	if err := i.createIndexes(); err != nil {
		return "", err
	}
	text, err := json.Marshal(found)
	return string(text), err
}

func (i *installer) createTable(table *store.Table) error {
	expressions, err := expressionsOf(i.projection, table)
	if err != nil {
		return err
	}
	if err := i.checkExpressions(table, expressions); err != nil {
		return err
	}
	statement, err := createTable(i.projection, table, expressions)
	if err != nil {
		return &store.CatalogueError{Item: fmt.Sprintf("table %q", table.Name), Reason: err.Error()}
	}
	return i.define(table, statement)
}

// define runs a statement of ours that makes a table or an index.
func (i *installer) define(table *store.Table, statement string) error {
	err := i.conn.db.Exec(statement)
	var code sqlite3.ErrorCode
	if errors.As(err, &code) && !ofTheFile(err) {
		return &store.CatalogueError{Item: fmt.Sprintf("table %q", table.Name), Reason: reason(err)}
	}
	if err != nil {
		return fmt.Errorf("creating table %s: %w", table.Name, err)
	}
	return nil
}

// createIndexes makes the declared indexes that are missing. One is left out when another index, such as the
// key's, serves the same searches.
func (i *installer) createIndexes() error {
	found, err := i.shapes()
	if err != nil {
		return err
	}
	for t := range found {
		table, _ := i.projection.Table(found[t].Name)
		for _, n := range found[t].Missing(table.Indexes) {
			if err := i.createIndex(table, n+1, table.Indexes[n]); err != nil {
				return err
			}
		}
	}
	return nil
}

// BuildIndexes makes the declared indexes that are missing, which Install does too: there is one writer, who would have
// to wait in any case. See [store.Projections].
func (s backend) BuildIndexes(
	ctx context.Context, projection *store.Projection, told func(store.IndexBuild),
) error {
	var missing []store.MissingIndex
	look := func(c *conn) error {
		found, err := (&installer{conn: c, projection: s.placed(projection)}).shapes()
		missing = projection.MissingIndexes(found)
		return err
	}
	if err := s.read(ctx, look); err != nil || len(missing) == 0 {
		return err
	}
	if told == nil {
		told = func(store.IndexBuild) {}
	}
	for _, index := range missing {
		told(store.IndexBuild{MissingIndex: index})
	}
	err := s.write(ctx, func(c *conn) error {
		return (&installer{conn: c, projection: s.placed(projection)}).createIndexes()
	})
	if err != nil {
		return err
	}
	for _, index := range missing {
		told(store.IndexBuild{MissingIndex: index, Done: true})
	}
	return nil
}

// createIndex makes an index under the first free name from a number on. It is named after prefix, table and
// number with two underscores between, which no table's name has.
func (i *installer) createIndex(table *store.Table, number int, columns []string) error {
	for ; ; number++ {
		name := fmt.Sprintf("%s__index_%d", i.projection.tableName(table.Name), number)
		taken, err := i.conn.some("SELECT 1 FROM sqlite_master WHERE lower(name) = $1", name)
		if err != nil {
			return fmt.Errorf("looking for index %s: %w", name, err)
		}
		if !taken {
			return i.define(table, fmt.Sprintf("CREATE INDEX %s ON %s (%s)", quote(name),
				i.projection.table(table.Name), quoteList(columns)))
		}
	}
}

// shapes returns the projection's tables as they are in the file, without those that are not there.
func (i *installer) shapes() ([]store.TableShape, error) {
	shapes := []store.TableShape{}
	for t := range i.projection.Tables {
		shape, err := i.shape(&i.projection.Tables[t])
		if err != nil {
			return nil, err
		}
		if shape != nil {
			shapes = append(shapes, *shape)
		}
	}
	return shapes, nil
}

// hiddenGenerated and hiddenStored are what table_xinfo says of generated columns.
const (
	hiddenGenerated = 2
	hiddenStored    = 3
)

// shape returns a table as it is in the file, or nil when there is none.
func (i *installer) shape(table *store.Table) (*store.TableShape, error) {
	name, shape := i.projection.tableName(table.Name), &store.TableShape{Name: table.Name}
	exists, err := i.conn.some("SELECT 1 FROM sqlite_master WHERE type = 'table' AND lower(name) = $1", name)
	if err != nil || !exists {
		return nil, err
	}
	key := store.IndexShape{Unique: true}
	err = i.conn.query("SELECT name, type, coalesce(dflt_value, ''), \"notnull\", hidden, pk FROM "+
		"pragma_table_xinfo($1) ORDER BY pk, cid", func(row *prepared) error {
		hidden := row.ColumnInt(4)
		c := store.ColumnShape{
			Name: row.ColumnText(0), Type: row.ColumnText(1), Default: row.ColumnText(2), NotNull: row.ColumnBool(3),
			Generated: hidden == hiddenGenerated || hidden == hiddenStored, Shown: row.ColumnText(1),
		}
		shape.Columns = append(shape.Columns, c)
		if row.ColumnInt(5) > 0 {
			key.Columns = append(key.Columns, c.Name)
		}
		return nil
	}, name)
	if err != nil {
		return nil, fmt.Errorf("looking at table %s: %w", table.Name, err)
	}
	if len(key.Columns) > 0 {
		shape.Indexes = append(shape.Indexes, key)
	}
	return shape, i.indexes(name, shape)
}

// indexes adds the indexes over plain columns to a shape.
func (i *installer) indexes(name string, shape *store.TableShape) error {
	err := i.conn.query("SELECT name, \"unique\" FROM pragma_index_list($1) WHERE NOT partial",
		func(row *prepared) error {
			index := store.IndexShape{Unique: row.ColumnBool(1)}
			plain := true
			err := i.conn.query("SELECT coalesce(name, ''), name IS NULL FROM pragma_index_info($1) ORDER BY seqno",
				func(column *prepared) error {
					index.Columns = append(index.Columns, column.ColumnText(0))
					plain = plain && !column.ColumnBool(1)
					return nil
				}, row.ColumnText(0))
			if err == nil && plain {
				shape.Indexes = append(shape.Indexes, index)
			}
			return err
		}, name)
	if err != nil {
		return fmt.Errorf("looking at the indexes of table %s: %w", shape.Name, err)
	}
	return nil
}
