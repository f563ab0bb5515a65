package mysql

import (
	"fmt"
	"strings"

	"github.com/pupwasm/pupwasm/store"
)

// statement is one entry of the catalogue, ready to run.
type statement struct {
	name    string       // as the user knows it: `write "total"`
	params  []store.Type // of one row
	results []store.Type
	keys    int            // parameters that are a key: the leading ones of a declarative entry
	module  bool           // SQL of the module runs in it: it is, or its table has generated columns or checks
	asks    bool           // is a query
	load    bool           // is run once for every key in the arrays that are its arguments
	owned   bool           // and keeps to rows of one partition key
	shape   store.RowShape // of a write

	// A statement that the module brought is a procedure of the projection's database, which runs with the rights of the
	// projection's user: see sandbox.go. Empty for a declarative entry.
	procedure string // its quoted, qualified name
	body      string // the module's text as the procedure has it

	// The text of a declarative entry is head, rows, tail: (1, 'a'), (2, 'b').
	head  string
	tail  string
	guard string // the column that conflictClause makes NULL for a row that is another one
}

func quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

func quoteEach(names []string) []string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = quote(name)
	}
	return quoted
}

func quoteList(names []string) string { return strings.Join(quoteEach(names), ", ") }

// placed is a projection with the databases of its tables and of the views for readers.
type placed struct {
	*store.Projection
	home    home
	tables  string // the database shop__fine_balance__v1
	readers string // the database shop__fine_balance
	read    *reader
}

func (s *Store) placed(projection *store.Projection) placed {
	place := store.PlaceOf(s.options.Schema, projection.ID())
	return placed{
		Projection: projection, home: s.home(), tables: s.database + "__" + place.Tables, readers: s.database + "__" + place.Readers,
		read: &s.reader,
	}
}

// table is the quoted, qualified name of one of its tables.
func (p placed) table(name string) string { return quote(p.tables) + "." + quote(name) }

// writeStatement makes the SQL of a write.
func writeStatement(p placed, w *store.Write) (s statement, err error) {
	s = statement{
		name: fmt.Sprintf("write %q", w.Name), params: p.Parameters(w),
		owned: p.KeepsToKey(w.PartitionParam, w.Unordered), shape: p.RowShape(w),
	}
	if w.SQL != nil {
		s.module = true
		return s, declared(p, &s, w.SQL)
	}
	table, _ := p.Table(w.Table)
	s.keys = len(table.Key)
	s.module = table.Computes()
	name := p.table(table.Name)
	if w.Action == store.Delete {
		s.head = fmt.Sprintf("DELETE t FROM (SELECT %s FROM DUAL WHERE FALSE UNION ALL VALUES ", noKey(s.keys))
		s.tail = fmt.Sprintf(") AS k STRAIGHT_JOIN %s AS t ON %s", name, matchKey(table))
		return s, nil
	}
	columns := append([]string(nil), table.Key...)
	for _, c := range w.Columns {
		columns = append(columns, c.Name)
	}
	s.head = fmt.Sprintf("INSERT INTO %s (%s) VALUES ", name, quoteList(columns))
	if w.Action != store.Insert {
		s.guard = table.Key[0]
		s.tail = conflictClause(table, w)
	}
	return s, nil
}

// keyColumn is what a column of a key is called among keys that are given as rows.
func keyColumn(at int) string { return fmt.Sprintf("k%d", at+1) }

// noKey names the columns of keys by a row that is not there, with values of no type.
func noKey(columns int) string {
	names := make([]string, columns)
	for i := range names {
		names[i] = "NULL AS " + keyColumn(i)
	}
	return strings.Join(names, ", ")
}

func matchKey(table *store.Table) string {
	match := make([]string, len(table.Key))
	for i, name := range table.Key {
		match[i] = fmt.Sprintf("t.%s = k.%s", quote(name), keyColumn(i))
	}
	return strings.Join(match, " AND ")
}

// conflictClause says what becomes of a row whose key is there.
//
// MariaDB takes this way for any unique key that the row has in common with another one, also for one that somebody has
// added: the other row would be changed then. So the key of the row that is found is compared, and is made NULL where
// it is another one, which MariaDB refuses.
func conflictClause(table *store.Table, w *store.Write) string {
	same := make([]string, len(table.Key))
	for i, name := range table.Key {
		same[i] = fmt.Sprintf("%[1]s = VALUES(%[1]s)", quote(name))
	}
	assignments := []string{
		fmt.Sprintf("%[1]s = IF(%[2]s, %[1]s, NULL)", quote(table.Key[0]), strings.Join(same, " AND ")),
	}
	if w.Action == store.Upsert {
		for _, c := range w.Columns {
			column, _ := table.Column(c.Name)
			name := quote(c.Name)
			assignments = append(assignments, name+" = "+mergeExpression(c.Action, column.NotNull, name, "VALUES("+name+")"))
		}
	}
	return " ON DUPLICATE KEY UPDATE " + strings.Join(assignments, ", ")
}

// mergeExpression combines the stored value with the new one, as [store.Folder] does within a batch. A column that
// is NOT NULL refuses a row with NULL before that.
func mergeExpression(action store.Action, notNull bool, stored, given string) string {
	switch action {
	case store.ActionAdd:
		if notNull {
			return stored + " + " + given
		}
		return fmt.Sprintf("IF(%[2]s IS NULL, %[1]s, COALESCE(%[1]s, 0) + %[2]s)", stored, given)
	case store.ActionMin:
		return fmt.Sprintf("COALESCE(LEAST(%[1]s, %[2]s), %[1]s, %[2]s)", stored, given)
	case store.ActionMax:
		return fmt.Sprintf("COALESCE(GREATEST(%[1]s, %[2]s), %[1]s, %[2]s)", stored, given)
	case store.ActionIfNull:
		return fmt.Sprintf("COALESCE(%s, %s)", stored, given)
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
		return s, declared(p, &s, q.SQL)
	}
	table, _ := p.Table(q.Table)
	s.keys, s.load = len(table.Key), true
	names := []string{"n"}
	for i := range table.Key {
		names = append(names, keyColumn(i))
	}
	columns := []string{"k.n"}
	for _, name := range q.Columns {
		columns = append(columns, "t."+quote(name))
	}
	s.head = fmt.Sprintf("WITH k (%s) AS (VALUES ", strings.Join(names, ", "))
	s.tail = fmt.Sprintf(") SELECT STRAIGHT_JOIN %s FROM k JOIN %s AS t ON %s ORDER BY k.n",
		strings.Join(columns, ", "), p.table(table.Name), matchKey(table))
	return s, nil
}
