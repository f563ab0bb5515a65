package trial

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// Difference is how the rows of one table differ between two runs.
type Difference struct {
	Table  string `json:"table"`
	Rows   int64  `json:"rows"`   // the greater number of rows that a run has
	Differ int64  `json:"differ"` // how many of them the other one does not have
	// Was and Is are one example: a row of the first run, and the row of the second run that has the same key. One of
	// them may be empty.
	Was string `json:"was,omitempty"`
	Is  string `json:"is,omitempty"`
}

// Compare compares the rows of two runs, table by table, by the columns that both have with the same type. Tables that only one has are
// left out. The databases do the work: rows are never in memory all at once.
func Compare(ctx context.Context, before, after *Result) (differences []Difference, err error) {
	err = before.query(ctx, func(conn *sql.Conn) error {
		if _, err := conn.ExecContext(ctx, "ATTACH DATABASE ? AS other", after.Path); err != nil {
			return err
		}
		for i := range before.Projection.Tables {
			table, known := after.Projection.Table(before.Projection.Tables[i].Name)
			if !known {
				continue
			}
			c, some := newComparison(conn, before, after, &before.Projection.Tables[i], table)
			if !some {
				continue
			}
			difference, err := c.run(ctx)
			if err != nil {
				return fmt.Errorf("comparing table %s: %w", table.Name, err)
			}
			differences = append(differences, difference)
		}
		return nil
	})
	return differences, err
}

// Rows returns how many rows the run has made, in all tables.
func (r *Result) Rows(ctx context.Context) (all int64, err error) {
	err = r.query(ctx, func(conn *sql.Conn) error {
		for i := range r.Projection.Tables {
			n, err := count(ctx, conn, r.table("main", r.Projection.Tables[i].Name))
			if err != nil {
				return fmt.Errorf("counting the rows of table %s: %w", r.Projection.Tables[i].Name, err)
			}
			all += n
		}
		return nil
	})
	return all, err
}

// query opens the database for one connection.
func (r *Result) query(ctx context.Context, fn func(conn *sql.Conn) error) error {
	db, err := sqlite.OpenSQL(r.Path)
	if err != nil {
		return err
	}
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return fn(conn)
}

// table is the name of a table in SQL, in a database of a connection.
func (r *Result) table(database, table string) string {
	place := store.PlaceOf(store.DefaultSchema, r.Projection.ID())
	return database + "." + quote(place.Readers+"__"+table)
}

// comparison is that of one table.
type comparison struct {
	conn          *sql.Conn
	name          string
	columns       []string // those of the key first
	key           int      // how many columns are the key; 0 where the table has none
	before, after string   // the tables in SQL
}

// newComparison reports some as false when the tables have no column in common.
func newComparison(conn *sql.Conn, before, after *Result, was, is *store.Table) (c *comparison, some bool) {
	c = &comparison{
		conn: conn, name: was.Name, before: before.table("main", was.Name), after: after.table("other", is.Name),
	}
	for _, column := range was.Columns {
		if other, has := is.Column(column.Name); has && other.Type == column.Type {
			c.columns = append(c.columns, column.Name)
		}
	}
	slices.SortStableFunc(c.columns, func(a, b string) int {
		return cmp.Compare(place(was.Key, a), place(was.Key, b))
	})
	if len(was.Key) <= len(c.columns) && slices.Equal(was.Key, c.columns[:len(was.Key)]) {
		c.key = len(was.Key)
	}
	return c, len(c.columns) > 0
}

// place is the place of a column in a key, behind which the others come.
func place(key []string, column string) int {
	if at := slices.Index(key, column); at >= 0 {
		return at
	}
	return len(key)
}

func (c *comparison) run(ctx context.Context) (d Difference, err error) {
	d.Table = c.name
	gone, added := c.only(c.before, c.after), c.only(c.after, c.before)
	for _, number := range []struct {
		of   string
		into *int64
	}{{c.before, &d.Rows}, {c.after, &d.Rows}, {gone, &d.Differ}, {added, &d.Differ}} {
		n, err := count(ctx, c.conn, number.of)
		if err != nil {
			return d, err
		}
		*number.into = max(*number.into, n)
	}
	if d.Differ == 0 {
		return d, nil
	}
	var key []any
	if d.Was, key, err = c.example(ctx, gone, nil); err == nil {
		d.Is, _, err = c.example(ctx, added, key)
	}
	return d, err
}

// only selects the rows that a table has and another one does not have, with how often they are there.
func (c *comparison) only(table, other string) string {
	rows := func(of string) string {
		return fmt.Sprintf("SELECT %[1]s, count(*) AS \"copies of it\" FROM %[2]s GROUP BY %[1]s", quoteAll(c.columns), of)
	}
	return "(" + rows(table) + " EXCEPT " + rows(other) + ")"
}

// example returns the first row, of those with the key unless that is empty, and its key. There may be none.
func (c *comparison) example(ctx context.Context, from string, key []any) (text string, ofRow []any, err error) {
	query := "SELECT " + quoteAll(c.columns) + " FROM " + from
	for i := range key {
		query += map[bool]string{true: " WHERE ", false: " AND "}[i == 0] + quote(c.columns[i]) + " IS ?"
	}
	values, into := make([]any, len(c.columns)), make([]any, len(c.columns))
	for i := range values {
		into[i] = &values[i]
	}
	query += " ORDER BY " + quoteAll(c.columns) + " LIMIT 1"
	err = c.conn.QueryRowContext(ctx, query, key...).Scan(into...)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil, nil
	}
	return rowText(c.columns, values), values[:c.key], err
}

func count(ctx context.Context, conn *sql.Conn, of string) (n int64, err error) {
	err = conn.QueryRowContext(ctx, "SELECT count(*) FROM "+of).Scan(&n)
	return n, err
}

// quote is for names that a declaration may have, which have no quotes in them.
func quote(name string) string { return `"` + name + `"` }

func quoteAll(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = quote(name)
	}
	return strings.Join(quoted, ", ")
}

// rowTextMax bounds the text of a row, in characters.
const rowTextMax = 500

// rowText is a row as name=value, with NULL and the text "NULL" distinct.
func rowText(columns []string, values []any) string {
	parts := make([]string, len(columns))
	for i, value := range values {
		if bytes, is := value.([]byte); is {
			value = fmt.Sprintf("%x", bytes)
		}
		text, err := json.Marshal(value)
		if err != nil { // a number that JSON does not have
			text = fmt.Append(nil, value)
		}
		parts[i] = columns[i] + "=" + string(text)
	}
	if text := []rune(strings.Join(parts, " ")); len(text) > rowTextMax {
		return string(text[:rowTextMax-1]) + "…"
	}
	return strings.Join(parts, " ")
}

func sortFaults(all []Fault) {
	slices.SortFunc(all, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Position, b.Position), strings.Compare(a.Key, b.Key))
	})
}
