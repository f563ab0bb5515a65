package store_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pupwasm/pupwasm/store"
)

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
