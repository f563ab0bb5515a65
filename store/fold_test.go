package store_test

import (
	"bytes"
	"fmt"
	"math"
	"math/big"
	"slices"
	"sort"
	"strings"
	"testing"

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
	for _, step := range steps {
		width := len(d.projection.Parameters(&d.projection.Writes[step.Write]))
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
	w := &d.projection.Writes[write]
	switch write {
	case ledgerSQL:
		for _, row := range d.rows {
			if total := row["total"]; !total.IsNull() {
				d.overflow(total.Int() > math.MaxInt64/2 || total.Int() < math.MinInt64/2)
				row["total"] = store.I64(total.Int() * 2)
			}
		}
		return
	case ledgerOtherSQL:
		for _, row := range d.rows {
			row["last"] = store.Text(show(row["last"]) + show(values[0]))
		}
		return
	case ledgerNote:
		d.notes = append(d.notes, show(values[0]))
		return
	}
	key := show(values[0])
	row, exists := d.rows[key]
	switch {
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

// TestFolder_foldingChangesNothing compares any division of a history into batches, and of batches into plans,
// with one mutation at a time. What a batch brought is overwritten when it has been added.
func TestFolder_foldingChangesNothing(t *testing.T) {
	t.Parallel()
	for key := range keys {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			p := ledger(key)
			must(t, p.Validate())
			folder := store.NewFolder(p)
			rapid.Check(t, func(t *rapid.T) {
				single := &database{projection: p, rows: map[string]map[string]store.Value{}}
				folded := &database{projection: p, rows: map[string]map[string]store.Value{}}
				var batch []store.Mutation
				add := func() {
					for i := range batch {
						batch[i].Values = owned(batch[i].Values)
					}
					folder.Add(batch)
					for _, m := range batch {
						for _, v := range m.Values {
							clear(v.Bytes())
						}
					}
					batch = nil
				}
				commit := func() {
					add()
					folded.apply(checked(t, p, folder.Steps()))
					folder.Reset()
				}
				folder.Reset()
				for range rapid.IntRange(0, 40).Draw(t, "mutations") {
					m := drawMutation(t, key)
					single.applyOne(m)
					batch = append(batch, m)
					switch rapid.IntRange(0, 7).Draw(t, "cut") {
					case 0:
						commit()
					case 1, 2:
						add()
					}
				}
				commit()
				if single.overflowed && !folded.refused {
					return // a sum came back into its range, which is allowed
				}
				if single.lines() != folded.lines() {
					t.Fatalf("folded:\n%s\none by one:\n%s", folded.lines(), single.lines())
				}
			})
		})
	}
}

func (d *database) applyOne(m store.Mutation) {
	if !d.refused {
		d.applyRow(m.Write, m.Values)
	}
}

// checked checks what a store may rely on: counts fit, and the keys of a declarative step are distinct.
func checked(t *rapid.T, p *store.Projection, steps []store.Step) []store.Step {
	for _, step := range steps {
		w := &p.Writes[step.Write]
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

// TestFolder_sumsAreThoseOfAddNumeric adds numbers of few digits and of many, which are added in two ways.
func TestFolder_sumsAreThoseOfAddNumeric(t *testing.T) {
	t.Parallel()
	p := ledger("text")
	must(t, p.Validate())
	folder := store.NewFolder(p)
	text := rapid.StringMatching(`[+-]?[0-9]{1,12}(\.[0-9]{1,9})?`)
	null := store.Null()
	rapid.Check(t, func(t *rapid.T) {
		var batch []store.Mutation
		want := []byte("0")
		for _, number := range rapid.SliceOfN(text, 1, 6).Draw(t, "numbers") {
			var err error
			if want, err = store.AddNumeric(want, []byte(number)); err != nil {
				t.Fatal(err)
			}
			amount := store.BytesOf(store.KindNumeric, []byte(number))
			batch = append(batch, store.Mutation{
				Write:  ledgerPut,
				Values: []store.Value{store.Text("k"), null, amount, null, null, null, null},
			})
		}
		first := store.Mutation{Write: ledgerPut, Values: []store.Value{
			store.Text("k"), null, number("0"), null, null,
			null, null,
		}}
		got := folder.Fold(append([]store.Mutation{first}, batch...))[0].Values[2].Bytes()
		if string(got) != string(want) {
			t.Fatalf("the sum is %s, want %s", got, want)
		}
	})
}

func TestFolder_makesFewSteps(t *testing.T) {
	t.Parallel()
	p := ledger("text")
	must(t, p.Validate())
	set := func(key string) store.Mutation {
		return store.Mutation{Write: ledgerSet, Values: []store.Value{store.Text(key), store.I64(1)}}
	}
	del := func(key string) store.Mutation {
		return store.Mutation{Write: ledgerDelete, Values: []store.Value{store.Text(key)}}
	}
	sql := store.Mutation{Write: ledgerSQL, Values: []store.Value{store.Text("p")}}
	note := store.Mutation{Write: ledgerNote, Values: []store.Value{store.Text("n")}}
	cases := []struct {
		name      string
		mutations []store.Mutation
		want      string // "write×rows" for each step
	}{
		{"nothing", nil, ""},
		{"one key many times", []store.Mutation{set("a"), set("a"), set("a")}, "set×1"},
		{"many keys", []store.Mutation{set("a"), set("b"), set("a"), set("c")}, "set×3"},
		{"two writes on keys apart", []store.Mutation{set("a"), del("b"), set("c"), del("d")}, "set×2 delete×2"},
		{"two writes on one key", []store.Mutation{set("a"), del("a"), set("a")}, "set×1 delete×1 set×1"},
		{
			"only the key that was touched waits",
			[]store.Mutation{set("a"), del("a"), set("a"), set("b"), del("c")},
			"set×1 delete×2 set×2",
		},
		{"statements in a row", []store.Mutation{sql, sql, sql}, "sql×3"},
		{
			"a statement between",
			[]store.Mutation{set("a"), sql, set("a"), sql, set("b")},
			"set×1 sql×1 set×1 sql×1 set×1",
		},
		{"rows without a key", []store.Mutation{note, set("a"), note, note}, "note×3 set×1"},
	}
	folder := store.NewFolder(p)
	for _, c := range cases {
		var parts []string
		for _, step := range folder.Fold(c.mutations) {
			parts = append(parts, fmt.Sprintf("%s×%d", p.Writes[step.Write].Name, step.Count))
		}
		if got := strings.Join(parts, " "); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// TestFolder_rowsHaveOneOrder folds the same rows in any order of the events: transactions that touch the same
// rows must lock them in the same order.
func TestFolder_rowsHaveOneOrder(t *testing.T) {
	t.Parallel()
	sample := map[string]func(t *rapid.T) store.Value{
		"i64":         func(t *rapid.T) store.Value { return store.I64(rapid.Int64().Draw(t, "key")) },
		"timestamptz": func(t *rapid.T) store.Value { return store.Timestamp(rapid.Int64().Draw(t, "key")) },
		"text": func(t *rapid.T) store.Value {
			return store.Text(rapid.StringMatching("(account-)?[ab]{0,12}").Draw(t, "key"))
		},
		"numeric": func(t *rapid.T) store.Value {
			return number(rapid.StringMatching("-?[0-9]{1,3}(\\.[0-9]{1,2})?").Draw(t, "key"))
		},
		"bytes": func(t *rapid.T) store.Value {
			return store.BytesOf(store.KindBytes, rapid.SliceOfN(rapid.ByteRange(0, 2), 0, 10).Draw(t, "key"))
		},
	}
	for kind, draw := range sample {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			p := ledger(kind)
			must(t, p.Validate())
			folder := store.NewFolder(p)
			order := func(batch []store.Mutation) string {
				var keys []string
				step := folder.Fold(batch)[0]
				for row := range step.Count {
					keys = append(keys, show(step.Values[row*step.Width]))
				}
				return strings.Join(keys, " ")
			}
			rapid.Check(t, func(t *rapid.T) {
				batch := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) store.Mutation {
					return store.Mutation{Write: ledgerSet, Values: []store.Value{draw(t), store.I64(1)}}
				}), 1, 30).Draw(t, "batch")
				shuffled := rapid.Permutation(batch).Draw(t, "shuffled")
				if one, other := order(batch), order(shuffled); one != other {
					t.Fatalf("%s, and in another order of the events %s", one, other)
				}
			})
		})
	}
}

// TestFolder_tablesAndKeysKeepApart has two tables with the same keys of two columns, so many that the index of
// keys grows, and each key twice.
func TestFolder_tablesAndKeysKeepApart(t *testing.T) {
	t.Parallel()
	const keys = 1000
	columns := []store.Column{
		{Name: "a", Type: typed("i64")},
		{Name: "b", Type: typed("text")},
		{Name: "n", Type: typed("i64")},
	}
	p := &store.Projection{Name: "pairs", Version: 1}
	for _, name := range []string{"one", "two"} {
		p.Tables = append(p.Tables, store.Table{Name: name, Key: []string{"a", "b"}, Columns: columns})
		p.Writes = append(p.Writes, store.Write{
			Name: name, Action: store.Upsert, Table: name,
			Columns: []store.WriteColumn{{Name: "n", Action: store.ActionAdd}},
		})
	}
	must(t, p.Validate())
	var batch []store.Mutation
	for i := range 4 * keys {
		key := int64(i / 2 % keys)
		batch = append(batch, store.Mutation{Write: i % 2, Values: []store.Value{
			store.I64(key / 10), store.Text(fmt.Sprint(key % 10)), store.I64(int64(1 + i%2)),
		}})
	}
	folder := store.NewFolder(p)
	for range 2 {
		steps := folder.Fold(batch)
		if len(steps) != 2 {
			t.Fatalf("%d steps, want one a table", len(steps))
		}
		for _, step := range steps {
			if step.Count != keys {
				t.Errorf("table %d has %d rows, want %d", step.Write, step.Count, keys)
			}
			for row := range step.Count {
				if got, want := step.Values[row*step.Width+2].Int(), int64(2*(1+step.Write)); got != want {
					t.Fatalf("table %d, row %d: the sum is %d, want %d", step.Write, row, got, want)
				}
			}
		}
	}
}

// TestFolder_insertsOfATableOfTheirOwnAreOneStep has keys that come twice, which the database has to see, and SQL
// in between.
func TestFolder_insertsOfATableOfTheirOwnAreOneStep(t *testing.T) {
	t.Parallel()
	p := &store.Projection{
		Name: "log", Version: 1, Order: store.OrderGlobal,
		Tables: []store.Table{{
			Name: "line", Key: []string{"n"},
			Columns: []store.Column{{Name: "n", Type: typed("i64")}},
		}},
		Writes: []store.Write{
			{Name: "add", Action: store.Insert, Table: "line"},
			{Name: "prune", SQL: store.Statement{store.DialectAny: "DELETE FROM {line}"}},
		},
	}
	must(t, p.Validate())
	add := func(n int64) store.Mutation { return store.Mutation{Values: []store.Value{store.I64(n)}} }
	steps := store.NewFolder(p).Fold([]store.Mutation{add(2), add(1), add(2), {Write: 1}, add(1)})
	var got []string
	for _, step := range steps {
		line := p.Writes[step.Write].Name
		for _, v := range step.Values {
			line += " " + show(v)
		}
		got = append(got, line)
	}
	if want := []string{"add 1 2 2", "prune", "add 1"}; !slices.Equal(got, want) {
		t.Errorf("the steps are %q, want %q", got, want)
	}
}

// TestFolder_leavesTheMutationsAlone folds the same batch twice: the caller may have to repeat it.
func TestFolder_leavesTheMutationsAlone(t *testing.T) {
	t.Parallel()
	p := ledger("text")
	must(t, p.Validate())
	put := func(n int64) store.Mutation {
		return store.Mutation{Write: ledgerPut, Values: []store.Value{
			store.Text("a"), store.I64(n), number("1"), store.I64(n), number("2"), store.Null(), store.Text("z"),
		}}
	}
	batch := []store.Mutation{put(1), put(2), put(3)}
	folder := store.NewFolder(p)
	for range 3 {
		steps := folder.Fold(batch)
		if len(steps) != 1 || steps[0].Values[1].Int() != 6 {
			t.Errorf("the sum is %d", steps[0].Values[1].Int())
		}
	}
}

// BenchmarkFolder turns 1,000 mutations into steps: sums for 100 keys, exact and of big numbers, rows that are
// replaced, and a row an event.
func BenchmarkFolder(b *testing.B) {
	p := ledger("text")
	p.Writes = append(p.Writes,
		store.Write{
			Name: "add i64", Action: store.Upsert, Table: "account",
			Columns: []store.WriteColumn{{Name: "total", Action: store.ActionAdd}},
		},
		store.Write{
			Name: "add numeric", Action: store.Upsert, Table: "account",
			Columns: []store.WriteColumn{{Name: "amount", Action: store.ActionAdd}},
		},
	)
	if err := p.Validate(); err != nil {
		b.Fatal(err)
	}
	one, amount := store.I64(1), store.BytesOf(store.KindNumeric, []byte("32.95"))
	for _, shape := range []struct {
		name  string
		write int
		keys  int
		value store.Value
	}{
		{"set", ledgerSet, 100, one},
		{"add_i64", ledgerWrites, 100, one},
		{"add_numeric", ledgerWrites + 1, 100, amount},
		{"insert", ledgerInsert, 1000, one},
	} {
		b.Run(shape.name, func(b *testing.B) {
			folder := store.NewFolder(p)
			batch := make([]store.Mutation, 1000)
			for i := range batch {
				batch[i] = store.Mutation{
					Write:  shape.write,
					Values: []store.Value{store.Text(fmt.Sprint("key", i%shape.keys)), shape.value},
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				folder.Fold(batch)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(batch)), "ns/mutation")
		})
	}
}
