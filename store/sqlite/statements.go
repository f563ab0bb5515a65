package sqlite

import (
	"fmt"
	"strings"

	"github.com/pupwasm/pupwasm/store"
)

// statement is one entry of the catalogue, ready to prepare.
type statement struct {
	name    string // as the user knows it: `write "total"`
	sql     string
	params  []store.Type // of one row
	results []store.Type
	keys    int            // parameters that are a key: the leading ones of a declarative entry
	module  bool           // SQL of the module runs in it: it is, or its table has generated columns or checks
	asks    bool           // is a query
	load    bool           // is run once for every key in the arrays that are its arguments
	owned   bool           // and keeps to rows of one partition key
	shape   store.RowShape // of a write
}

func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func quoteEach(names []string) []string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = quote(name)
	}
	return quoted
}

func quoteList(names []string) string { return strings.Join(quoteEach(names), ", ") }

// inPlace is the name of a table with a prefix.
func inPlace(prefix, table string) string { return prefix + "__" + table }

// placed is a projection with the prefixes of its tables' names and of those of the views for readers.
type placed struct {
	*store.Projection
	prefix  string
	readers string
}

func (s *Store) placed(projection *store.Projection) placed {
	place := store.PlaceOf(s.options.Schema, projection.ID())
	return placed{Projection: projection, prefix: place.Tables, readers: place.Readers}
}

// tableName is one of its tables in the file. The table's name does not contain two underscores.
func (p placed) tableName(table string) string { return inPlace(p.prefix, table) }

// table is the quoted name of one of its tables.
func (p placed) table(name string) string { return quote(p.tableName(name)) }

// declared returns the text that a module brought for this dialect.
func declared(p placed, item string, texts store.Statement) (string, error) {
	text, ok := texts.For(store.DialectSQLite)
	if !ok {
		return "", store.NoText(item, store.DialectSQLite)
	}
	expanded, err := p.ExpandTables(text, p.table)
	if err != nil {
		return "", &store.CatalogueError{Item: item, Reason: err.Error()}
	}
	return expanded, nil
}

// writeStatement makes the SQL of a write, which takes one row at a time.
func writeStatement(p placed, w *store.Write) (s statement, err error) {
	s = statement{
		name: fmt.Sprintf("write %q", w.Name), params: p.Parameters(w),
		owned: p.KeepsToKey(w.PartitionParam, w.Unordered), shape: p.RowShape(w),
	}
	if w.SQL != nil {
		s.module = true
		s.sql, err = declared(p, s.name, w.SQL)
		return s, err
	}
	table, _ := p.Table(w.Table)
	s.keys = len(table.Key)
	s.module = table.Computes()
	name := p.table(table.Name)
	if w.Action == store.Delete {
		s.sql = fmt.Sprintf("DELETE FROM %s WHERE %s", name, matchKey(table))
		return s, nil
	}
	columns := append([]string(nil), table.Key...)
	for _, c := range w.Columns {
		columns = append(columns, c.Name)
	}
	if len(columns) == 0 {
		s.sql = fmt.Sprintf("INSERT INTO %s DEFAULT VALUES", name)
		return s, nil
	}
	values := make([]string, len(columns))
	for i := range values {
		values[i] = fmt.Sprintf("$%d", i+1)
	}
	s.sql = fmt.Sprintf("INSERT INTO %s AS t (%s) VALUES (%s)%s", name, quoteList(columns), strings.Join(values, ", "),
		conflictClause(table, w))
	return s, nil
}

func matchKey(table *store.Table) string {
	match := make([]string, len(table.Key))
	for i, name := range table.Key {
		match[i] = fmt.Sprintf("%s = $%d", quote(name), i+1)
	}
	return strings.Join(match, " AND ")
}

func conflictClause(table *store.Table, w *store.Write) string {
	switch {
	case w.Action == store.Insert:
		return ""
	case w.Action == store.InsertIgnore || len(w.Columns) == 0:
		return fmt.Sprintf(" ON CONFLICT (%s) DO NOTHING", quoteList(table.Key))
	}
	assignments := make([]string, len(w.Columns))
	for i, c := range w.Columns {
		column, _ := table.Column(c.Name)
		name := quote(c.Name)
		assignments[i] = name + " = " + mergeExpression(c.Action, column.Type, "t."+name, "excluded."+name)
	}
	return fmt.Sprintf(" ON CONFLICT (%s) DO UPDATE SET %s", quoteList(table.Key), strings.Join(assignments, ", "))
}

// mergeExpression combines the stored value with the new one, as [store.Folder] does within a batch.
func mergeExpression(action store.Action, t store.Type, stored, given string) string {
	numeric := t.Kind == store.KindNumeric
	switch action {
	case store.ActionAdd:
		if numeric {
			return fmt.Sprintf("%s(%s, %s)", addNumericFunction, stored, given)
		}
		return fmt.Sprintf("%s(%s, %s)", addFunction, stored, given)
	case store.ActionMin:
		if numeric {
			return fmt.Sprintf("%s(%s, %s)", minNumericFunction, stored, given)
		}
		return fmt.Sprintf("coalesce(min(%[1]s, %[2]s), %[1]s, %[2]s)", stored, given)
	case store.ActionMax:
		if numeric {
			return fmt.Sprintf("%s(%s, %s)", maxNumericFunction, stored, given)
		}
		return fmt.Sprintf("coalesce(max(%[1]s, %[2]s), %[1]s, %[2]s)", stored, given)
	case store.ActionIfNull:
		return fmt.Sprintf("coalesce(%s, %s)", stored, given)
	default:
		return given
	}
}

// queryStatement makes the SQL of a query.
func queryStatement(p placed, q *store.Query) (s statement, err error) {
	s = statement{name: fmt.Sprintf("query %q", q.Name), owned: p.KeepsToKey(q.PartitionParam, q.Unordered)}
	s.params, s.results = p.Signature(q)
	s.asks = true
	if q.SQL != nil {
		s.module = true
		s.sql, err = declared(p, s.name, q.SQL)
		return s, err
	}
	table, _ := p.Table(q.Table)
	s.keys, s.load = len(table.Key), true
	// The index of the key comes from the loop over the keys. A constant takes its place, so that results keep their
	// places.
	s.sql = fmt.Sprintf("SELECT %s FROM %s WHERE %s", strings.Join(append([]string{"0"}, quoteEach(q.Columns)...),
		", "),
		p.table(table.Name), matchKey(table))
	return s, nil
}
