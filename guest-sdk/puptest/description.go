package puptest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// description is what a projection declares, as the host reads it.
type description struct {
	Name         string `json:"name"`
	Version      int    `json:"version"`
	Description  string `json:"description"`
	Subscription struct {
		BoundedContexts []string `json:"bounded_contexts"`
		AggregateTypes  []string `json:"aggregate_types"`
		EventTypes      []string `json:"event_types"`
	} `json:"subscription"`
	Ordering string         `json:"ordering"`
	Columns  []string       `json:"columns"`
	Tables   []tableDecl    `json:"tables"`
	Writes   []writeDecl    `json:"writes"`
	Queries  []queryDecl    `json:"queries"`
	Limits   map[string]int `json:"limits"`
}

type tableDecl struct {
	Name    string       `json:"name"`
	Columns []columnDecl `json:"columns"`
	Key     []string     `json:"key"`
	Indexes [][]string   `json:"indexes"`
	DDL     any          `json:"ddl"`
}

type columnDecl struct {
	Name    string          `json:"name"`
	Type    string          `json:"type"`
	NotNull bool            `json:"not_null"`
	Default json.RawMessage `json:"default"`
}

type writeDecl struct {
	Name    string `json:"name"`
	Action  string `json:"action"`
	Table   string `json:"table"`
	Columns []struct {
		Name   string `json:"name"`
		Action string `json:"action"`
	} `json:"columns"`
	SQL    any      `json:"sql"`
	Params []string `json:"params"`
}

type queryDecl struct {
	Name    string   `json:"name"`
	Table   string   `json:"table"`
	Columns []string `json:"columns"`
	SQL     any      `json:"sql"`
	Params  []string `json:"params"`
	Results []string `json:"results"`
}

func parseDescription(text []byte) (*description, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	d := &description{}
	if err := decoder.Decode(d); err != nil {
		return nil, fmt.Errorf("the description: %w", err)
	}
	return d, d.validate()
}

func (d *description) table(name string) *tableDecl {
	for i := range d.Tables {
		if d.Tables[i].Name == name {
			return &d.Tables[i]
		}
	}
	return nil
}

func (t *tableDecl) column(name string) int {
	for i := range t.Columns {
		if t.Columns[i].Name == name {
			return i
		}
	}
	return -1
}

func (t *tableDecl) kind(column string) byte {
	kind, _ := typeNumber(t.Columns[t.column(column)].Type)
	return kind
}

// parameters returns the kinds of a mutation's values.
func (d *description) parameters(w *writeDecl) []byte {
	if w.SQL != nil {
		return kinds(w.Params)
	}
	t := d.table(w.Table)
	var all []byte
	for _, name := range d.parameterNames(w) {
		all = append(all, t.kind(name))
	}
	return all
}

// parameterNames returns the columns of a declarative write, or $1, $2, …
func (d *description) parameterNames(w *writeDecl) []string {
	var names []string
	if w.SQL != nil {
		for i := range w.Params {
			names = append(names, fmt.Sprintf("$%d", i+1))
		}
		return names
	}
	names = append(names, d.table(w.Table).Key...)
	for _, c := range w.Columns {
		names = append(names, c.Name)
	}
	return names
}

func kinds(types []string) []byte {
	all := make([]byte, len(types))
	for i, name := range types {
		all[i], _ = typeNumber(name)
	}
	return all
}

// wants tells whether the projection subscribes to an event.
func (d *description) wants(e *Event) bool {
	selected := func(list []string, value string) bool {
		for _, v := range list {
			if v == value {
				return true
			}
		}
		return len(list) == 0
	}
	s := &d.Subscription
	return selected(s.BoundedContexts, e.BoundedContext) && selected(s.AggregateTypes, e.AggregateType) &&
		selected(s.EventTypes, e.Type)
}

// validate checks what the host refuses when it loads a module, so that an author learns of it in a test.
func (d *description) validate() error {
	if !isName(d.Name) {
		return fmt.Errorf("projection %q: %s", d.Name, nameRule)
	}
	if d.Version < 1 {
		return fmt.Errorf("projection %q: version is %d, must be 1 or more", d.Name, d.Version)
	}
	if d.Ordering != "" && d.Ordering != "stream" && d.Ordering != "global" {
		return fmt.Errorf("projection %q: ordering is %q", d.Name, d.Ordering)
	}
	tables, writes, queries := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for i := range d.Tables {
		t := &d.Tables[i]
		if tables[t.Name] {
			return fmt.Errorf("table %q is declared twice", t.Name)
		}
		tables[t.Name] = true
		if err := t.validate(); err != nil {
			return fmt.Errorf("table %q: %w", t.Name, err)
		}
	}
	for i := range d.Writes {
		w := &d.Writes[i]
		if w.Name == "" || writes[w.Name] {
			return fmt.Errorf("write %q is declared twice or has no name", w.Name)
		}
		writes[w.Name] = true
		if err := d.validateWrite(w); err != nil {
			return fmt.Errorf("write %q: %w", w.Name, err)
		}
	}
	for i := range d.Queries {
		q := &d.Queries[i]
		if q.Name == "" || queries[q.Name] {
			return fmt.Errorf("query %q is declared twice or has no name", q.Name)
		}
		queries[q.Name] = true
		if q.SQL != nil && len(q.Results) == 0 {
			return fmt.Errorf("query %q has no results", q.Name)
		}
		if q.SQL == nil && d.table(q.Table) == nil {
			return fmt.Errorf("query %q loads from table %q, which is not declared: list it in the projection's tables", q.Name, q.Table)
		}
		if q.SQL == nil && len(d.table(q.Table).Key) == 0 {
			return fmt.Errorf("query %q loads by key, table %q has none", q.Name, q.Table)
		}
	}
	return nil
}

func (t *tableDecl) validate() error {
	if !isName(t.Name) {
		return fmt.Errorf("its name %s", nameRule)
	}
	if len(t.Columns) == 0 {
		return fmt.Errorf("has no columns")
	}
	seen := map[string]bool{}
	for _, c := range t.Columns {
		if !isName(c.Name) {
			return fmt.Errorf("column %q %s", c.Name, nameRule)
		}
		if seen[c.Name] {
			return fmt.Errorf("column %q is declared twice", c.Name)
		}
		seen[c.Name] = true
		if _, ok := typeNumber(c.Type); !ok {
			return fmt.Errorf("column %q has the unknown type %q", c.Name, c.Type)
		}
	}
	for _, name := range t.Key {
		switch kind := t.kind(name); {
		case kind&arrayBit != 0, kind == kindF64, kind == kindJSON:
			return fmt.Errorf("key column %q is %s, which cannot be a key", name, t.Columns[t.column(name)].Type)
		}
	}
	return nil
}

func (d *description) validateWrite(w *writeDecl) error {
	if w.SQL != nil {
		return nil
	}
	t := d.table(w.Table)
	if t == nil {
		return fmt.Errorf("writes table %q, which is not declared: list it in the projection's tables", w.Table)
	}
	if len(t.Key) == 0 && w.Action != "insert" {
		return fmt.Errorf("%s needs a key, table %q has none", w.Action, t.Name)
	}
	seen := map[string]bool{}
	for _, c := range w.Columns {
		if seen[c.Name] {
			return fmt.Errorf("column %q is named twice", c.Name)
		}
		seen[c.Name] = true
		kind := t.kind(c.Name)
		switch c.Action {
		case "add":
			if kind != kindI64 && kind != kindNumeric {
				return fmt.Errorf("column %q: add needs i64 or numeric", c.Name)
			}
		case "min", "max":
			if kind != kindI64 && kind != kindNumeric && kind != kindTimestamp {
				return fmt.Errorf("column %q: %s needs i64, numeric or timestamptz", c.Name, c.Action)
			}
		}
	}
	for _, c := range t.Columns {
		if w.Action != "delete" && c.NotNull && c.Default == nil && t.DDL == nil && !seen[c.Name] && !contains(t.Key, c.Name) {
			return fmt.Errorf("leaves out column %q of table %q, which is not null and has no default, so that no row could be inserted: "+
				"write it, or give it a default", c.Name, t.Name)
		}
	}
	return nil
}

const (
	kindI64       = 2
	kindF64       = 3
	kindNumeric   = 4
	kindText      = 5
	kindJSON      = 7
	kindTimestamp = 8

	nameRule = "is not a name: use a lower-case letter, then letters, digits and single underscores, 30 at most"
)

func isName(name string) bool {
	if name == "" || len(name) > 30 || name[0] < 'a' || name[0] > 'z' {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return !strings.Contains(name, "__") && !strings.HasSuffix(name, "_")
}
