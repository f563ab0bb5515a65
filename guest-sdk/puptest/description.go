package puptest

import (
	"bytes"
	"encoding/json"
	"fmt"
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
	Ordering  string         `json:"ordering"`
	Partition *partition     `json:"partition"`
	Columns   []string       `json:"columns"`
	Tables    []tableDecl    `json:"tables"`
	Writes    []writeDecl    `json:"writes"`
	Queries   []queryDecl    `json:"queries"`
	Limits    map[string]int `json:"limits"`
}

type tableDecl struct {
	Name    string       `json:"name"`
	Columns []columnDecl `json:"columns"`
	Key     []string     `json:"key"`
	Indexes [][]string   `json:"indexes"`
	DDL     statement    `json:"ddl"`
}

type columnDecl struct {
	Name      string          `json:"name"`
	Type      string          `json:"type"`
	NotNull   bool            `json:"not_null"`
	Default   json.RawMessage `json:"default"`
	Partition bool            `json:"partition"`
	Position  bool            `json:"position"`
	EventID   bool            `json:"event_id"`
}

type writeDecl struct {
	Name           string       `json:"name"`
	Action         string       `json:"action"`
	Table          string       `json:"table"`
	Columns        []assignment `json:"columns"`
	SQL            statement    `json:"sql"`
	Params         []string     `json:"params"`
	PartitionParam int          `json:"partition_param"`
	Unordered      bool         `json:"unordered"`
}

// assignment is a column that a write fills.
type assignment struct {
	Name   string `json:"name"`
	Action string `json:"action"`
}

type queryDecl struct {
	Name           string    `json:"name"`
	Table          string    `json:"table"`
	Columns        []string  `json:"columns"`
	SQL            statement `json:"sql"`
	Params         []string  `json:"params"`
	Results        []string  `json:"results"`
	PartitionParam int       `json:"partition_param"`
	Unordered      bool      `json:"unordered"`
}

// statement is SQL text per dialect.
type statement map[string]string

// UnmarshalJSON reads one text for every dialect or an object with a text for each.
func (s *statement) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) == nil {
		*s = statement{"any": text}
		return nil
	}
	texts := map[string]string{}
	if err := json.Unmarshal(data, &texts); err != nil {
		return err
	}
	for dialect := range texts {
		if dialect != "any" && dialect != "postgres" && dialect != "sqlite" {
			return fmt.Errorf("unknown dialect %.60q: use any, postgres or sqlite", dialect)
		}
	}
	*s = texts
	return nil
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
