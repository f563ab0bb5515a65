package storetest

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/pupwasm/pupwasm/store"
)

var typeCases = []testCase{
	{"every_type_as_column_parameter_and_result", typesRoundTrip},
	{"every_type_in_an_array", typesArrays},
	{"every_key_type", typesKeys},
	{"what_a_type_cannot_hold_is_refused", typesBeyond},
}

// samples are values of each kind at its edges.
func samples() map[string][]store.Value {
	text := func(kind store.Kind, texts ...string) []store.Value {
		all := make([]store.Value, len(texts))
		for i, t := range texts {
			all[i] = store.BytesOf(kind, []byte(t))
		}
		return all
	}
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	return map[string][]store.Value{
		"bool": {store.Bool(false), store.Bool(true)},
		"i64": {
			store.I64(0), store.I64(-1), store.I64(math.MinInt64), store.I64(math.MaxInt64),
			store.I64(1 << 53),
		},
		"f64": {
			store.F64(0), store.F64(-1.5), store.F64(math.MaxFloat64), store.F64(math.SmallestNonzeroFloat64),
			store.F64(math.Inf(1)), store.F64(0.1),
		},
		"numeric": text(store.KindNumeric, "0", "-12.50", "+3", "123456789012345678901234567890.123456789",
			"0.000000000000000000001"),
		"text":  text(store.KindText, "", "a", `'"\{},`, "NULL", "日本🦀", " \t\n", "{a,b}"),
		"bytes": append(text(store.KindBytes, "", "\x00", `\x00`), store.BytesOf(store.KindBytes, every)),
		"json": text(store.KindJSON, "null", "true", "12", `"te\"xt"`, `[1, "a", null, {"b": []}]`,
			`{"k": {"ü": 1.5}, "a": "日本"}`, "{}",
			"123456789012345678901234567890"),
		"timestamptz": {
			store.Timestamp(0), store.Timestamp(-1), store.Timestamp(1_600_000_000_123_456),
			store.Timestamp(253402300799999999), store.Timestamp(-62135596800000000),
		},
		"uuid": {store.BytesOf(store.KindUUID, make([]byte, 16)), store.BytesOf(store.KindUUID, every[240:])},
	}
}

// holder is a projection with one table of one column of a type, filled by a declarative write and by a statement.
func holder(name, kind string) *store.Projection {
	t := typed(kind)
	return &store.Projection{
		Name: name, Version: 1, Order: store.OrderGlobal,
		Tables: []store.Table{{
			Name: "box", Key: []string{"id"},
			Columns: []store.Column{{Name: "id", Type: typed("i64")}, {Name: "value", Type: t}},
		}},
		Writes: []store.Write{
			{Name: "put", Action: store.Upsert, Table: "box", Columns: []store.WriteColumn{{Name: "value"}}},
			{
				Name: "sql", SQL: anySQL(`INSERT INTO {box} (id, value) VALUES ($1, $2)`),
				Params: []store.Type{typed("i64"), t},
			},
		},
		Queries: []store.Query{
			{
				Name: "all", SQL: anySQL(`SELECT id, value FROM {box} ORDER BY id`),
				Results: []store.Type{typed("i64"), t},
			},
			{Name: "load", Table: "box", Columns: []string{"value"}},
			{Name: "echo", SQL: anySQL(`SELECT value FROM {box} WHERE id = $1 UNION ALL SELECT value FROM {box}
				WHERE id = -1`), Params: types("i64"), Results: []store.Type{t}},
		},
	}
}

func typesRoundTrip(f *fixture) {
	for kind, values := range f.columnSamples() {
		f.roundTrip(kind, kind, append(values, store.Null()))
	}
}

// columnSamples are the samples that a column holds.
func (f *fixture) columnSamples() map[string][]store.Value {
	all := samples()
	if f.dialect == store.DialectMySQL {
		all["f64"] = slices.DeleteFunc(all["f64"], func(v store.Value) bool { return math.IsInf(v.Float(), 0) })
	}
	return all
}

// beyond are values that a database does not hold in a column, by kind. Arrays may have them.
func beyond(dialect store.Dialect) map[string][]store.Value {
	if dialect == store.DialectPostgres {
		return nil
	}
	values := map[string][]store.Value{"f64": {store.F64(math.NaN())}}
	if dialect == store.DialectMySQL {
		values["f64"] = append(values["f64"], store.F64(math.Inf(1)), store.F64(math.Inf(-1)))
		values["numeric"] = []store.Value{
			number("0.0000000000000000000000000000001"), number("-1" + strings.Repeat("0", 35)),
			number(strings.Repeat("9", 900)),
		}
		values["timestamptz"] = []store.Value{
			store.Timestamp(253402300800000000), store.Timestamp(-62135596800000001), store.Timestamp(math.MinInt64),
		}
	}
	return values
}

// typesBeyond has values that the database does not hold: it refuses them, and never stores others in their place.
func typesBeyond(f *fixture) {
	for kind, values := range beyond(f.dialect) {
		r := f.running(holder("of_"+kind, kind))
		for i, v := range values {
			for write := range 2 {
				got := r.explained(mutate(0, store.I64(1), store.Null()), mutate(write, store.I64(int64(i+2)), v))
				if !strings.Contains(got, "value = ") && !strings.Contains(got, "parameter $2 = ") {
					f.Errorf("%s: %s by write %d: %s", kind, showValue(v), write, got)
				}
			}
		}
		if got := r.table(); got != "" {
			f.Errorf("%s: the table is %q", kind, got)
		}
	}
}

func typesArrays(f *fixture) {
	for kind, values := range samples() {
		k := values[0].Kind
		reversed := []store.Value{store.Null()}
		for i := range values {
			reversed = append(reversed, values[len(values)-1-i])
		}
		f.roundTrip(kind+"s", kind+"[]", []store.Value{
			store.ArrayOf(k, nil), store.ArrayOf(k, values), store.ArrayOf(k, reversed), store.ArrayOf(k,
				[]store.Value{store.Null()}), store.Null(),
		})
	}
}

// roundTrip writes values by both kinds of write and reads them by both kinds of query.
func (f *fixture) roundTrip(name, kind string, values []store.Value) {
	f.Helper()
	r := f.running(holder("of_"+name, kind))
	var batch []store.Mutation
	var keys []store.Value
	for i, v := range values {
		batch = append(batch, mutate(0, store.I64(int64(2*i)), v), mutate(1, store.I64(int64(2*i+1)), v))
		keys = append(keys, store.I64(int64(2*i)), store.I64(int64(2*i+1)))
	}
	r.apply(batch...)
	all, loaded := r.query(0), r.query(1, store.ArrayOf(store.KindI64, keys))
	if len(all.Values) != 4*len(values) || len(loaded.Values) != 4*len(values) {
		f.Fatalf("%s: %d and %d values came back, want %d", kind, len(all.Values), len(loaded.Values), 4*len(values))
	}
	for i := range 2 * len(values) {
		want := values[i/2]
		for j, got := range []store.Value{
			all.Values[2*i+1], loaded.Values[2*i+1],
			r.query(2, store.I64(int64(i))).Values[0],
		} {
			if !equal(got, want) {
				f.Errorf("%s: %s came back as %s (write %d, query %d)", kind, showValue(want), showValue(got), i%2, j)
			}
			if !got.IsNull() && !typed(kind).Accepts(got) {
				f.Errorf("%s: the result has kind %s, array %v", kind, got.Kind, got.Array)
			}
		}
	}
}

// equal compares what the databases hold equal: JSON by meaning, numerics by number.
func equal(a, b store.Value) bool {
	if a.Array != b.Array || a.Kind != b.Kind || len(a.Elements()) != len(b.Elements()) {
		return false
	}
	for i := range a.Elements() {
		if !equal(a.Elements()[i], b.Elements()[i]) {
			return false
		}
	}
	switch {
	case a.Array:
		return true
	case a.Kind == store.KindJSON:
		return sameJSON(a.Bytes(), b.Bytes())
	case a.Kind == store.KindNumeric:
		order, err := store.CompareNumeric(a.Bytes(), b.Bytes())
		return err == nil && order == 0
	default:
		return a.Bits() == b.Bits() && bytes.Equal(a.Bytes(), b.Bytes())
	}
}

// typesKeys uses every kind that can be a key, alone and composite.
func typesKeys(f *fixture) {
	for kind, values := range samples() {
		if kind == "f64" || kind == "json" {
			continue
		}
		p := &store.Projection{
			Name: "by_" + kind, Version: 1, Order: store.OrderGlobal,
			Tables: []store.Table{{
				Name: "box", Key: []string{"k", "l"},
				Columns: []store.Column{
					{Name: "n", Type: typed("i64")},
					{Name: "l", Type: typed("i64")},
					{Name: "k", Type: typed(kind)},
				},
			}},
			Writes: []store.Write{
				{
					Name: "add", Action: store.Upsert, Table: "box",
					Columns: []store.WriteColumn{{Name: "n", Action: store.ActionAdd}},
				},
				{Name: "delete", Action: store.Delete, Table: "box"},
			},
			Queries: []store.Query{
				{Name: "all", SQL: anySQL(`SELECT n FROM {box} ORDER BY n`), Results: types("i64")},
				{Name: "load", Table: "box", Columns: []string{"k", "n"}},
			},
		}
		r := f.running(p)
		var ks, ls []store.Value
		for round := range 3 {
			var batch []store.Mutation
			for i, v := range values {
				for l := range 2 {
					batch = append(batch, mutate(0, v, store.I64(int64(l)), store.I64(int64(i+1))))
				}
				if round == 0 {
					ks, ls = append(ks, v), append(ls, store.I64(1))
				}
			}
			r.apply(batch...)
		}
		rows := r.query(1, store.ArrayOf(values[0].Kind, ks), store.ArrayOf(store.KindI64, ls))
		for i, v := range values {
			if len(rows.Values) != 3*len(values) || rows.Values[3*i].Int() != int64(i) ||
				!equal(rows.Values[3*i+1], v) || rows.Values[3*i+2].Int() != int64(3*(i+1)) {
				f.Fatalf("key %s: loaded %s", kind, show(rows))
			}
		}
		var batch []store.Mutation
		for _, v := range values {
			batch = append(batch, mutate(1, v, store.I64(1)))
		}
		r.apply(batch...)
		want := ""
		for i := range values {
			want += fmt.Sprint("; ", 3*(i+1))
		}
		if got := r.table(); got != want[2:] {
			f.Errorf("key %s: after the delete the table is %s, want %s", kind, got, want[2:])
		}
	}
}
