package store

import (
	"fmt"
	"slices"
	"strings"
)

// Comparison is how the rows of two versions of a projection differ, at a moment at which both stood at one position.
type Comparison struct {
	Projection string
	Versions   [2]ProjectionID
	Position   int64 // where both stood, in the range of streams that was furthest behind
	Parked     [2]int
	Log        LogID              // that both follow
	Ranges     [2][]RangePosition // where each stood
	Tables     []TableComparison  // of either version, by name
}

// RangePosition is where a version stands in a range of keys.
type RangePosition struct {
	Range    HashRange
	Position int64
}

// Differ reports that a row differs, or that a table is in one version only.
func (c *Comparison) Differ() bool {
	return slices.ContainsFunc(c.Tables, func(t TableComparison) bool { return t.Differ() })
}

// TableComparison is how the rows of a table differ.
type TableComparison struct {
	Table string
	In    [2]bool // which of the versions have the table
	// Uncompared says why no rows are compared; "" when they are.
	Uncompared string
	Key        []Column // of both; none where rows are compared as a whole
	Columns    []Column // of both, beside those of the key
	// Others are the columns of one version that the other does not have, or has with another type.
	Others  [2][]string
	Rows    [2]int64
	Only    [2]int64 // rows whose key is in one version alone; without a key, rows that are
	Changed int64    // rows with a key of both, and other values
	// ChangedIn is, for each of Columns, in how many of the changed rows it differs.
	ChangedIn []int64
	// Examples are some of the rows that differ, in order of their keys.
	Examples []RowComparison
}

// RowComparison is a row that differs.
type RowComparison struct {
	Key    []Value    // of Key
	In     [2]bool    // which of the versions have it
	Values [2][]Value // of Columns
}

// Retyped returns the columns that both versions have, with another type each, which are not compared.
func (t *TableComparison) Retyped() (names []string) {
	for _, name := range t.Others[0] {
		if slices.Contains(t.Others[1], name) {
			names = append(names, name)
		}
	}
	return names
}

// Differ reports that a row differs, or that one version has no such table.
func (t *TableComparison) Differ() bool {
	return t.Changed > 0 || t.Only != [2]int64{} || t.In != [2]bool{true, true}
}

// ApartError says that two versions of a projection do not stand at one position.
type ApartError struct {
	Projection string
	Versions   [2]ProjectionID
	Positions  int64 // how far they are apart, where they are the most
}

// Error names the versions.
func (e *ApartError) Error() string {
	return fmt.Sprintf("versions %s and %s of projection %s are %d positions apart", e.Versions[0].VersionText(),
		e.Versions[1].VersionText(), e.Projection, e.Positions)
}

// NewComparison returns the tables of two versions, to be compared while they stand as their layouts say.
//
// # Errors
//
// [*ApartError].
func NewComparison(a, b *Projection, layouts [2]*Layout) (*Comparison, error) {
	c := &Comparison{Projection: a.Name, Versions: [2]ProjectionID{a.ID(), b.ID()}}
	if apart := max(layouts[0].behind(layouts[1]), layouts[1].behind(layouts[0])); apart > 0 {
		return nil, &ApartError{Projection: a.Name, Versions: c.Versions, Positions: apart}
	}
	for i, s := range layouts[0].Segments {
		if i == 0 || s.Position < c.Position {
			c.Position, c.Log = s.Position, s.Applied.Log
		}
	}
	for side, layout := range layouts {
		for _, s := range layout.Segments {
			c.Ranges[side] = append(c.Ranges[side], RangePosition{s.Range, s.Position})
		}
	}
	names := append(a.tableList(), b.tableList()...)
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		c.Tables = append(c.Tables, compareTables(a, b, name))
	}
	return c, nil
}

func (p *Projection) tableList() []string {
	names := make([]string, len(p.Tables))
	for i := range p.Tables {
		names[i] = p.Tables[i].Name
	}
	return names
}

// compareTables says what of a table is in both versions.
func compareTables(a, b *Projection, name string) TableComparison {
	t := TableComparison{Table: name}
	var tables [2]*Table
	tables[0], t.In[0] = a.Table(name)
	tables[1], t.In[1] = b.Table(name)
	if t.In != [2]bool{true, true} {
		return t
	}
	for side, table := range tables {
		for _, c := range table.Columns {
			other, has := tables[1-side].Column(c.Name)
			switch same := has && other.Type == c.Type; {
			case !same:
				t.Others[side] = append(t.Others[side], c.Name)
			case side == 0 && !slices.Contains(table.Key, c.Name):
				t.Columns = append(t.Columns, c)
			}
		}
	}
	if !slices.Equal(tables[0].Key, tables[1].Key) {
		t.Uncompared = "it has another key"
		return t
	}
	for _, name := range tables[0].Key {
		if slices.Contains(t.Others[0], name) {
			t.Uncompared = fmt.Sprintf("column %s of its key has another type", name)
			return t
		}
		column, _ := tables[0].Column(name)
		t.Key = append(t.Key, column)
	}
	if len(t.Key)+len(t.Columns) == 0 {
		t.Uncompared = "no column is in both"
	}
	t.ChangedIn = make([]int64, len(t.Columns))
	return t
}

// CompareSQL makes the queries of a comparison in the SQL that all databases have in common.
type CompareSQL struct {
	Tables [2]string              // quoted
	Quote  func(...string) string // a name
	// Differs is a condition that two expressions of a type differ, NULL being a value like any other.
	Differs func(t Type, a, b string) string
	// Shown is an expression of a type as a result has it.
	Shown func(expression string, t Type) string
	// Integer is the type of a CAST to an integer of 64 bits.
	Integer string
}

// Count is a query that counts, and where its counts go.
type Count struct {
	SQL  string
	Into []*int64
}

// Counts returns queries of one row each, whose columns are integers.
func (s *CompareSQL) Counts(t *TableComparison) []Count {
	if len(t.Key) == 0 {
		sum := func(sign, condition string) string {
			return fmt.Sprintf("coalesce(CAST(sum(CASE WHEN %[2]s %[3]s 0 THEN %[1]s%[2]s END) AS %[4]s), 0)", sign, copiesName,
				condition, s.Integer)
		}
		return []Count{
			{
				"SELECT (SELECT count(*) FROM " + s.Tables[0] + "), (SELECT count(*) FROM " + s.Tables[1] + ")",
				[]*int64{&t.Rows[0], &t.Rows[1]},
			},
			{
				"SELECT " + sum("", ">") + ", " + sum("-", "<") + " FROM (" + s.copies(t) + ") AS c",
				[]*int64{&t.Only[0], &t.Only[1]},
			},
		}
	}
	columns := []string{"count(*)", countWhere(s.missing(t, 1))}
	into := []*int64{&t.Rows[0], &t.Only[0]}
	if len(t.Columns) > 0 {
		columns = append(columns, countWhere("NOT "+s.missing(t, 1)+" AND ("+s.differs(t)+")"))
		into = append(into, &t.Changed)
	}
	for i, c := range t.Columns {
		columns = append(columns, countWhere("NOT "+s.missing(t, 1)+" AND ("+s.differ(c)+")"))
		into = append(into, &t.ChangedIn[i])
	}
	return []Count{
		{"SELECT " + strings.Join(columns, ", ") + " FROM " + s.joined(t, 0), into},
		{
			"SELECT count(*), " + countWhere(s.missing(t, 0)) + " FROM " + s.joined(t, 1),
			[]*int64{&t.Rows[1], &t.Only[1]},
		},
	}
}

// countWhere counts the rows for which a condition holds.
func countWhere(condition string) string { return "count(CASE WHEN " + condition + " THEN 1 END)" }

// resultColumnsMax bounds the columns of a result: PostgreSQL has at most 1,664. A wider table has no examples.
const resultColumnsMax = 1600

// ExampleQuery is a query for rows that differ: those that are in the first version, or in the second alone.
type ExampleQuery struct {
	SQL     string
	Results []Type
	second  bool
}

// Examples returns the queries for at most limit rows that differ.
func (s *CompareSQL) Examples(t *TableComparison, limit int) []ExampleQuery {
	if 2*(len(t.Key)+len(t.Columns)) > resultColumnsMax {
		return nil
	}
	if len(t.Key) == 0 {
		return []ExampleQuery{{
			SQL:     fmt.Sprintf("SELECT %s FROM (%s) AS c LIMIT %d", s.shown(t.Columns, "", copiesName), s.copies(t), limit),
			Results: append(typesOf(t.Columns), Type{Kind: KindI64}),
		}}
	}
	order := make([]string, len(t.Key))
	for i := range t.Key {
		order[i] = fmt.Sprint(i + 1)
	}
	differs := s.missing(t, 1)
	if len(t.Columns) > 0 {
		differs += " OR " + s.differs(t)
	}
	results := append(append(typesOf(t.Key), typesOf(t.Columns)...), typesOf(t.Columns)...)
	query := func(from int, where string) string {
		return fmt.Sprintf("SELECT %s, CAST(CASE WHEN %s THEN 0 ELSE 1 END AS %s) FROM %s WHERE %s ORDER BY %s LIMIT %d",
			s.shown(t.Key, side(from))+s.shownBoth(t), s.missing(t, 1-from), s.Integer, s.joined(t, from), where,
			strings.Join(order, ", "), limit)
	}
	results = append(results, Type{Kind: KindI64})
	return []ExampleQuery{
		{SQL: query(0, differs), Results: results},
		{SQL: query(1, s.missing(t, 0)), Results: results, second: true},
	}
}

// Add adds the rows of an example query to the table.
func (q *ExampleQuery) Add(t *TableComparison, rows *Rows) {
	for row := range slices.Chunk(slices.Clone(rows.Values), len(q.Results)) {
		last := row[len(row)-1].Int()
		if len(t.Key) == 0 {
			example := RowComparison{In: [2]bool{last > 0, last < 0}}
			for side, has := range example.In {
				if has {
					example.Values[side] = row[:len(row)-1]
				}
			}
			t.Examples = append(t.Examples, example)
			continue
		}
		n := len(t.Key)
		first, second := row[n:n+len(t.Columns)], row[n+len(t.Columns):len(row)-1]
		example := RowComparison{Key: row[:n], In: [2]bool{!q.second, q.second || last == 1}}
		if example.In[0] {
			example.Values[0] = first
		}
		if example.In[1] {
			example.Values[1] = second
		}
		t.Examples = append(t.Examples, example)
	}
}

func typesOf(columns []Column) []Type {
	types := make([]Type, len(columns))
	for i := range columns {
		types[i] = columns[i].Type
	}
	return types
}

// side is the alias of a version's table.
func side(of int) string { return [2]string{"a", "b"}[of] }

// joined are all rows of one version with those of the other.
func (s *CompareSQL) joined(t *TableComparison, from int) string {
	keys := make([]string, len(t.Key))
	for i, c := range t.Key {
		keys[i] = s.Quote("a", c.Name) + " = " + s.Quote("b", c.Name)
	}
	return fmt.Sprintf("%s AS %s LEFT JOIN %s AS %s ON %s", s.Tables[from], side(from), s.Tables[1-from], side(1-from),
		strings.Join(keys, " AND "))
}

// missing is the condition that a version does not have the row.
func (s *CompareSQL) missing(t *TableComparison, of int) string {
	return "(" + s.Quote(side(of), t.Key[0].Name) + " IS NULL)"
}

func (s *CompareSQL) differ(c Column) string {
	return s.Differs(c.Type, s.Quote("a", c.Name), s.Quote("b", c.Name))
}

func (s *CompareSQL) differs(t *TableComparison) string {
	conditions := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		conditions[i] = "(" + s.differ(c) + ")"
	}
	return strings.Join(conditions, " OR ")
}

func (s *CompareSQL) shown(columns []Column, alias string, more ...string) string {
	var list []string
	for _, c := range columns {
		name := s.Quote(c.Name)
		if alias != "" {
			name = s.Quote(alias, c.Name)
		}
		list = append(list, s.Shown(name, c.Type))
	}
	return strings.Join(append(list, more...), ", ")
}

// shownBoth are the columns of both versions, each behind a comma.
func (s *CompareSQL) shownBoth(t *TableComparison) string {
	if len(t.Columns) == 0 {
		return ""
	}
	return ", " + s.shown(t.Columns, "a") + ", " + s.shown(t.Columns, "b")
}

// copies are the rows that one version has more often than the other, with how many times: below zero it is the second.
func (s *CompareSQL) copies(t *TableComparison) string {
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = s.Quote(c.Name)
	}
	list := strings.Join(names, ", ")
	return fmt.Sprintf("SELECT %[1]s, CAST(sum(%[4]s) AS %[6]s) AS %[5]s FROM (SELECT %[1]s, 1 AS %[4]s FROM %[2]s "+
		"UNION ALL SELECT %[1]s, -1 FROM %[3]s) AS u GROUP BY %[1]s HAVING sum(%[4]s) <> 0", list, s.Tables[0], s.Tables[1],
		copyName, copiesName, s.Integer)
}

// These are names of no column of a declaration, none of which has two underscores.
const (
	copyName   = "row__copy"
	copiesName = "row__copies"
)
