package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"

	"github.com/pupwasm/pupwasm/store"
)

var compareCases = []testCase{
	{"equal_versions", compareEqual},
	{"every_type_and_null", compareTypes},
	{"planted_differences_are_found_and_no_others", comparePlanted},
	{"versions_that_are_apart", compareApart},
	{"tables_and_columns_of_one_version", compareDeclarations},
	{"a_table_without_a_key", compareWithoutKey},
	{"unknown_versions", compareUnknown},
}

// compared compares versions 1 and 2 of sums, where that has to work.
func (f *fixture) compared(examples int) *store.Comparison {
	f.Helper()
	comparison, err := f.store.Compare(f.ctx, sumsOf(1), sumsOf(2), examples, func() {})
	f.must(err)
	if comparison.Projection != "sums" || comparison.Versions != [2]store.ProjectionID{sumsOf(1), sumsOf(2)} || len(comparison.Tables) == 0 {
		f.Fatalf("the comparison is %+v", comparison)
	}
	return comparison
}

// text is a row that differs, such as "a: 1 | 2".
func text(r store.RowComparison) string {
	show := func(in bool, values []store.Value) string {
		if !in {
			return "-"
		}
		return show(store.Rows{Width: len(values), Values: values})
	}
	return show(true, r.Key) + ": " + show(r.In[0], r.Values[0]) + " | " + show(r.In[1], r.Values[1])
}

func texts(t *store.TableComparison) string {
	lines := make([]string, len(t.Examples))
	for i, r := range t.Examples {
		lines[i] = text(r)
	}
	return strings.Join(lines, "; ")
}

func compareEqual(f *fixture) {
	a := f.running(sums(1))
	a.apply(put("x", 1), put("y", 2))
	b := f.runningOn(f.store, sums(2), "worker-2")
	b.apply(put("y", 2), put("x", 1))
	c := f.compared(10)
	if c.Differ() || c.Position != f.at(1) || c.Tables[0].Rows != [2]int64{2, 2} || len(c.Tables[0].Examples) > 0 {
		f.Errorf("the comparison is %+v", c)
	}
}

// everything is a projection with a column of every type that is no key.
func everything(version int) *store.Projection {
	p := &store.Projection{Name: "sums", Version: version, Tables: []store.Table{{
		Name: "all_types", Key: []string{"name"}, Columns: []store.Column{{Name: "name", Type: typed("text"), Partition: true}},
	}}}
	write := store.Write{Name: "put", Action: store.Upsert, Table: "all_types"}
	for i, kind := range everyType {
		name := fmt.Sprintf("c%d", i)
		p.Tables[0].Columns = append(p.Tables[0].Columns, store.Column{Name: name, Type: typed(kind)})
		write.Columns = append(write.Columns, store.WriteColumn{Name: name})
	}
	p.Writes = []store.Write{write}
	return p
}

var everyType = []string{"bool", "i64", "f64", "numeric", "text", "bytes", "uuid", "timestamptz", "json", "i64[]", "text[]"}

// twoValues are two different values of a type.
func twoValues(kind string) [2]store.Value {
	id := func(b byte) store.Value { return store.BytesOf(store.KindUUID, append(make([]byte, 15), b)) }
	switch kind {
	case "bool":
		return [2]store.Value{store.Bool(true), store.Bool(false)}
	case "i64":
		return [2]store.Value{store.I64(1 << 60), store.I64(1<<60 + 1)}
	case "f64":
		return [2]store.Value{store.F64(0.1), store.F64(0.2)}
	case "numeric":
		return [2]store.Value{numeric("12345678901234567890.10"), numeric("12345678901234567890.11")}
	case "bytes":
		return [2]store.Value{store.BytesOf(store.KindBytes, []byte{0, 1}), store.BytesOf(store.KindBytes, []byte{0, 2})}
	case "uuid":
		return [2]store.Value{id(1), id(2)}
	case "timestamptz":
		return [2]store.Value{store.Timestamp(1), store.Timestamp(2)}
	case "json":
		return [2]store.Value{store.BytesOf(store.KindJSON, []byte(`{"a":1}`)), store.BytesOf(store.KindJSON, []byte(`{"a":2}`))}
	case "i64[]":
		return [2]store.Value{
			store.ArrayOf(store.KindI64, []store.Value{store.I64(1)}),
			store.ArrayOf(store.KindI64, []store.Value{store.I64(1), store.I64(2)}),
		}
	case "text[]":
		return [2]store.Value{textArray("a"), textArray("b")}
	}
	return [2]store.Value{store.Text("it's"), store.Text("")}
}

// compareTypes has rows that are equal, and for every type rows that differ in one column, or by NULL.
func compareTypes(f *fixture) {
	a := f.running(everything(1))
	a.apply(mutate(0, append([]store.Value{store.Text("seen")}, nulls()...)...))
	b := f.runningOn(f.store, everything(2), "worker-2")
	b.apply(mutate(0, append([]store.Value{store.Text("seen")}, nulls()...)...))
	var mutations [2][]store.Mutation
	row := func(key string, values [2][]store.Value) {
		for side := range mutations {
			mutations[side] = append(mutations[side], mutate(0, append([]store.Value{store.Text(key)}, values[side]...)...))
		}
	}
	full := func(which int) (values []store.Value) {
		for _, kind := range everyType {
			values = append(values, twoValues(kind)[which])
		}
		return values
	}
	row("equal", [2][]store.Value{full(0), full(0)})
	for i, kind := range everyType {
		other, none := full(0), full(0)
		other[i], none[i] = twoValues(kind)[1], store.Null()
		row("differs "+kind, [2][]store.Value{full(0), other})
		row("null "+kind, [2][]store.Value{none, full(0)})
	}
	equal := full(0) // 1.5 is 1.50
	equal[3] = numeric("1.5")
	same := full(0)
	same[3] = numeric("1.500")
	row("same number", [2][]store.Value{equal, same})
	a.apply(mutations[0]...)
	b.apply(mutations[1]...)
	t := f.compared(100).Tables[0]
	if t.Changed != int64(2*len(everyType)) || t.Only != [2]int64{} || len(t.Examples) != 2*len(everyType) {
		f.Errorf("%d rows differ, %d examples: %s", t.Changed, len(t.Examples), texts(&t))
	}
	for i, n := range t.ChangedIn {
		if n != 2 {
			f.Errorf("column %s differs in %d rows, want 2", t.Columns[i].Name, n)
		}
	}
	for _, example := range t.Examples {
		for i, kind := range everyType {
			differs := !reflect.DeepEqual(showValue(example.Values[0][i]), showValue(example.Values[1][i]))
			if key := string(example.Key[0].Bytes()); differs != (key == "differs "+kind || key == "null "+kind) {
				f.Errorf("row %q: column of %s: %s and %s", key, kind, showValue(example.Values[0][i]),
					showValue(example.Values[1][i]))
			}
		}
	}
}

func nulls() []store.Value {
	values := make([]store.Value, len(everyType))
	for i := range values {
		values[i] = store.Null()
	}
	return values
}

// comparePlanted has many rows, and some planted differences of each kind.
func comparePlanted(f *fixture) {
	a, b := f.running(sums(1)), (*runner)(nil)
	var first, second []store.Mutation
	want := map[string]string{}
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 1))
	for i := range 500 {
		name, n := fmt.Sprintf("row %03d", i), int64(random.IntN(1000))
		switch random.IntN(20) {
		case 0:
			first = append(first, put(name, n))
			want[name] = fmt.Sprintf("%s: %d | -", name, n)
		case 1:
			second = append(second, put(name, n))
			want[name] = fmt.Sprintf("%s: - | %d", name, n)
		case 2:
			first, second = append(first, put(name, n)), append(second, put(name, n+1))
			want[name] = fmt.Sprintf("%s: %d | %d", name, n, n+1)
		default:
			first, second = append(first, put(name, n)), append(second, put(name, n))
		}
	}
	a.apply(first...)
	b = f.runningOn(f.store, sums(2), "worker-2")
	b.apply(second...)
	t := f.compared(1000).Tables[0]
	if total := t.Changed + t.Only[0] + t.Only[1]; total != int64(len(want)) || len(t.Examples) != len(want) {
		f.Fatalf("seed %d: %d rows differ, %d examples, want %d", seed, total, len(t.Examples), len(want))
	}
	for _, example := range t.Examples {
		if got, want := text(example), want[string(example.Key[0].Bytes())]; got != want {
			f.Errorf("seed %d: got %q, want %q", seed, got, want)
		}
	}
	if t := f.compared(3).Tables[0]; len(t.Examples) > 6 || len(t.Examples) < 3 {
		f.Errorf("asked for 3 examples, got %d", len(t.Examples))
	}
	if t := f.compared(0).Tables[0]; len(t.Examples) != 0 || !t.Differ() {
		f.Errorf("asked for no example, got %+v", t)
	}
}

func compareApart(f *fixture) {
	runners := f.beside(1, 2)
	runners[1].apply(put("of", 1))
	runners[1].apply(put("of", 1))
	_, err := f.store.Compare(f.ctx, sumsOf(1), sumsOf(2), 1, func() {})
	var apart *store.ApartError
	if !errors.As(err, &apart) || apart.Positions != 2 || apart.Versions != [2]store.ProjectionID{sumsOf(1), sumsOf(2)} {
		f.Errorf("two positions apart: %v", err)
	}
	runners[0].apply(put("of", 2))
	runners[0].apply(put("of", 1))
	if t := f.compared(9).Tables[0]; texts(&t) != "" {
		f.Errorf("they differ by %s", texts(&t))
	}
}

func compareDeclarations(f *fixture) {
	a := shared(1)
	f.used(a)
	b := shared(2)
	b.Tables[0].Columns[2].Type = typed("i64")
	b.Tables[0].Columns = append(b.Tables[0].Columns, store.Column{Name: "more", Type: typed("bool")})
	b.Tables = append(b.Tables, store.Table{
		Name: "added", Key: []string{"name"}, Columns: []store.Column{{Name: "name", Type: typed("text"), Partition: true}},
	})
	b.Writes, b.Queries = b.Writes[:1], nil
	f.runningOn(f.store, b, "worker-2").apply(put("a", 1))
	c := f.compared(1)
	if !c.Differ() || len(c.Tables) != 2 || c.Tables[0].Table != "added" || c.Tables[0].In != [2]bool{false, true} {
		f.Fatalf("the comparison is %+v", c)
	}
	t := c.Tables[1]
	if t.Differ() || !reflect.DeepEqual(t.Others, [2][]string{{"a"}, {"a", "more"}}) || len(t.Columns) != 1 {
		f.Errorf("the table is %+v", t)
	}
	other := sums(3)
	other.Tables[0].Key = []string{"name", "n"}
	other.Writes, other.Queries = []store.Write{{Name: "put", Action: store.Upsert, Table: "total"}}, nil
	f.runningOn(f.store, other, "worker-3").apply(put("a", 1))
	c, err := f.store.Compare(f.ctx, sumsOf(1), sumsOf(3), 1, func() {})
	f.must(err)
	if got := c.Tables[0].Uncompared; got != "it has another key" {
		f.Errorf("another key: %q", got)
	}
}

func compareWithoutKey(f *fixture) {
	lines := func(version int) *store.Projection {
		return &store.Projection{
			Name: "sums", Version: version, Tables: []store.Table{{Name: "line", Columns: []store.Column{
				{Name: "n", Type: typed("i64")}, {Name: "copies", Type: typed("text")},
			}}},
			Writes: []store.Write{{
				Name: "add", Action: store.Insert, Table: "line",
				Columns: []store.WriteColumn{{Name: "n"}, {Name: "copies"}},
			}},
			Order: store.OrderGlobal,
		}
	}
	line := func(at int64, note store.Value) store.Mutation { return mutate(0, store.I64(at), note) }
	f.running(lines(1)).apply(line(1, store.Text("x")), line(1, store.Text("x")), line(2, store.Null()), line(3, store.Null()))
	f.runningOn(f.store, lines(2), "worker-2").apply(line(3, store.Null()), line(1, store.Text("x")), line(2, store.Text("")))
	t := f.compared(9).Tables[0]
	if t.Rows != [2]int64{4, 3} || t.Only != [2]int64{2, 1} || t.Changed != 0 || len(t.Examples) != 3 {
		f.Errorf("the table is %+v: %s", t, texts(&t))
	}
}

func compareUnknown(f *fixture) {
	_, err := f.store.Compare(f.ctx, sumsOf(1), sumsOf(2), 1, func() {})
	f.wantInput("nothing is installed", err, "is not known")
	f.beside(1, 2)
	_, err = f.store.Compare(f.ctx, sumsOf(1), sumsOf(3), 1, func() {})
	f.wantInput("one that is not there", err, "has no version 3")
}
