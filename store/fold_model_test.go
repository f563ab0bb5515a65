package store_test

import (
	"bytes"
	"fmt"
	"math"
	"math/big"
	"slices"
	"sort"
	"strconv"
	"strings"

	"pgregory.net/rapid"

	"github.com/pupwasm/pupwasm/store"
)

func typed(name string) store.Type {
	t, err := store.ParseType(name)
	if err != nil {
		panic(err)
	}
	return t
}

func types(names ...string) []store.Type {
	all := make([]store.Type, len(names))
	for i, name := range names {
		all[i] = typed(name)
	}
	return all
}

// The writes of ledger.
const (
	ledgerPut = iota
	ledgerSet
	ledgerInsert
	ledgerMaybe
	ledgerDelete
	ledgerSQL
	ledgerOtherSQL
	ledgerNote
	ledgerWrites
)

// ledger has two tables, one without a key, and a write of every kind.
func ledger(key string) *store.Projection {
	return &store.Projection{
		Name: "ledger", Version: 1, Order: store.OrderGlobal,
		Tables: []store.Table{
			{Name: "account", Key: []string{"k"}, Columns: []store.Column{
				{Name: "k", Type: typed(key)},
				{Name: "total", Type: typed("i64")},
				{Name: "amount", Type: typed("numeric")},
				{Name: "low", Type: typed("i64")},
				{Name: "high", Type: typed("numeric")},
				{Name: "first", Type: typed("text")},
				{Name: "last", Type: typed("text")},
			}},
			{Name: "note", Columns: []store.Column{{Name: "text", Type: typed("text")}}},
		},
		Writes: []store.Write{
			{Name: "put", Action: store.Upsert, Table: "account", Columns: []store.WriteColumn{
				{Name: "total", Action: store.ActionAdd},
				{Name: "amount", Action: store.ActionAdd},
				{Name: "low", Action: store.ActionMin},
				{Name: "high", Action: store.ActionMax},
				{Name: "first", Action: store.ActionIfNull},
				{Name: "last", Action: store.ActionSet},
			}},
			{
				Name: "set", Action: store.Upsert, Table: "account",
				Columns: []store.WriteColumn{{Name: "total", Action: store.ActionSet}},
			},
			{Name: "insert", Action: store.Insert, Table: "account", Columns: []store.WriteColumn{{Name: "total"}}},
			{
				Name: "maybe", Action: store.InsertIgnore, Table: "account",
				Columns: []store.WriteColumn{{Name: "total"}},
			},
			{Name: "delete", Action: store.Delete, Table: "account"},
			{Name: "sql", SQL: store.Statement{store.DialectAny: "doubles every total"}, Params: types("text")},
			{Name: "other sql", SQL: store.Statement{store.DialectAny: "appends to every last"}, Params: types("text")},
			{Name: "note", Action: store.Insert, Table: "note", Columns: []store.WriteColumn{{Name: "text"}}},
		},
	}
}

// database applies steps to tables in memory, as a database would. refused tells that a step broke a constraint.
type database struct {
	projection *store.Projection
	rows       map[string]map[string]store.Value
	notes      []string
	refused    bool
	overflowed bool // and refused for that
}

func (d *database) apply(steps []store.Step) {
	plan := d.projection.Plan()
	for _, step := range steps {
		width := len(d.projection.Parameters(&plan[step.Write]))
		for i := range step.Count {
			if d.refused {
				return
			}
			d.applyRow(step.Write, owned(step.Values[i*width:(i+1)*width]))
		}
	}
}

// owned copies values that belong to a folder.
func owned(values []store.Value) []store.Value {
	values = slices.Clone(values)
	for i, v := range values {
		if v.Bytes() != nil {
			values[i] = store.BytesOf(v.Kind, bytes.Clone(v.Bytes()))
		}
	}
	return values
}

func (d *database) applyRow(write int, values []store.Value) {
	w := &d.projection.Plan()[write]
	switch {
	case w.SQL == nil:
	case write == ledgerSQL:
		for _, row := range d.rows {
			if total := row["total"]; !total.IsNull() {
				d.overflow(total.Int() > math.MaxInt64/2 || total.Int() < math.MinInt64/2)
				row["total"] = store.I64(total.Int() * 2)
			}
		}
		return
	default:
		for _, row := range d.rows {
			row["last"] = store.Text(show(row["last"]) + show(values[0]))
		}
		return
	}
	if w.Table == "note" {
		d.notes = append(d.notes, show(values[0]))
		return
	}
	key := show(values[0])
	row, exists := d.rows[key]
	for i, c := range w.Columns {
		column, _ := d.projection.Tables[0].Column(c.Name)
		d.overflow(column.NotNull && values[i+1].IsNull()) // which a later value may overwrite
	}
	switch {
	case d.refused:
		return
	case w.Action == store.Delete:
		delete(d.rows, key)
		return
	case exists && w.Action == store.Insert:
		d.refused = true
		return
	case exists && w.Action == store.InsertIgnore:
		return
	case !exists:
		row = map[string]store.Value{}
		for _, c := range d.projection.Tables[0].Columns {
			if len(c.Default) > 0 {
				n, _ := strconv.ParseInt(string(c.Default), 10, 64)
				row[c.Name] = store.I64(n)
			}
		}
		for i, c := range w.Columns {
			row[c.Name] = values[i+1]
		}
		d.rows[key] = row
		return
	}
	for i, c := range w.Columns {
		row[c.Name] = d.merge(c.Action, row[c.Name], values[i+1])
	}
}

func (d *database) overflow(now bool) {
	d.overflowed = d.overflowed || now && !d.refused
	d.refused = d.refused || now
}

func (d *database) merge(action store.Action, stored, given store.Value) store.Value {
	switch {
	case action == store.ActionSet:
		return given
	case stored.IsNull():
		return given
	case given.IsNull() || action == store.ActionIfNull:
		return stored
	}
	numeric := stored.Kind == store.KindNumeric
	if action == store.ActionAdd && numeric {
		sum := new(big.Rat).Add(exact(stored), exact(given))
		return number(sum.FloatString(2000)) // more decimals than any number here has
	}
	a, b := stored.Int(), given.Int()
	if action == store.ActionAdd {
		d.overflow(b > 0 && a > math.MaxInt64-b || b < 0 && a < math.MinInt64-b)
		return store.I64(a + b)
	}
	below := b < a
	if numeric {
		below = exact(given).Cmp(exact(stored)) < 0
	}
	if below == (action == store.ActionMin) {
		return given
	}
	return stored
}

// lines prints everything for comparison.
func (d *database) lines() string {
	if d.refused {
		return "refused"
	}
	var lines []string
	for key, row := range d.rows {
		line := key
		for _, c := range d.projection.Tables[0].Columns[1:] {
			line += " " + c.Name + "=" + show(row[c.Name])
		}
		lines = append(lines, line)
	}
	sort.Strings(lines)
	return strings.Join(append(lines, d.notes...), "\n")
}

func show(v store.Value) string {
	switch v.Kind {
	case store.KindNull:
		return "NULL"
	case store.KindBool:
		return fmt.Sprint(v.Bool())
	case store.KindI64, store.KindTimestamp:
		return fmt.Sprint(v.Int())
	case store.KindNumeric:
		return exact(v).RatString()
	default:
		return fmt.Sprintf("%q", v.Bytes())
	}
}

// exact reads a number without a limit on its digits, as a database does.
func exact(v store.Value) *big.Rat {
	r, ok := new(big.Rat).SetString(string(v.Bytes()))
	if !ok {
		panic(fmt.Sprintf("%q is no number", v.Bytes()))
	}
	return r
}

var keys = map[string][]store.Value{
	"bool": {store.Bool(false), store.Bool(true)},
	"i64":  {store.I64(0), store.I64(1), store.I64(-1), store.I64(256), store.I64(math.MinInt64)},
	"numeric": {
		number("1"), number("1.0"), number("+1.00"), number("0"), number("-0.0"), number("10"),
		number("-1"),
	},
	"text": {store.Text(""), store.Text("a"), store.Text("ab"), store.Text("a\x00"), store.Text("A")},
	"bytes": {
		store.BytesOf(store.KindBytes, nil), store.BytesOf(store.KindBytes, []byte{0}),
		store.BytesOf(store.KindBytes, []byte{0, 0}),
	},
	"timestamptz": {store.Timestamp(0), store.Timestamp(1), store.Timestamp(-1)},
	"uuid": {
		store.BytesOf(store.KindUUID, make([]byte, 16)),
		store.BytesOf(store.KindUUID, []byte("0123456789abcdef")),
	},
}

func number(text string) store.Value { return store.BytesOf(store.KindNumeric, []byte(text)) }

func drawMutation(t *rapid.T, key string) store.Mutation {
	pick := func(values ...store.Value) store.Value { return rapid.SampledFrom(values).Draw(t, "value") }
	text := func() store.Value { return pick(store.Null(), store.Text("x"), store.Text("y"), store.Text("")) }
	i64 := func() store.Value {
		return pick(store.Null(), store.I64(1), store.I64(-3), store.I64(0), store.I64(math.MaxInt64-2),
			store.I64(math.MinInt64+2))
	}
	numeric := func() store.Value {
		return pick(store.Null(), number("1.5"), number("-0.25"), number("3"), number("2.0"),
			number(strings.Repeat("9", 999)), number("0."+strings.Repeat("3", 998)))
	}
	write := rapid.IntRange(0, ledgerWrites-1).Draw(t, "write")
	values := []store.Value{rapid.SampledFrom(keys[key]).Draw(t, "key")}
	switch write {
	case ledgerPut:
		values = append(values, i64(), numeric(), i64(), numeric(), text(), text())
	case ledgerSet, ledgerInsert, ledgerMaybe:
		values = append(values, i64())
	case ledgerSQL, ledgerOtherSQL, ledgerNote:
		values = []store.Value{store.Text(rapid.SampledFrom([]string{"p", "q"}).Draw(t, "text"))}
	}
	return store.Mutation{Write: write, Values: values}
}

func (d *database) applyOne(m store.Mutation) {
	if !d.refused {
		d.applyRow(m.Write, m.Values)
	}
}

// checked checks what a store may rely on: counts fit, and the keys of a declarative step are distinct.
func checked(t *rapid.T, p *store.Projection, steps []store.Step) []store.Step {
	for _, step := range steps {
		w := &p.Plan()[step.Write]
		if step.Width != len(p.Parameters(w)) || step.Count < 1 || len(step.Values) != step.Width*step.Count {
			t.Fatalf("a step of %q has width %d, %d rows, %d values", w.Name, step.Width, step.Count, len(step.Values))
		}
		seen := map[string]bool{}
		for i := range step.Count {
			if table, ok := p.Table(w.Table); ok && len(table.Key) > 0 {
				key := show(step.Values[i*step.Width])
				if seen[key] {
					t.Fatalf("a step of %q has key %s twice", w.Name, key)
				}
				seen[key] = true
			}
		}
	}
	return steps
}
