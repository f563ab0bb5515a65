package storetest

import (
	"fmt"
	"sort"
	"strings"

	"pgregory.net/rapid"

	"github.com/pupwasm/pupwasm/store"
)

var foldCases = []testCase{
	{"any_split_into_batches_gives_the_same_table_bool", foldOf("bool")},
	{"any_split_into_batches_gives_the_same_table_i64", foldOf("i64")},
	{"any_split_into_batches_gives_the_same_table_numeric", foldOf("numeric")},
	{"any_split_into_batches_gives_the_same_table_text", foldOf("text")},
	{"any_split_into_batches_gives_the_same_table_bytes", foldOf("bytes")},
	{"any_split_into_batches_gives_the_same_table_timestamptz", foldOf("timestamptz")},
	{"any_split_into_batches_gives_the_same_table_uuid", foldOf("uuid")},
}

// The writes of histories.
const (
	historyPut = iota
	historyPutSome
	historyInsert
	historyMaybe
	historyDelete
	historySQL
	historyWrites
)

// histories has every action on a table whose key has a column of the kind, besides the number of the run, which
// keeps the runs of a property apart.
func histories(kind string) *store.Projection {
	every := []store.WriteColumn{
		{Name: "total", Action: store.ActionAdd},
		{Name: "amount", Action: store.ActionAdd},
		{Name: "low", Action: store.ActionMin},
		{Name: "high", Action: store.ActionMax},
		{Name: "first", Action: store.ActionIfNull},
		{Name: "last", Action: store.ActionSet},
	}
	return &store.Projection{
		Name: "histories", Version: 1, Order: store.OrderGlobal,
		Tables: []store.Table{{
			Name: "row", Key: []string{"run", "k"},
			Columns: []store.Column{
				{Name: "run", Type: typed("i64")},
				{Name: "k", Type: typed(kind)},
				{Name: "total", Type: typed("i64")},
				{Name: "amount", Type: typed("numeric")},
				{Name: "low", Type: typed("timestamptz")},
				{Name: "high", Type: typed("numeric")},
				{Name: "first", Type: typed("text")},
				{Name: "last", Type: typed("text")},
			},
		}},
		Writes: []store.Write{
			{Name: "put", Action: store.Upsert, Table: "row", Columns: every},
			{
				Name: "put some", Action: store.Upsert, Table: "row",
				Columns: []store.WriteColumn{{Name: "last"}, {Name: "total", Action: store.ActionAdd}},
			},
			{
				Name: "insert", Action: store.Insert, Table: "row",
				Columns: []store.WriteColumn{{Name: "total"}, {Name: "last"}},
			},
			{
				Name: "maybe", Action: store.InsertIgnore, Table: "row",
				Columns: []store.WriteColumn{{Name: "total"}, {Name: "last"}},
			},
			{Name: "delete", Action: store.Delete, Table: "row"},
			{Name: "sql", SQL: anySQL(`UPDATE {row} SET last = coalesce(last, '') || $2, total = coalesce(total,
				0) * 2 WHERE run = $1`), Params: types("i64", "text")},
		},
		Queries: []store.Query{{
			Name: "all", SQL: anySQL(`SELECT k, total, amount, low, high, first, last FROM {row} WHERE run = $1`),
			Params:  types("i64"),
			Results: types(kind, "i64", "numeric", "timestamptz", "numeric", "text", "text"),
		}},
	}
}

// columnsOfHistory are the places of the value columns in a row of the model.
const (
	modelTotal = iota
	modelAmount
	modelLow
	modelHigh
	modelFirst
	modelLast
	modelWidth
)

type modelRow [modelWidth]store.Value

// model is the table in memory: mutations one by one, as if each were a batch.
type model map[string]*modelRow

func (m model) apply(mutation store.Mutation) {
	if mutation.Write == historySQL {
		for _, row := range m {
			last := ""
			if !row[modelLast].IsNull() {
				last = string(row[modelLast].Bytes())
			}
			row[modelLast] = store.Text(last + string(mutation.Values[1].Bytes()))
			row[modelTotal] = store.I64(row[modelTotal].Int() * 2)
		}
		return
	}
	key := showValue(mutation.Values[1])
	values := mutation.Values[2:]
	row, exists := m[key]
	if mutation.Write == historyDelete {
		delete(m, key)
		return
	}
	if !exists {
		row = &modelRow{}
		m[key] = row
	}
	switch mutation.Write {
	case historyPut:
		row[modelTotal] = merged(store.ActionAdd, row[modelTotal], values[0])
		row[modelAmount] = merged(store.ActionAdd, row[modelAmount], values[1])
		row[modelLow] = merged(store.ActionMin, row[modelLow], values[2])
		row[modelHigh] = merged(store.ActionMax, row[modelHigh], values[3])
		row[modelFirst] = merged(store.ActionIfNull, row[modelFirst], values[4])
		row[modelLast] = values[5]
	case historyPutSome:
		row[modelLast] = values[0]
		row[modelTotal] = merged(store.ActionAdd, row[modelTotal], values[1])
	case historyInsert, historyMaybe:
		if !exists {
			row[modelTotal], row[modelLast] = values[0], values[1]
		}
	}
}

// merged is the meaning of the actions, written down once more and apart from the Folder's.
func merged(action store.Action, stored, given store.Value) store.Value {
	if stored.IsNull() {
		return given
	}
	if given.IsNull() || action == store.ActionIfNull {
		return stored
	}
	order := 0
	if stored.Kind == store.KindNumeric {
		order, _ = store.CompareNumeric(given.Bytes(), stored.Bytes())
	} else if given.Int() < stored.Int() {
		order = -1
	} else if given.Int() > stored.Int() {
		order = 1
	}
	switch {
	case action == store.ActionAdd && stored.Kind == store.KindI64:
		return store.I64(stored.Int() + given.Int())
	case action == store.ActionAdd:
		sum, _ := store.AddNumeric(stored.Bytes(), given.Bytes())
		return store.BytesOf(store.KindNumeric, sum)
	case action == store.ActionMin && order < 0, action == store.ActionMax && order > 0:
		return given
	default:
		return stored
	}
}

// lines prints the model as show prints the query.
func (m model) lines() string {
	var lines []string
	for key, row := range m {
		fields := []string{key}
		for _, v := range row {
			fields = append(fields, showValue(v))
		}
		lines = append(lines, strings.Join(fields, " "))
	}
	sort.Strings(lines)
	return strings.Join(lines, "; ")
}

func foldOf(kind string) func(f *fixture) {
	return func(f *fixture) {
		r := f.running(histories(kind))
		keys := samples()[kind]
		if kind == "numeric" {
			keys = append(keys, number("3.00"), number("-12.5"), number("0.0")) // equal to others of the samples
		}
		run := int64(0)
		rapid.Check(f.T, func(t *rapid.T) {
			run++
			want, batch := model{}, []store.Mutation(nil)
			for range rapid.IntRange(1, 30).Draw(t, "mutations") {
				mutation := drawMutation(t, run, keys, want)
				want.apply(mutation)
				batch = append(batch, mutation)
				if rapid.IntRange(0, 5).Draw(t, "cut") == 0 {
					r.apply(batch...)
					batch = nil
				}
			}
			r.apply(batch...)
			rows := strings.Split(show(r.query(0, store.I64(run))), "; ")
			sort.Strings(rows)
			if got := strings.Join(rows, "; "); got != want.lines() {
				t.Fatalf("the table is\n%s\nwant\n%s", strings.ReplaceAll(got, "; ", "\n"),
					strings.ReplaceAll(want.lines(), "; ", "\n"))
			}
		})
	}
}

func drawMutation(t *rapid.T, run int64, keys []store.Value, table model) store.Mutation {
	key := rapid.SampledFrom(keys).Draw(t, "key")
	write := rapid.IntRange(0, historyWrites-1).Draw(t, "write")
	if _, exists := table[showValue(key)]; write == historyInsert && exists {
		write = historyDelete // an insert would be refused, rightly
	}
	text := func() store.Value { return store.Text(fmt.Sprint("t", rapid.IntRange(0, 9).Draw(t, "text"))) }
	i64 := func() store.Value { return store.I64(rapid.Int64Range(-1000, 1000).Draw(t, "i64")) }
	numeric := func() store.Value {
		return number(fmt.Sprintf("%d.%0*d", rapid.IntRange(-99, 99).Draw(t, "whole"),
			rapid.IntRange(1, 4).Draw(t, "decimals"), rapid.IntRange(0, 9).Draw(t, "digit")))
	}
	moment := func() store.Value { return store.Timestamp(rapid.Int64Range(-1e15, 1e15).Draw(t, "moment")) }
	maybe := func(value func() store.Value) store.Value {
		if rapid.IntRange(0, 3).Draw(t, "null") == 0 {
			return store.Null()
		}
		return value()
	}
	values := []store.Value{store.I64(run), key}
	switch write {
	case historyPut:
		values = append(values, maybe(i64), maybe(numeric), maybe(moment), maybe(numeric), maybe(text), maybe(text))
	case historyPutSome:
		values = append(values, maybe(text), maybe(i64))
	case historyInsert, historyMaybe:
		values = append(values, maybe(i64), maybe(text))
	case historySQL:
		values = []store.Value{store.I64(run), text()}
	}
	return store.Mutation{Write: write, Values: values}
}
