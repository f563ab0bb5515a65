package replay

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pupwasm/pupwasm/internal/bundle"
	"github.com/pupwasm/pupwasm/internal/trial"
	"github.com/pupwasm/pupwasm/store"
)

// restorer puts the rows of a bundle into the tables of a projection.
type restorer struct {
	projection store.Projection // with an insert for each table that has rows, and nothing else
	mutations  []store.Mutation
	columns    map[string][]store.Column // that are inserted, by table: those of its key first
	leftOut    []string                  // what the projection does not declare
}

// restoreName is the worker's under which rows are put back.
const restoreName = "restore"

// restore installs the tables, and puts the rows back that they had before the first event of the log. It returns
// what could not be put back, since the module declares no such table or column.
func restore(ctx context.Context, tables store.Tables, log *trial.Log, b *bundle.Bundle, p *store.Projection) (
	leftOut []string, err error,
) {
	r := &restorer{projection: *p, columns: map[string][]store.Column{}}
	r.projection.Writes, r.projection.Queries = nil, nil
	for i := range b.Rows {
		if err := r.add(&b.Rows[i]); err != nil {
			return nil, fmt.Errorf("rows.jsonl:%d: %w", i+1, err)
		}
	}
	if len(r.mutations) == 0 {
		return r.leftOut, nil
	}
	catalogue, err := tables.Install(ctx, &r.projection, 1)
	if err != nil {
		return nil, err
	}
	worker := store.Worker{Name: restoreName}
	if err := tables.Heartbeat(ctx, worker, time.Hour); err != nil {
		return nil, err
	}
	claims, err := tables.Claim(ctx, store.ClaimRequest{Projection: p.ID(), Worker: restoreName, Limit: 1})
	if err == nil && len(claims) == 0 {
		err = store.ErrFenced // nobody else knows of the database
	}
	if err != nil {
		return nil, err
	}
	if err := tables.Adopt(ctx, claims[0], log.ID()); err != nil {
		return nil, err
	}
	tx := catalogue.Begin(claims[0])
	defer tx.Rollback()
	err = tx.Commit(ctx, store.Commit{
		Through: b.Fault.Position - 1, Log: log.ID(), Head: log.Head(),
		Steps: store.NewFolder(&r.projection).Fold(r.mutations),
	})
	var rejection *store.RejectedError
	if errors.As(err, &rejection) {
		return nil, fmt.Errorf("the rows of the bundle do not fit the module's tables: %s", rejection.Reason)
	}
	if err != nil {
		return nil, err
	}
	return r.leftOut, tables.Leave(ctx, worker)
}

// add takes a row. Rows of one table have the same columns.
func (r *restorer) add(row *bundle.Row) error {
	table, known := r.projection.Table(row.Table)
	if !known {
		r.leaveOut("table " + row.Table)
		return nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(row.Values, &members); err != nil {
		return err
	}
	for name := range members {
		if column, known := table.Column(name); !known || column.Generated != nil {
			r.leaveOut(fmt.Sprintf("column %s of table %s", name, row.Table))
			delete(members, name)
		}
	}
	columns, begun := r.columns[table.Name]
	if !begun {
		var err error
		if columns, err = r.insert(table, members); err != nil {
			return err
		}
	}
	mutation := store.Mutation{Write: slices.IndexFunc(r.projection.Writes, func(w store.Write) bool {
		return w.Table == table.Name
	})}
	if len(members) != len(columns) {
		return fmt.Errorf("the rows of table %s have different columns", table.Name)
	}
	for _, column := range columns {
		text, has := members[column.Name]
		if !has {
			return fmt.Errorf("the rows of table %s have different columns", table.Name)
		}
		value, err := bundle.Value(column.Type, text)
		if err != nil {
			return fmt.Errorf("column %s of table %s %w", column.Name, table.Name, err)
		}
		mutation.Values = append(mutation.Values, value)
	}
	r.mutations = append(r.mutations, mutation)
	return nil
}

// insert declares the insert of a table, by its first row.
func (r *restorer) insert(table *store.Table, members map[string]json.RawMessage) ([]store.Column, error) {
	write := store.Write{Name: "restore_" + table.Name, Action: store.Insert, Table: table.Name}
	var columns []store.Column
	for _, name := range table.Key {
		if _, has := members[name]; !has {
			return nil, fmt.Errorf("a row lacks column %s of the key of table %s", name, table.Name)
		}
		column, _ := table.Column(name)
		columns = append(columns, column)
	}
	for _, column := range table.Columns {
		_, has := members[column.Name]
		if !has && column.NotNull && len(column.Default) == 0 && column.Generated == nil {
			return nil, fmt.Errorf("a row lacks column %s of table %s, which is not null", column.Name, table.Name)
		}
		if has && !slices.Contains(table.Key, column.Name) {
			columns = append(columns, column)
			write.Columns = append(write.Columns, store.WriteColumn{Name: column.Name})
		}
	}
	r.projection.Writes = append(r.projection.Writes, write)
	r.columns[table.Name] = columns
	return columns, nil
}

func (r *restorer) leaveOut(what string) {
	if !slices.Contains(r.leftOut, what) {
		r.leftOut = append(r.leftOut, what)
	}
}

// Change is a row that a replay has made or removed. A row that it has changed is both.
type Change struct {
	Table   string          `json:"table"`
	Removed bool            `json:"removed,omitempty"`
	Row     json.RawMessage `json:"row"`
}

// tableRow is a row of a table. Its key tells it from the others of the table: all of it where the table has no key.
type tableRow struct{ table, key, values string }

func compareRows(a, b tableRow) int {
	return cmp.Or(strings.Compare(a.table, b.table), strings.Compare(a.key, b.key), strings.Compare(a.values, b.values))
}

// rowsOf returns all rows of the tables, in order.
func rowsOf(ctx context.Context, tables store.Tables, p *store.Projection) (all []tableRow, err error) {
	var rows store.Rows
	for i := range p.Tables {
		table := &p.Tables[i]
		if err := tables.ReadRows(ctx, store.RowsRequest{Projection: p, Table: table.Name}, &rows); err != nil {
			return nil, err
		}
		key := store.Table{}
		isKey := func(column string) bool { return len(table.Key) == 0 || slices.Contains(table.Key, column) }
		for _, c := range table.Columns {
			if isKey(c.Name) {
				key.Columns = append(key.Columns, c)
			}
		}
		for values := range slices.Chunk(rows.Values, rows.Width) {
			var ofKey []store.Value
			for n, c := range table.Columns {
				if isKey(c.Name) {
					ofKey = append(ofKey, values[n])
				}
			}
			all = append(all, tableRow{
				table: table.Name, key: string(bundle.AppendRow(nil, &key, ofKey, true)),
				values: string(bundle.AppendRow(nil, table, values, true)),
			})
		}
	}
	slices.SortFunc(all, compareRows)
	return all, nil
}

// changes returns what is in only one of two sorted lists. What was removed of a key comes before what was added.
func changes(before, after []tableRow) []Change {
	all, keys := []Change{}, []string{}
	add := func(row tableRow, removed bool) {
		at := len(all)
		for removed && at > 0 && !all[at-1].Removed && all[at-1].Table == row.table && keys[at-1] == row.key {
			at--
		}
		all = slices.Insert(all, at, Change{Table: row.table, Removed: removed, Row: json.RawMessage(row.values)})
		keys = slices.Insert(keys, at, row.key)
	}
	for len(before) > 0 || len(after) > 0 {
		order := 0
		switch {
		case len(before) == 0:
			order = 1
		case len(after) == 0:
			order = -1
		default:
			order = compareRows(before[0], after[0])
		}
		if order < 0 {
			add(before[0], true)
		} else if order > 0 {
			add(after[0], false)
		}
		if order <= 0 {
			before = before[1:]
		}
		if order >= 0 {
			after = after[1:]
		}
	}
	return all
}
