package hosttest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/pupwasm/pupwasm/host/abi"
)

// Catalogue is what a description says that bears on batches and replies.
type Catalogue struct {
	Name    string
	Columns []abi.Column // of a batch, with the two that come always
	Writes  []Parameters // and then the messages, which mutations count on from the writes
	Queries []Parameters
}

// Parameters are the values that a write or query takes.
type Parameters struct {
	Name  string
	Types []Type
	Keys  int // how many of the first must not be null
	// Mark is what the value at MarkedIndex of a write has to be, so that the row is one of its event.
	Mark        Mark
	MarkedIndex int
	// Subject is that of a message, "" of anything else.
	Subject string
	names   []string // in it
}

// Type is the type of a value.
type Type struct {
	Kind  abi.Kind
	Array bool
}

// description has every member of a description, so that decoding can refuse others.
type description struct {
	Name         string `json:"name"`
	Version      int    `json:"version"`
	Description  string `json:"description"`
	Subscription struct {
		BoundedContexts []string `json:"bounded_contexts"`
		AggregateTypes  []string `json:"aggregate_types"`
		EventTypes      []string `json:"event_types"`
	} `json:"subscription"`
	Ordering  string `json:"ordering"`
	Partition *struct {
		By   string   `json:"by"`
		Path []string `json:"path"`
	} `json:"partition"`
	Columns []string         `json:"columns"`
	Tables  []describedTable `json:"tables"`
	Views   []describedSQL   `json:"views"`
	Writes  []describedWrite `json:"writes"`
	Queries []describedQuery `json:"queries"`

	Messages []describedMessage `json:"messages"`

	OnError string             `json:"on_error"`
	Limits  map[string]float64 `json:"limits"`
}

type describedTable struct {
	Name    string `json:"name"`
	Columns []struct {
		Name    string `json:"name"`
		Type    Type   `json:"type"`
		NotNull bool   `json:"not_null"`
		Default any    `json:"default"`

		Generated statement `json:"generated"`
		Backfill  string    `json:"backfill"`
		describedMark
	} `json:"columns"`
	Key     []string       `json:"key"`
	Indexes [][]string     `json:"indexes"`
	Checks  []describedSQL `json:"checks"`
}

// statement is SQL by dialect.
type statement map[string]string

// UnmarshalJSON reads one text for every dialect, or an object with one for each.
func (s *statement) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*s = statement{"any": one}
		return nil
	}
	var each map[string]string
	if err := json.Unmarshal(text, &each); err != nil {
		return err
	}
	for dialect := range each {
		if !slices.Contains([]string{"any", "postgres", "sqlite", "mysql"}, dialect) {
			return fmt.Errorf("dialect %q is unknown", dialect)
		}
	}
	*s = each
	return nil
}

// describedSQL is a check or a view.
type describedSQL struct {
	Name string    `json:"name"`
	SQL  statement `json:"sql"`
}

// describedMark marks a key column.
type describedMark struct {
	Partition bool `json:"partition"`
	Position  bool `json:"position"`
	EventID   bool `json:"event_id"`
}

// describedOrder is what a statement or a query says of the order of events.
type describedOrder struct {
	PartitionParam int  `json:"partition_param"`
	Unordered      bool `json:"unordered"`
}

type describedWrite struct {
	Name    string `json:"name"`
	Action  string `json:"action"`
	Table   string `json:"table"`
	Columns []struct {
		Name   string `json:"name"`
		Action string `json:"action"`
	} `json:"columns"`
	SQL    statement `json:"sql"`
	Params []Type    `json:"params"`
	describedOrder
}

type describedQuery struct {
	Name    string    `json:"name"`
	Table   string    `json:"table"`
	Columns []string  `json:"columns"`
	SQL     statement `json:"sql"`
	Params  []Type    `json:"params"`
	Results []Type    `json:"results"`
	describedOrder
}

var (
	kindNames = []string{"null", "bool", "i64", "f64", "numeric", "text", "bytes", "json", "timestamptz", "uuid"}
	nameForm  = regexp.MustCompile(`^[a-z](_?[a-z0-9])*$`)
)

const nameLengthMax = 30

// String returns the type's name in a description.
func (t Type) String() string {
	if t.Array {
		return kindNames[t.Kind] + "[]"
	}
	return kindNames[t.Kind]
}

// UnmarshalText reads the type's name in a description.
func (t *Type) UnmarshalText(text []byte) error {
	base, array := strings.CutSuffix(string(text), "[]")
	kind := slices.Index(kindNames, base)
	if kind <= 0 {
		return fmt.Errorf("type %q is unknown", text)
	}
	*t = Type{Kind: abi.Kind(kind), Array: array}
	return nil
}

// ParseDescription checks the text that pup_describe returned, as far as the specification says without a database.
func ParseDescription(text []byte) (*Catalogue, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	d := &description{}
	if err := decoder.Decode(d); err != nil {
		return nil, fmt.Errorf("the description cannot be read: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("the description goes on after its object")
	}
	c := &Catalogue{Name: d.Name, Columns: []abi.Column{abi.GlobalPosition, abi.AggregateVersion}}
	switch {
	case !isName(d.Name):
		return nil, fmt.Errorf("the description has name %.40q, which is not a name", d.Name)
	case d.Version < 1:
		return nil, fmt.Errorf("the description has version %d", d.Version)
	case !slices.Contains([]string{"", "stream", "global"}, d.Ordering):
		return nil, fmt.Errorf("the description has ordering %q", d.Ordering)
	case !slices.Contains([]string{"", "park", "stop", "skip"}, d.OnError),
		d.OnError == "park" && d.Ordering == "global":
		return nil, fmt.Errorf("the description has on_error %q with ordering %q", d.OnError, d.Ordering)
	}
	for name, limit := range d.Limits {
		if !slices.Contains([]string{"memory_mib", "batch_events", "batch_ms"}, name) || limit < 0 {
			return nil, fmt.Errorf("the description has limit %q of %v", name, limit)
		}
	}
	for _, name := range d.Columns {
		column, known := abi.ColumnByName(name)
		if !known {
			return nil, fmt.Errorf("the description asks for column %q", name)
		}
		if !slices.Contains(c.Columns, column) {
			c.Columns = append(c.Columns, column)
		}
	}
	if err := d.checkTables(); err != nil {
		return nil, err
	}
	if err := c.addCatalogue(d); err != nil {
		return nil, err
	}
	return c, c.addMessages(d)
}

func isName(name string) bool { return len(name) <= nameLengthMax && nameForm.MatchString(name) }

func (d *description) checkTables() error {
	for i := range d.Tables {
		t := &d.Tables[i]
		if !isName(t.Name) {
			return fmt.Errorf("table %q has no name", t.Name)
		}
		for j, c := range t.Columns {
			switch {
			case !isName(c.Name):
				return fmt.Errorf("column %q of table %s has no name", c.Name, t.Name)
			case c.Type.Kind == abi.KindNull:
				return fmt.Errorf("column %s of table %s has no type", c.Name, t.Name)
			case t.column(c.Name) != j:
				return fmt.Errorf("column %s of table %s is declared twice", c.Name, t.Name)
			case c.Generated != nil && (c.Default != nil || slices.Contains(t.Key, c.Name)):
				return fmt.Errorf("column %s of table %s is generated, and has a default or is part of the key",
					c.Name, t.Name)
			case c.Backfill != "" && (c.Backfill != "none" || c.NotNull || c.Default != nil || c.Generated != nil ||
				slices.Contains(t.Key, c.Name)):
				return fmt.Errorf("column %s of table %s cannot have backfill %q", c.Name, t.Name, c.Backfill)
			}
		}
		for _, name := range t.Key {
			if t.column(name) < 0 {
				return fmt.Errorf("key column %q of table %s is not one of its columns", name, t.Name)
			}
		}
		if d.table(t.Name) != t {
			return fmt.Errorf("table %s is declared twice", t.Name)
		}
		if err := checkNamed("check", t.Checks); err != nil {
			return err
		}
	}
	for _, v := range d.Views {
		if d.table(v.Name) != nil {
			return fmt.Errorf("view %q has the name of a table", v.Name)
		}
	}
	return checkNamed("view", d.Views)
}

// checkNamed checks the checks of a table, or the views.
func checkNamed(kind string, list []describedSQL) error {
	for i, entry := range list {
		switch {
		case !isName(entry.Name) || entry.SQL == nil:
			return fmt.Errorf("%s %q has no name or no sql", kind, entry.Name)
		case slices.ContainsFunc(list[:i], func(other describedSQL) bool { return other.Name == entry.Name }):
			return fmt.Errorf("%s %q is declared twice", kind, entry.Name)
		}
	}
	return nil
}

func (d *description) table(name string) *describedTable {
	for i := range d.Tables {
		if d.Tables[i].Name == name {
			return &d.Tables[i]
		}
	}
	return nil
}

func (t *describedTable) column(name string) int {
	for i := range t.Columns {
		if t.Columns[i].Name == name {
			return i
		}
	}
	return -1
}

// keyTypes are the types of the key, as arrays where a query takes many keys.
func (t *describedTable) keyTypes(arrays bool) []Type {
	var types []Type
	for _, name := range t.Key {
		keyType := t.Columns[t.column(name)].Type
		keyType.Array = arrays
		types = append(types, keyType)
	}
	return types
}

func (c *Catalogue) addCatalogue(d *description) error {
	for _, w := range d.Writes {
		p := Parameters{Name: w.Name, Types: w.Params}
		if w.SQL == nil {
			table := d.table(w.Table)
			if table == nil || !slices.Contains([]string{"upsert", "insert", "insert-ignore", "delete"}, w.Action) {
				return fmt.Errorf("write %q has action %q and table %q", w.Name, w.Action, w.Table)
			}
			p.Types, p.Keys = table.keyTypes(false), len(table.Key)
			for _, column := range w.Columns {
				at := table.column(column.Name)
				if at < 0 || !actionFits(column.Action, table.Columns[at].Type) || table.Columns[at].Generated != nil {
					return fmt.Errorf("write %q has column %q with action %q", w.Name, column.Name, column.Action)
				}
				p.Types = append(p.Types, table.Columns[at].Type)
			}
		}
		if slices.ContainsFunc(c.Writes, func(other Parameters) bool { return other.Name == w.Name }) {
			return fmt.Errorf("write %q is declared twice", w.Name)
		}
		p.mark(d, &w)
		c.Writes = append(c.Writes, p)
	}
	for _, q := range d.Queries {
		p := Parameters{Name: q.Name, Types: q.Params}
		if q.SQL == nil {
			table := d.table(q.Table)
			if table == nil {
				return fmt.Errorf("query %q has table %q", q.Name, q.Table)
			}
			for _, name := range q.Columns {
				if table.column(name) < 0 {
					return fmt.Errorf("query %q has column %q", q.Name, name)
				}
			}
			p.Types, p.Keys = table.keyTypes(true), len(table.Key)
		}
		c.Queries = append(c.Queries, p)
	}
	return nil
}

func actionFits(action string, t Type) bool {
	number := !t.Array && (t.Kind == abi.KindI64 || t.Kind == abi.KindNumeric)
	switch action {
	case "", "set", "if-null":
		return true
	case "add":
		return number
	case "min", "max":
		return number || !t.Array && t.Kind == abi.KindTimestamp
	}
	return false
}
