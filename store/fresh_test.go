package store_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/pupwasm/pupwasm/store"
)

// plainLedger is the ledger without SQL, with defaults and a column that must have a value.
func plainLedger(key string) *store.Projection {
	p := ledger(key)
	p.Writes = slices.DeleteFunc(p.Writes, func(w store.Write) bool { return w.SQL != nil })
	columns := p.Tables[0].Columns
	columns[1].Default, columns[1].NotNull = json.RawMessage("7"), true
	columns[3].Default = json.RawMessage("3")
	return p
}

// ledgerNotePlain is the write of the notes there.
const ledgerNotePlain = ledgerSQL

// drawPlain draws a mutation of it.
func drawPlain(t *rapid.T, key string) store.Mutation {
	for {
		m := drawMutation(t, key)
		switch m.Write {
		case ledgerSQL, ledgerOtherSQL:
			continue
		case ledgerNote:
			m.Write = ledgerNotePlain
		}
		return m
	}
}

func (d *database) clone() *database {
	copied := &database{projection: d.projection, rows: map[string]map[string]store.Value{}, notes: slices.Clone(d.notes)}
	for key, row := range d.rows {
		copied.rows[key] = maps.Clone(row)
	}
	return copied
}

// TestFolder_Follow has a segment commit a history in groups, by two folders in turns, which know the keys of all that
// it has written. Somebody else has written rows before. A group that is refused is undone and added again. Every commit
// leaves what one mutation at a time leaves, and a group with a fault is refused in the end.
func TestFolder_Follow(t *testing.T) {
	t.Parallel()
	for key := range keys {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			p := plainLedger(key)
			must(t, p.Validate())
			rapid.Check(t, func(t *rapid.T) {
				known := store.NewSegmentKeys()
				folders := [2]*store.Folder{store.NewFolder(p), store.NewFolder(p)}
				single := &database{projection: p, rows: map[string]map[string]store.Value{}}
				for range rapid.IntRange(0, 2).Draw(t, "by hand") {
					single.applyOne(store.Mutation{
						Write:  ledgerSet,
						Values: []store.Value{rapid.SampledFrom(keys[key]).Draw(t, "key"), store.I64(5)},
					})
				}
				folded := single.clone()
				for group := range rapid.IntRange(1, 6).Draw(t, "groups") {
					folder := folders[group%2]
					folder.Follow(known)
					folder.Reset()
					var mutations []store.Mutation
					for range rapid.IntRange(0, 12).Draw(t, "mutations") {
						m := drawPlain(t, key)
						single.applyOne(m)
						mutations = append(mutations, m)
						folder.Add([]store.Mutation{m})
					}
					fresh, tried := folder.FreshRows(), folded.clone()
					tried.apply(checked(t, p, folder.Steps()))
					if tried.refused && fresh {
						folder.Reset()
						folder.Add(mutations)
						if folder.FreshRows() {
							t.Fatal("the second time rows are new still")
						}
						tried = folded.clone()
						tried.apply(checked(t, p, folder.Steps()))
					}
					folded = tried
					if single.overflowed && !folded.refused {
						return // a sum came back into its range, which is allowed
					}
					if single.lines() != folded.lines() {
						t.Fatalf("folded:\n%s\none by one:\n%s", folded.lines(), single.lines())
					}
					if single.refused {
						return
					}
				}
			})
		})
	}
}

// TestFolder_oneInsertForANewKey has changes by several writes to keys that are new, and to one that is not any more.
func TestFolder_oneInsertForANewKey(t *testing.T) {
	t.Parallel()
	p := plainLedger("text")
	must(t, p.Validate())
	change := func(write int, key string, values ...store.Value) store.Mutation {
		return store.Mutation{Write: write, Values: append([]store.Value{store.Text(key)}, values...)}
	}
	null := store.Null()
	mutations := []store.Mutation{
		change(ledgerPut, "b", store.I64(1), null, store.I64(2), null, null, store.Text("x")),
		change(ledgerSet, "a", store.I64(3)), change(ledgerMaybe, "b", store.I64(9)), change(ledgerSet, "b", store.I64(4)),
		change(ledgerPut, "a", store.I64(1), number("1.5"), null, null, null, null),
	}
	folder := store.NewFolder(p)
	folder.Follow(store.NewSegmentKeys())
	folder.Reset()
	folder.Add(mutations)
	steps := folder.Steps()
	if len(steps) != 1 || p.Plan()[steps[0].Write].Name != "new rows of account" {
		t.Fatalf("the steps are %+v", steps)
	}
	var rows [][]string
	for row := range steps[0].Count {
		var values []string
		for _, v := range steps[0].Values[row*steps[0].Width : (row+1)*steps[0].Width] {
			values = append(values, show(v))
		}
		rows = append(rows, values)
	}
	want := [][]string{
		{`"a"`, "4", "3/2", "3", "NULL", "NULL", "NULL"}, {`"b"`, "4", "NULL", "2", "NULL", "NULL", `"x"`},
	}
	if !slices.EqualFunc(rows, want, slices.Equal[[]string]) {
		t.Errorf("the rows are %v, want %v", rows, want)
	}
	folder.Reset()
	folder.Add(mutations)
	if folder.FreshRows() {
		t.Error("keys are new twice")
	}
}

// TestSegmentKeys_Forget ends the knowledge in the middle of a group.
func TestSegmentKeys_Forget(t *testing.T) {
	t.Parallel()
	p, known := plainLedger("text"), store.NewSegmentKeys()
	folder := store.NewFolder(p)
	folder.Follow(known)
	folder.Reset()
	set := func(key string) {
		folder.Add([]store.Mutation{{Write: ledgerSet, Values: []store.Value{store.Text(key), store.I64(1)}}})
	}
	set("a")
	known.Forget()
	set("b")
	set("a") // is a part of its insert still
	var writes []string
	for _, step := range folder.Steps() {
		writes = append(writes, fmt.Sprint(p.Plan()[step.Write].Name, " ", step.Count))
	}
	if want := []string{"new rows of account 1", "set 1"}; !slices.Equal(writes, want) {
		t.Errorf("the steps are %q, want %q", writes, want)
	}
}

// TestSegmentKeys_thereMayBeTooMany ends the knowledge, and nothing else.
func TestSegmentKeys_thereMayBeTooMany(t *testing.T) {
	t.Parallel()
	p := plainLedger("i64")
	folder := store.NewFolder(p)
	folder.Follow(store.NewSegmentKeys())
	fresh, last := 0, 0
	for n := range 600_000 {
		folder.Reset()
		folder.Add([]store.Mutation{{Write: ledgerSet, Values: []store.Value{store.I64(int64(n)), store.I64(1)}}})
		if folder.FreshRows() {
			fresh, last = fresh+1, n
		}
	}
	if fresh != last+1 || fresh < 500_000 || fresh > 550_000 {
		t.Errorf("%d rows were new, the last one is %d", fresh, last)
	}
}
