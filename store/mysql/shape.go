package mysql

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/pupwasm/pupwasm/store"
)

// createTables makes all tables, and returns their shapes as they are stored.
func (i *installer) createTables() (string, error) {
	for t := range i.projection.Tables {
		table := &i.projection.Tables[t]
		if err := i.createTable(table); err != nil {
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
	if i.live { // what nobody reads is built without them: see indexes.go
		if err := i.createIndexes(found); err != nil {
			return "", err
		}
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
		return err
	}
	return i.define(table, statement)
}

// define runs a statement of ours that makes or changes a table.
func (i *installer) define(table *store.Table, statement string) error {
	_, err := i.conn.exec(statement)
	return i.refused(fmt.Sprintf("table %q", table.Name), "making table "+table.Name, err)
}

const (
	shapeColumns = `SELECT table_name, column_name, CONCAT(column_type, COALESCE(CONCAT(' ', collation_name), '')),
			CONCAT(column_type, COALESCE(CONCAT(' COLLATE ', collation_name), '')), is_nullable = 'NO',
			IF(extra LIKE '%auto_increment%', 'auto_increment', COALESCE(NULLIF(column_default, 'NULL'), '')),
			is_generated = 'ALWAYS'
		FROM information_schema.columns WHERE table_schema = $1 AND table_name IN $2 ORDER BY table_name, ordinal_position`

	shapeIndexes = `SELECT table_name, index_name, column_name, non_unique = 0, sub_part IS NOT NULL
		FROM information_schema.statistics
		WHERE table_schema = $1 AND table_name IN $2 AND index_type = 'BTREE' AND ignored = 'NO'
		ORDER BY table_name, index_name, seq_in_index`
)

// shapes returns the projection's tables as they are in the database, without those that are not there.
func (i *installer) shapes() ([]store.TableShape, error) {
	names := make([]string, len(i.projection.Tables))
	for t := range i.projection.Tables {
		names[t] = i.projection.Tables[t].Name
	}
	shapes := []store.TableShape{}
	if len(names) == 0 {
		return shapes, nil
	}
	found, err := i.conn.objects(i.projection.tables, names...)
	if err != nil {
		return nil, err
	}
	of := map[string]*store.TableShape{}
	for _, name := range names {
		if slices.Contains(found, object{name, kindTable}) {
			shapes = append(shapes, store.TableShape{Name: name})
		}
	}
	for t := range shapes {
		of[shapes[t].Name] = &shapes[t]
	}
	err = i.conn.query(shapeColumns, func(r *row) error {
		if shape := of[r.text(0)]; shape != nil {
			shape.Columns = append(shape.Columns, store.ColumnShape{
				Name: r.text(1), Type: r.text(2), Shown: r.text(3), NotNull: r.bool(4), Default: r.text(5), Generated: r.bool(6),
			})
		}
		return nil
	}, i.projection.tables, names)
	if err != nil {
		return nil, fmt.Errorf("looking at the tables: %w", err)
	}
	last := [2]string{}
	err = i.conn.query(shapeIndexes, func(r *row) error {
		shape := of[r.text(0)]
		if shape == nil {
			return nil
		}
		if this := [2]string{r.text(0), r.text(1)}; this != last {
			shape.Indexes, last = append(shape.Indexes, store.IndexShape{Unique: true}), this
		}
		index := &shape.Indexes[len(shape.Indexes)-1]
		index.Columns = append(index.Columns, r.text(2))
		// An index over the beginnings of values finds rows, and refuses other than equal ones.
		index.Unique = index.Unique && r.bool(3) && !r.bool(4)
		return nil
	}, i.projection.tables, names)
	if err != nil {
		return nil, fmt.Errorf("looking at the indexes: %w", err)
	}
	return shapes, nil
}
