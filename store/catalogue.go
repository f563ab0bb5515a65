package store

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Projection is what a module declares: its name, the events that it reads, and the catalogue, which is all that
// it can touch.
type Projection struct {
	Name         string       `json:"name"`
	Version      int          `json:"version"`
	Build        int          `json:"-"` // of the version: no module declares it
	Subscription Subscription `json:"subscription"`
	Order        Ordering     `json:"ordering,omitempty"`
	// Partition is what the events are divided by; nil is the stream. It has no meaning with OrderGlobal.
	Partition *Partition `json:"partition,omitempty"`
	Tables    []Table    `json:"tables,omitempty"`
	Views     []View     `json:"views,omitempty"`
	Writes    []Write    `json:"writes,omitempty"`
	Queries   []Query    `json:"queries,omitempty"`
	// Messages are what it sends. They may change under one version.
	Messages []MessageType `json:"messages,omitempty"`
}

// Ordering says which events of a projection have to be applied one after the other.
type Ordering string

// The orderings. OrderStream is the default: events of one stream in order of version. OrderGlobal is all events
// in order of position, so that the projection cannot be divided into segments.
const (
	OrderStream Ordering = "stream"
	OrderGlobal Ordering = "global"
)

// Dialect names a kind of database in a declaration.
type Dialect string

// The dialects. DialectAny is for every dialect without a text of its own.
const (
	DialectAny      Dialect = "any"
	DialectPostgres Dialect = "postgres"
	DialectSQLite   Dialect = "sqlite"
	DialectMySQL    Dialect = "mysql" // MariaDB
)

// dialects are those that a statement may have a text for.
var dialects = []Dialect{DialectAny, DialectPostgres, DialectSQLite, DialectMySQL}

// Statement is SQL text per dialect. "{name}" is the projection's table of that name, qualified as the database
// needs it, and "{table}" is its only table. Parameters are $1, $2, … on every dialect.
type Statement map[Dialect]string

// UnmarshalJSON reads one text for every dialect or an object with a text for each.
func (s *Statement) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) == nil {
		*s = Statement{DialectAny: text}
		return nil
	}
	texts := map[Dialect]string{}
	if err := json.Unmarshal(data, &texts); err != nil {
		return err
	}
	for dialect := range texts {
		if !slices.Contains(dialects, dialect) {
			return fmt.Errorf("unknown dialect %.60q: use %s, %s, %s or %s", dialect, DialectAny, DialectPostgres,
				DialectSQLite, DialectMySQL)
		}
	}
	*s = texts
	return nil
}

// For returns the text for a dialect, or false when the module has none for it.
func (s Statement) For(dialect Dialect) (string, bool) {
	if text, ok := s[dialect]; ok {
		return text, true
	}
	text, ok := s[DialectAny]
	return text, ok
}

// only leaves the text for one dialect.
func (s Statement) only(dialect Dialect) Statement {
	text, ok := s.For(dialect)
	if !ok {
		return nil
	}
	return Statement{dialect: text}
}

// Table is a table of the projection.
type Table struct {
	Name    string     `json:"name"`
	Columns []Column   `json:"columns"`
	Key     []string   `json:"key,omitempty"`
	Indexes [][]string `json:"indexes,omitempty"`
	Checks  []Check    `json:"checks,omitempty"`
}

// Check is a condition that every row of a table meets: an expression over the columns of one row. It is not met
// when it is false. The database checks each row that a write brings, and the row that results.
type Check struct {
	Name string    `json:"name"`
	SQL  Statement `json:"sql"`
}

// View is a query over the projection's tables under a name, for those who read them. The projection's own
// statements do not use it. It has no rows of its own, so that it may change under one version.
type View struct {
	Name string    `json:"name"`
	SQL  Statement `json:"sql"`
}

// Column is a column of a table. Key columns are never NULL; others are NULL unless said otherwise.
type Column struct {
	Name    string          `json:"name"`
	Type    Type            `json:"type"`
	NotNull bool            `json:"not_null,omitempty"`
	Default json.RawMessage `json:"default,omitempty"` // a JSON number, string or boolean
	// Generated is an expression over other columns of the row, which the database computes and stores. No write
	// gives the column then.
	Generated Statement `json:"generated,omitempty"`
	// Backfill says that rows which were made without the column may stay without a value, or is empty.
	Backfill Backfill `json:"backfill,omitempty"`

	// At most one of these marks a key column. It holds the partition key, the position or the id of the event
	// that causes the row, which the host checks for every mutation.
	Partition bool `json:"partition,omitempty"`
	Position  bool `json:"position,omitempty"`
	EventID   bool `json:"event_id,omitempty"`
}

// DefaultText returns the default of a text column, without the quotes of JSON. The column must be valid.
func (c *Column) DefaultText() string {
	var text string
	_ = json.Unmarshal(c.Default, &text) // validated with the table
	return text
}

// Column returns the column of that name.
func (t *Table) Column(name string) (Column, bool) {
	for _, c := range t.Columns {
		if c.Name == name {
			return c, true
		}
	}
	return Column{}, false
}

// Action is what a declarative write does with a row, or an upsert with a column of a row that exists.
type Action string

// The actions of a write.
const (
	Upsert       Action = "upsert"
	Insert       Action = "insert"
	InsertIgnore Action = "insert-ignore"
	Delete       Action = "delete"
)

// The actions of a column within an upsert. NULL leaves what is there with all but ActionSet.
const (
	ActionSet    Action = "set"
	ActionAdd    Action = "add"
	ActionMin    Action = "min"
	ActionMax    Action = "max"
	ActionIfNull Action = "if-null"
)

// Write is an entry of the catalogue that changes rows: declarative (Action, Table, Columns) or a SQL statement.
//
// The values of a declarative mutation are the table's key columns, in order of the key, and then Columns in order.
type Write struct {
	Name    string        `json:"name"`
	Action  Action        `json:"action,omitempty"`
	Table   string        `json:"table,omitempty"`
	Columns []WriteColumn `json:"columns,omitempty"`
	SQL     Statement     `json:"sql,omitempty"`
	Params  []Type        `json:"params,omitempty"`
	// PartitionParam is the number of the parameter, from 1, that holds the partition key of a statement which
	// changes rows of that key only; 0 for none.
	PartitionParam int `json:"partition_param,omitempty"`
	// Unordered is the author's promise that the statement gives the same rows in any order of the events.
	Unordered bool `json:"unordered,omitempty"`
}

// WriteColumn is a column that a write fills.
type WriteColumn struct {
	Name   string `json:"name"`
	Action Action `json:"action,omitempty"` // of an upsert; defaults to set
}

// Query is an entry of the catalogue that reads: declarative or a SQL statement.
//
// A declarative query loads rows by key. Its arguments are one array per key column; its result is one row for
// every key that exists, in the order of the request: the index of the key in the arrays (i64), then Columns.
type Query struct {
	Name    string    `json:"name"`
	Table   string    `json:"table,omitempty"`
	Columns []string  `json:"columns,omitempty"`
	SQL     Statement `json:"sql,omitempty"`
	Params  []Type    `json:"params,omitempty"`
	Results []Type    `json:"results,omitempty"`
	// PartitionParam is the number of the parameter, from 1, that holds the partition key of a statement which
	// reads rows of that key only; 0 for none.
	PartitionParam int `json:"partition_param,omitempty"`
	// Unordered is the author's promise that the rows of the projection do not depend on when the query runs.
	Unordered bool `json:"unordered,omitempty"`
}

// Bare reports whether the projection declares nothing to keep: it has no place of its own in the database. Its
// program writes elsewhere, see [NativeTx], or not at all.
func (p *Projection) Bare() bool {
	return len(p.Tables) == 0 && len(p.Views) == 0 && len(p.Writes) == 0 && len(p.Queries) == 0
}

// HasSQL reports whether SQL of the module runs when its events are applied: in a statement or query, a generated
// column or a check.
func (p *Projection) HasSQL() bool {
	return slices.ContainsFunc(p.Writes, func(w Write) bool { return w.SQL != nil }) ||
		slices.ContainsFunc(p.Queries, func(q Query) bool { return q.SQL != nil }) ||
		slices.ContainsFunc(p.Tables, func(t Table) bool { return t.Computes() })
}

// Computes reports whether the table has generated columns or checks.
func (t *Table) Computes() bool {
	return len(t.Checks) > 0 || slices.ContainsFunc(t.Columns, func(c Column) bool { return c.Generated != nil })
}

// Table returns the table of that name.
func (p *Projection) Table(name string) (*Table, bool) {
	for i := range p.Tables {
		if p.Tables[i].Name == name {
			return &p.Tables[i], true
		}
	}
	return nil, false
}

// Parameters returns the types of the values that a mutation of the write carries. The projection must be valid.
func (p *Projection) Parameters(w *Write) []Type {
	if w.SQL != nil {
		return w.Params
	}
	table, _ := p.Table(w.Table)
	types := make([]Type, 0, len(table.Key)+len(w.Columns))
	for _, name := range table.Key {
		column, _ := table.Column(name)
		types = append(types, column.Type)
	}
	for _, c := range w.Columns {
		column, _ := table.Column(c.Name)
		types = append(types, column.Type)
	}
	return types
}

// Signature returns the types of a query's arguments and results. The projection must be valid.
func (p *Projection) Signature(q *Query) (arguments, results []Type) {
	if q.SQL != nil {
		return q.Params, q.Results
	}
	table, _ := p.Table(q.Table)
	for _, name := range table.Key {
		column, _ := table.Column(name)
		arguments = append(arguments, Type{Kind: column.Type.Kind, Array: true})
	}
	results = append(results, Type{Kind: KindI64})
	for _, name := range q.Columns {
		column, _ := table.Column(name)
		results = append(results, column.Type)
	}
	return arguments, results
}

// ExpandTables replaces "{name}" in a declared statement by qualify(name). An unknown name is an error.
func (p *Projection) ExpandTables(sql string, qualify func(table string) string) (string, error) {
	var out strings.Builder
	for {
		open := strings.IndexByte(sql, '{')
		if open < 0 {
			out.WriteString(sql)
			return out.String(), nil
		}
		end := strings.IndexByte(sql[open:], '}')
		if end < 0 {
			out.WriteString(sql)
			return out.String(), nil
		}
		name := sql[open+1 : open+end]
		switch _, known := p.Table(name); {
		case known:
		case !isName(name):
			// Not a placeholder: JSON or an array literal within the statement.
			out.WriteString(sql[:open+1])
			sql = sql[open+1:]
			continue
		case name == "table" && len(p.Tables) == 1:
			name = p.Tables[0].Name
		default:
			return "", fmt.Errorf("{%[1]s} names no table of the projection: it has %[2]s; as data, write {\"%[1]s\"}",
				name, p.tableNames())
		}
		out.WriteString(sql[:open])
		out.WriteString(qualify(name))
		sql = sql[open+end+1:]
	}
}

func (p *Projection) tableNames() string {
	if len(p.Tables) == 0 {
		return "none"
	}
	names := make([]string, len(p.Tables))
	for i := range p.Tables {
		names[i] = p.Tables[i].Name
	}
	return strings.Join(names, ", ")
}
