package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres/internal/grammar"
)

// statement is one entry of the catalogue, ready to send.
type statement struct {
	name     string       // as the user knows it: `write "total"`
	declared string       // what the module declared, as written from its parse tree, or sql
	clock    string       // a text in it that means another moment each time, if the server reads it as a date
	sql      string       // what is sent
	params   []store.Type // of one row, or of the whole step when set is true
	results  []store.Type
	module   bool           // SQL of the module
	computes bool           // SQL of the module runs in it: it is, or its table has generated columns or checks
	owned    bool           // SQL that keeps to rows of one partition key
	set      bool           // takes a whole step: one array a column
	shape    store.RowShape // of the rows of a write
	table    string         // that a declarative write is for, quoted
	copies   string         // the COPY of an insert, or ""
	cachedAs string         // the name under which the server keeps it prepared; "" for one that is planned each time
}

func quote(names ...string) string { return pgx.Identifier(names).Sanitize() }

// placed is a projection with the schemas of its tables and of the views for readers, and with the reader of its SQL.
type placed struct {
	*store.Projection
	schema  string
	readers string
	read    reader
}

// reader reads the SQL of modules, and has the server check what was read.
type reader struct {
	statement  func(sql string, tables grammar.Tables) (*grammar.Statement, error)
	expression func(sql string, tables grammar.Tables, table, as string) (*grammar.Statement, error)
	server     func(s *sandbox, ctx context.Context, entry *statement, fault faultFunc) error
}

func byGrammar() reader {
	return reader{statement: grammar.Check, expression: grammar.Expression, server: (*sandbox).checkStatement}
}

func (s *Store) placed(projection *store.Projection) placed {
	place := store.PlaceOf(s.options.Schema, projection.ID())
	return placed{Projection: projection, schema: place.Tables, readers: place.Readers, read: s.read}
}

// table is the quoted name of one of its tables, or of something else in their schema.
func (p placed) table(name string) string { return quote(p.schema, name) }

// writeStatement makes the SQL of a write. A declarative write takes a step as a set, unless a column is itself an
// array: unnest cannot take an array of arrays apart row by row.
func writeStatement(p placed, w *store.Write) (statement, error) {
	s := statement{
		name: fmt.Sprintf("write %q", w.Name), params: p.Parameters(w),
		owned: p.KeepsToKey(w.PartitionParam, w.Unordered), shape: p.RowShape(w),
	}
	if w.SQL != nil {
		_, err := s.declare(p, w.SQL)
		s.sql = s.declared
		return s, err
	}
	table, _ := p.Table(w.Table)
	s.table = p.table(table.Name)
	columns := append([]string(nil), table.Key...)
	for _, c := range w.Columns {
		columns = append(columns, c.Name)
	}
	s.set = true
	for _, t := range s.params {
		s.set = s.set && !t.Array
	}
	if w.Action == store.Delete {
		s.sql = deleteSQL(p, table, s)
		s.declared = s.sql
		return s, nil
	}
	s.sql = fmt.Sprintf("INSERT INTO %s AS t (%s) %s%s", p.table(table.Name), quoteList(columns), source(s),
		conflictClause(table, w))
	s.declared, s.copies = s.sql, copySQL(p, w, columns, s.params)
	s.cache() // an insert has one plan
	return s, nil
}

// source is where the rows of a write come from: arrays, or single values. Arrays are in the order of the key
// already, see [store.Step]. unnest in the list of results returns rows one by one; FROM unnest(…) would first
// store all rows, which takes an eighth of the statement's time.
func source(s statement) string {
	params := make([]string, len(s.params))
	for i, t := range s.params {
		if s.set {
			params[i] = fmt.Sprintf("unnest($%d::%s)", i+1, sqlType(store.Type{Kind: t.Kind, Array: true}))
		} else {
			params[i] = fmt.Sprintf("$%d::%s", i+1, sqlType(t))
		}
	}
	list := strings.Join(params, ", ")
	if !s.set {
		return "VALUES (" + list + ")"
	}
	return "SELECT " + list
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
		assignments[i] = name + " = " + mergeExpression(c.Action, column.NotNull, "t."+name, "excluded."+name)
	}
	return fmt.Sprintf(" ON CONFLICT (%s) DO UPDATE SET %s", quoteList(table.Key), strings.Join(assignments, ", "))
}

// mergeExpression combines the stored value with the new one, as [store.Folder] does within a batch. A column that
// is NOT NULL refuses a row with NULL before that.
func mergeExpression(action store.Action, notNull bool, stored, given string) string {
	switch action {
	case store.ActionAdd:
		if notNull {
			return stored + " + " + given
		}
		return fmt.Sprintf("CASE WHEN %[2]s IS NULL THEN %[1]s ELSE coalesce(%[1]s, 0) + %[2]s END", stored, given)
	case store.ActionMin:
		return fmt.Sprintf("least(%s, %s)", stored, given)
	case store.ActionMax:
		return fmt.Sprintf("greatest(%s, %s)", stored, given)
	case store.ActionIfNull:
		return fmt.Sprintf("coalesce(%s, %s)", stored, given)
	default:
		return given
	}
}

func deleteSQL(p placed, table *store.Table, s statement) string {
	params := make([]string, len(s.params))
	match := make([]string, len(s.params))
	for i, t := range s.params {
		params[i] = fmt.Sprintf("$%d::%s", i+1, sqlType(store.Type{Kind: t.Kind, Array: true}))
		match[i] = fmt.Sprintf("t.%[1]s = k.%[1]s", quote(table.Key[i]))
	}
	return fmt.Sprintf("DELETE FROM %s AS t USING unnest(%s) AS k (%s) WHERE %s",
		p.table(table.Name), strings.Join(params, ", "), quoteList(table.Key), strings.Join(match, " AND "))
}

// queryStatement makes the SQL of a query.
func queryStatement(p placed, q *store.Query) (statement, error) {
	s := statement{name: fmt.Sprintf("query %q", q.Name), owned: p.KeepsToKey(q.PartitionParam, q.Unordered)}
	s.params, s.results = p.Signature(q)
	if q.SQL == nil {
		s.sql = loadSQL(p, q, s.results)
		s.declared = s.sql
		return s, nil
	}
	selects, err := s.declare(p, q.SQL)
	if err == nil && !selects {
		err = &store.CatalogueError{Item: s.name, Reason: "changes rows: a query selects"}
	}
	if err != nil {
		return s, err
	}
	names := make([]string, len(s.results))
	expressions := make([]string, len(s.results))
	for i, t := range s.results {
		names[i] = fmt.Sprintf("c%d", i+1)
		expressions[i] = resultExpression("q."+names[i], t)
	}
	s.sql = fmt.Sprintf("SELECT %s FROM (%s) AS q (%s)", strings.Join(expressions, ", "), s.declared,
		strings.Join(names, ", "))
	return s, nil
}

// declare takes the SQL of a module, as written from its parse tree, and reports whether it is a SELECT.
func (s *statement) declare(p placed, sql store.Statement) (selects bool, err error) {
	text, err := p.textOf(s.name, sql)
	if err != nil {
		return false, err
	}
	read, err := p.read.statement(text, p.grammarTables())
	if err != nil {
		return false, &store.CatalogueError{Item: s.name, Reason: err.Error()}
	}
	s.declared, s.clock, s.module, s.computes = read.SQL, read.Clock, true, true
	return read.Selects, nil
}

// textOf returns the text that a module brought for PostgreSQL, with the tables filled in.
func (p placed) textOf(item string, sql store.Statement) (string, error) {
	text, ok := sql.For(store.DialectPostgres)
	if !ok {
		return "", store.NoText(item, store.DialectPostgres)
	}
	text, err := p.ExpandTables(text, p.table)
	if err != nil {
		return "", &store.CatalogueError{Item: item, Reason: err.Error()}
	}
	return text, nil
}

// grammarTables are the projection's tables, as a statement of it may use them.
func (p placed) grammarTables() grammar.Tables {
	tables := grammar.Tables{Schema: p.schema, Columns: map[string][]string{}}
	for i := range p.Tables {
		table := &p.Tables[i]
		columns := make([]string, len(table.Columns))
		for j := range table.Columns {
			columns[j] = table.Columns[j].Name
		}
		tables.Columns[table.Name] = columns
	}
	return tables
}

func loadSQL(p placed, q *store.Query, results []store.Type) string {
	table, _ := p.Table(q.Table)
	params := make([]string, len(table.Key))
	match := make([]string, len(table.Key))
	for i, name := range table.Key {
		column, _ := table.Column(name)
		params[i] = fmt.Sprintf("$%d::%s", i+1, sqlType(store.Type{Kind: column.Type.Kind, Array: true}))
		match[i] = fmt.Sprintf("t.%[1]s = k.%[1]s", quote(name))
	}
	expressions := []string{"k.ordinal - 1"}
	for i, name := range q.Columns {
		expressions = append(expressions, resultExpression("t."+quote(name), results[i+1]))
	}
	return fmt.Sprintf("SELECT %s FROM unnest(%s) WITH ORDINALITY AS k (%s, ordinal) JOIN %s AS t ON %s ORDER BY "+
		"k.ordinal",
		strings.Join(expressions, ", "), strings.Join(params, ", "), quoteList(table.Key),
		p.table(table.Name), strings.Join(match, " AND "))
}

// createTable makes the DDL of a declared table with the expressions that have been read.
func createTable(p placed, table *store.Table, expressions []expression) string {
	lines := make([]string, 0, len(table.Columns)+1)
	for _, c := range table.Columns {
		line := quote(c.Name) + " " + sqlType(c.Type)
		if c.Type.Kind == store.KindText && slices.Contains(table.Key, c.Name) {
			// keys are told apart by their bytes, which is fast in every locale, and has the order that rows come
			// in
			line += ` COLLATE "C"`
		}
		if len(c.Default) > 0 {
			line += " DEFAULT " + literal(c)
		}
		line += generated(expressions, c.Name)
		if c.NotNull {
			line += " NOT NULL"
		}
		lines = append(lines, line)
	}
	if len(table.Key) > 0 {
		lines = append(lines, "PRIMARY KEY ("+quoteList(table.Key)+")")
	}
	for _, e := range expressions {
		if !e.generates {
			lines = append(lines, fmt.Sprintf("CONSTRAINT %s CHECK (%s)", quote(e.of), e.text))
		}
	}
	return fmt.Sprintf("CREATE TABLE %s (%s)%s", p.table(table.Name), strings.Join(lines, ", "), storage(p, table))
}

// storage leaves room on each page of a table whose rows are changed. A new version of a row then stays on its
// page, no index is updated, and the next access to the page removes the old version.
func storage(p placed, table *store.Table) string {
	for i := range p.Writes {
		w := &p.Writes[i]
		if w.SQL != nil || w.Table == table.Name && w.Action == store.Upsert && len(w.Columns) > 0 {
			return " WITH (fillfactor = 70)"
		}
	}
	return ""
}

// literal writes a checked JSON default as SQL.
func literal(c store.Column) string {
	if c.Type.Kind == store.KindText {
		return "'" + strings.ReplaceAll(c.DefaultText(), "'", "''") + "'"
	}
	return strings.TrimSpace(string(c.Default))
}

func quoteList(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = quote(name)
	}
	return strings.Join(quoted, ", ")
}
