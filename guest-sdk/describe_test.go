package pup_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	pup "github.com/pupwasm/pupwasm/guest-sdk"
	"github.com/pupwasm/pupwasm/guest-sdk/internal/entry"
)

func TestDescribe_writesEverythingThatIsDeclared(t *testing.T) {
	t.Parallel()
	accounts := pup.NewTable("accounts",
		pup.Text("owner").Key(), pup.I64("number").Key(),
		pup.I64("cents").NotNull().Default(int64(-5)), pup.Numeric("rate").Default("0.50"), pup.F64("score").Default(1),
		pup.Bool("open").Default(true), pup.Text("note").Default("a \"b\"\\\n"), pup.Timestamp("since"), pup.UUID(
			"id"), pup.JSON("data"),
		pup.Bytes("raw"), pup.Text("tags").Array().Backfill(pup.None),
	).Index("since", "owner").Index("id")
	accounts.Upsert("pay", pup.Add("cents", "rate"), pup.Set("note"), pup.Min("since"), pup.IfNull("id"))
	accounts.Upsert("replace")
	accounts.InsertIgnore("open", "note")
	accounts.Delete("close")
	accounts.Load("by_key", "cents")
	plain := pup.NewTable("plain", pup.I64("n"), pup.I64("twice").NotNull().Generated(pup.SQL{Any: "n * 2"})).
		Check("small", pup.SQL{Postgres: "n < 1", SQLite: "n < 2", MySQL: "n < 3"}).Check("even", pup.SQL{Any: "true"})
	plain.Insert("add")
	p := pup.Projection{
		Name: "all", Version: 3, Description: "a ünï\tcode", Ordering: pup.OrderGlobal,
		Subscription: pup.Subscription{
			BoundedContexts: []string{"A", "B"}, AggregateTypes: []string{"C"},
			EventTypes: []string{"D"},
		},
		Fields: []pup.Field{pup.EventID, pup.Metadata},
		Tables: []*pup.Table{accounts, plain},
		Views:  []pup.View{{Name: "shown", SQL: pup.SQL{Any: "select n from {plain}"}}},
		Statements: []*pup.Write{pup.NewStatement("fix", pup.SQL{Any: "update {plain} set n = $1"}, pup.TypeI64,
			pup.TypeText.Array())},
		Queries: []*pup.Query{
			pup.NewQuery("sum", pup.SQL{Any: "select sum(n) from {plain}"}, nil, []pup.Type{pup.TypeNumeric}),
		},
		OnError: pup.Skip,
		Limits:  pup.Limits{MemoryMiB: 16, BatchEvents: 100, BatchMillis: 50},
		Handle:  func(*pup.Batch, *pup.Mutations) error { return nil },
	}
	const want = `{
		"name": "all", "version": 3, "description": "a ünï\u0009code",
		"subscription": {"bounded_contexts": ["A","B"], "aggregate_types": ["C"], "event_types": ["D"]},
		"ordering": "global",
		"columns": ["event_id","metadata"],
		"tables": [
			{"name": "accounts", "columns": [
				{"name":"owner","type":"text"}, {"name":"number","type":"i64"},
				{"name":"cents","type":"i64","not_null":true,"default":-5}, {"name":"rate","type":"numeric","default":0.50},
				{"name":"score","type":"f64","default":1}, {"name":"open","type":"bool","default":true},
				{"name":"note","type":"text","default":"a \"b\"\\\u000a"}, {"name":"since","type":"timestamptz"}, {"name":"id","type":"uuid"},
				{"name":"data","type":"json"}, {"name":"raw","type":"bytes"}, {"name":"tags","type":"text[]","backfill":"none"}],
			 "key": ["owner","number"], "indexes": [["since","owner"],["id"]]},
			{"name": "plain", "columns": [{"name":"n","type":"i64"}, {"name":"twice","type":"i64","not_null":true,"generated":"n * 2"}],
			 "checks": [{"name":"small","sql":{"postgres":"n < 1","sqlite":"n < 2","mysql":"n < 3"}}, {"name":"even","sql":"true"}]}],
		"views": [{"name":"shown","sql":"select n from {plain}"}],
		"writes": [
			{"name":"pay","action":"upsert","table":"accounts","columns":[{"name":"cents","action":"add"},{"name":"rate","action":"add"},
				{"name":"note","action":"set"},{"name":"since","action":"min"},{"name":"id","action":"if-null"}]},
			{"name":"replace","action":"upsert","table":"accounts","columns":[{"name":"cents","action":"set"},{"name":"rate","action":"set"},
				{"name":"score","action":"set"},{"name":"open","action":"set"},{"name":"note","action":"set"},{"name":"since","action":"set"},
				{"name":"id","action":"set"},{"name":"data","action":"set"},{"name":"raw","action":"set"},{"name":"tags","action":"set"}]},
			{"name":"open","action":"insert-ignore","table":"accounts","columns":[{"name":"note"}]},
			{"name":"close","action":"delete","table":"accounts"},
			{"name":"add","action":"insert","table":"plain","columns":[{"name":"n"}]},
			{"name":"fix","sql":"update {plain} set n = $1","params":["i64","text[]"]}],
		"queries": [
			{"name":"by_key","table":"accounts","columns":["cents"]},
			{"name":"sum","sql":"select sum(n) from {plain}","params":[],"results":["numeric"]}],
		"on_error": "skip",
		"limits": {"memory_mib":16,"batch_events":100,"batch_ms":50}
	}`
	newProjection(t, p)
	registering.Lock()
	pup.Register(p)
	got := bytes.Clone(entry.Describe())
	registering.Unlock()
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(want)); err != nil {
		t.Fatal(err)
	}
	if string(got) != compact.String() {
		t.Errorf("the description is\n%s\nwant\n%s", got, compact.Bytes())
	}
}

func TestDescribe_writesMessages(t *testing.T) {
	t.Parallel()
	messages := []*pup.Message{
		pup.NewMessage("order_paid", "shop.orders.{customer}.paid"),
		pup.NewMessage("note", "shop.notes").Type("com.example.note").ContentType("text/plain").Key(pup.KeyNone),
		pup.NewMessage("all", "shop.all").Key(pup.KeyAll),
	}
	newProjection(t, pup.Projection{Messages: messages, Handle: func(*pup.Batch, *pup.Mutations) error { return nil }})
	registering.Lock()
	defer registering.Unlock()
	pup.Register(pup.Projection{
		Name: "p", Version: 1, Fields: []pup.Field{}, Messages: messages,
		Handle: func(*pup.Batch, *pup.Mutations) error { return nil },
	})
	want := `{"name":"p","version":1,"subscription":{},"ordering":"stream","columns":[],"tables":[],"writes":[],"queries":[],` +
		`"messages":[{"name":"order_paid","subject":"shop.orders.{customer}.paid"},` +
		`{"name":"note","subject":"shop.notes","type":"com.example.note","content_type":"text/plain","key":"none"},` +
		`{"name":"all","subject":"shop.all","key":"all"}]}`
	if got := string(entry.Describe()); got != want {
		t.Errorf("the description is\n%s\nwant\n%s", got, want)
	}
}

func TestDescribe_writesWhoOwnsARow(t *testing.T) {
	t.Parallel()
	register := func(p pup.Projection) string {
		p.Name, p.Version, p.Fields = "p", 1, []pup.Field{}
		p.Handle = func(*pup.Batch, *pup.Mutations) error { return nil }
		registering.Lock()
		defer registering.Unlock()
		pup.Register(p)
		return string(entry.Describe())
	}
	owned := pup.NewTable("a", pup.Text("k").Key().Partition(), pup.I64("line").Key())
	owned.Delete("drop")
	owned.Load("load")
	shared := pup.NewTable("b", pup.I64("k").Key().Position())
	shared.Load("peek").Unordered()
	events := pup.NewTable("c", pup.UUID("k").EventID().Key())
	got := register(pup.Projection{
		Partition: pup.ByJSON("customer", "id"), Tables: []*pup.Table{owned, shared, events},
		Statements: []*pup.Write{
			pup.NewStatement("one", pup.SQL{Any: "1"}, pup.TypeI64, pup.TypeText).PartitionParam(2),
			pup.NewStatement("two", pup.SQL{Any: "2"}).Unordered(),
		},
		Queries: []*pup.Query{
			pup.NewQuery("three", pup.SQL{Any: "3"}, []pup.Type{pup.TypeText}, []pup.Type{pup.TypeI64}).PartitionParam(1),
			pup.NewQuery("four", pup.SQL{Any: "4"}, nil, []pup.Type{pup.TypeI64}).Unordered(),
		},
	})
	want := `{"name":"p","version":1,"subscription":{},"ordering":"stream","partition":{"by":"json","path":["customer","id"]},"columns":[],` +
		`"tables":[{"name":"a","columns":[{"name":"k","type":"text","partition":true},{"name":"line","type":"i64"}],"key":["k","line"]},` +
		`{"name":"b","columns":[{"name":"k","type":"i64","position":true}],"key":["k"]},` +
		`{"name":"c","columns":[{"name":"k","type":"uuid","event_id":true}],"key":["k"]}],` +
		`"writes":[{"name":"drop","action":"delete","table":"a"},{"name":"one","sql":"1","params":["i64","text"],"partition_param":2},` +
		`{"name":"two","sql":"2","params":[],"unordered":true}],` +
		`"queries":[{"name":"load","table":"a","columns":[]},{"name":"peek","table":"b","columns":[],"unordered":true},` +
		`{"name":"three","sql":"3","params":["text"],"results":["i64"],"partition_param":1},` +
		`{"name":"four","sql":"4","params":[],"results":["i64"],"unordered":true}]}`
	if got != want {
		t.Errorf("the description is\n%s\nwant\n%s", got, want)
	}
	for _, test := range []struct {
		partition pup.Partition
		want      string
	}{
		{pup.ByStream(), ``},
		{pup.ByMetadata("tenant"), `"partition":{"by":"metadata","path":["tenant"]},`},
		{pup.ByCorrelation(), `"partition":{"by":"correlation"},`},
	} {
		want := `"ordering":"stream",` + test.want + `"columns"`
		if got := register(pup.Projection{Partition: test.partition}); !strings.Contains(got, want) {
			t.Errorf("%s does not contain %s", got, want)
		}
	}
}

// It is not parallel: a mistake is logged through the host's hook, which a test that runs a projection sets.
func TestDeclaration_mistakesPanic(t *testing.T) {
	table, _ := newCounter()
	mustPanic(t, "pup: table counts has no column m", func() { table.Upsert("x", pup.Add("m")) })
	mustPanic(t, "pup: table counts has no column m", func() { table.Load("x", "m") })
	mustPanic(t, "pup: table counts has no column m", func() { table.Index("m") })
	mustPanic(t, "pup: write x: column id is part of the key, which comes first by itself",
		func() { table.Upsert("x", pup.Set("id")) })
	mustPanic(t, "pup: column n is i64: its default does not suit that", func() { pup.I64("n").Default("1") })
	mustPanic(t, "pup: column n is i64: its default does not suit that", func() { pup.I64("n").Default(1.5) })
	mustPanic(t, "pup: column n is text: its default does not suit that", func() { pup.Text("n").Default(1) })
	mustPanic(t, "pup: column n is marked twice, it can hold one thing",
		func() { pup.I64("n").Key().Partition().Position() })
	mustPanic(t, "pup: a partition by json needs the name of a member", func() { pup.ByJSON() })
	mustPanic(t, "pup: projection x has no Handle", func() { pup.Register(pup.Projection{Name: "x"}) })
	mustPanic(t, "pup: table t has no key, a fold needs one", func() {
		pup.NewFold(pup.NewTable("t", pup.I64("n")), pup.FoldFuncs[int]{})
	})
	mustPanic(t, "pup: table t has a numeric key, whose many spellings a fold cannot tell apart", func() {
		pup.NewFold(pup.NewTable("t", pup.Numeric("n").Key()), pup.FoldFuncs[int]{})
	})
}
