package puptest_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	pup "github.com/pupwasm/pupwasm/guest-sdk"
	"github.com/pupwasm/pupwasm/guest-sdk/puptest"
)

type handler func(b *pup.Batch, out *pup.Mutations) error

// each handles events one by one.
func each(apply func(b *pup.Batch, out *pup.Mutations, e pup.Event)) handler {
	return func(b *pup.Batch, out *pup.Mutations) error {
		for e := range b.Events() {
			apply(b, out, e)
		}
		return nil
	}
}

// first writes the first event by one write and all others by another, to the row that all events share. A
// write takes the event's position as often as it has columns.
func first(w *pup.Write, columns int, others *pup.Write, othersColumns int) handler {
	return each(func(_ *pup.Batch, out *pup.Mutations, e pup.Event) {
		write, values := others, othersColumns
		if e.Position() == 1 {
			write, values = w, columns
		}
		row := write.Row(out, e).Text("all")
		for range values {
			row.I64(e.Position())
		}
	})
}

func always(w *pup.Write, columns int) handler { return first(w, columns, w, columns) }

// followers notes whether the row of the position before is there when an event comes: it is, when all come in order.
func followers(t *pup.Table) handler {
	put, load := t.Upsert("put"), t.Load("load", "follows")
	return each(func(b *pup.Batch, out *pup.Mutations, e pup.Event) {
		before := e.Position() - 1
		load.Args(b).Array(1).I64(before)
		follows := load.Run(b).Next() || e.Index() > 0 && b.Event(e.Index()-1).Position() == before
		put.Row(out, e).I64(e.Position()).Bool(follows)
	})
}

// numerals adds numbers to the row that all events share, and begins with a write that leaves them out.
func numerals(t *pup.Table) handler {
	touch, add := t.Upsert("touch", pup.Add("n")), t.Upsert("add", pup.Add("d"))
	return each(func(_ *pup.Batch, out *pup.Mutations, e pup.Event) {
		if e.Position() == 1 {
			touch.Row(out, e).Text("all").I64(1)
		} else {
			add.Row(out, e).Text("all").Numeric("1")
		}
	})
}

// refusedRules has a projection for every rule about rows that several segments write: what the host says, and
// what CheckSegments finds where nobody checks.
var refusedRules = []struct {
	name    string
	columns []pup.Column // of table t
	handle  func(t *pup.Table) handler
	refusal string
	finds   string
}{
	{
		"set",
		[]pup.Column{pup.Text("k").Key(), pup.I64("n")},
		func(t *pup.Table) handler { return always(t.Upsert("w", pup.Set("n")), 1) },
		`write "w" sets "n"`, `row k=all: n=\d+, with one segment n=40$`,
	},
	{
		"if-null",
		[]pup.Column{pup.Text("k").Key(), pup.I64("n")},
		func(t *pup.Table) handler { return always(t.Upsert("w", pup.IfNull("n")), 1) },
		`write "w" keeps the first "n" (if-null)`, `row k=all: n=\d+, with one segment n=1$`,
	},
	{
		"delete",
		[]pup.Column{pup.Text("k").Key(), pup.I64("n")},
		func(t *pup.Table) handler { return first(t.Delete("d"), 0, t.Upsert("w", pup.Add("n")), 1) },
		`write "d" deletes`, `row k=all: n=\d+, with one segment n=819$`,
	},
	{
		"insert",
		[]pup.Column{pup.Text("k").Key(), pup.I64("n")},
		func(t *pup.Table) handler { return first(t.Insert("i", "n"), 1, t.Upsert("w", pup.Add("n")), 1) },
		`write "i" inserts`, `write "i": table t has a row of that key: k=all n=\d+$`,
	},
	{
		"insert-ignore with a value",
		[]pup.Column{pup.Text("k").Key(), pup.I64("n")},
		func(t *pup.Table) handler { return always(t.InsertIgnore("w", "n"), 1) },
		`write "w" keeps the first "n"`, `row k=all: n=\d+, with one segment n=1$`,
	},
	{
		"two actions: add and max",
		[]pup.Column{pup.Text("k").Key(), pup.I64("n")},
		func(t *pup.Table) handler {
			return first(t.Upsert("a", pup.Add("n")), 1, t.Upsert("m", pup.Max("n")), 1)
		},
		`column "n" has action`, `row k=all: n=4[12], with one segment n=40$`,
	},
	{
		"two actions: min and max",
		[]pup.Column{pup.Text("k").Key(), pup.I64("n")},
		func(t *pup.Table) handler {
			return first(t.Upsert("a", pup.Min("n")), 1, t.Upsert("m", pup.Max("n")), 1)
		},
		`column "n" has action`, `row k=all: n=\d+, with one segment n=40$`,
	},
	{
		"no key",
		[]pup.Column{pup.I64("n")},
		func(t *pup.Table) handler {
			w := t.Insert("w")
			return each(func(_ *pup.Batch, out *pup.Mutations, e pup.Event) { w.Row(out, e).I64(e.Position()) })
		},
		`write "w" inserts in the order of events`, `row \d+: n=\d+, with one segment n=\d+$`,
	},
	{
		"max of a column with a default",
		[]pup.Column{pup.Text("k").Key(), pup.I64("n").Default(100), pup.I64("m")},
		func(t *pup.Table) handler {
			return first(t.Upsert("touch", pup.Add("m")), 1, t.Upsert("w", pup.Max("n")), 1)
		},
		`column "n" has default 100`, `row k=all: n=40, with one segment n=100$`,
	},
	{
		"min of a column with default 0",
		[]pup.Column{pup.Text("k").Key(), pup.I64("n").Default(0), pup.I64("m")},
		func(t *pup.Table) handler {
			return first(t.Upsert("touch", pup.Add("m")), 1, t.Upsert("w", pup.Min("n")), 1)
		},
		`column "n" has default 0`, `row k=all: n=\d+, with one segment n=0$`,
	},
	{
		"sum from a default",
		[]pup.Column{pup.Text("k").Key(), pup.I64("n").Default(5), pup.I64("m")},
		func(t *pup.Table) handler {
			return first(t.Upsert("touch", pup.Add("m")), 1, t.Upsert("w", pup.Add("n")), 1)
		},
		`column "n" has default 5`, `row k=all: n=819, with one segment n=824$`,
	},
	{
		"sum from a default with decimals",
		[]pup.Column{pup.Text("k").Key(), pup.I64("n"), pup.Numeric("d").Default("0.00")},
		numerals,
		`column "d" has default 0.00`, `row k=all: d=39, with one segment d=39.00$`,
	},
	{
		"NOT NULL without default",
		[]pup.Column{pup.Text("k").Key(), pup.I64("n").NotNull(), pup.I64("m")},
		func(t *pup.Table) handler {
			return first(t.Upsert("w", pup.Add("n")), 1, t.Upsert("touch", pup.Add("m")), 1)
		},
		`write "touch": leaves out column "n"`, `write "touch": column "n" of table t may not be null$`,
	},
	{
		"fold",
		[]pup.Column{pup.Text("k").Key(), pup.I64("n")},
		func(t *pup.Table) handler {
			fold := pup.NewFold(t, pup.FoldFuncs[int64]{
				Key:  func(_ pup.Event, key *pup.Row) { key.Text("all") },
				Load: func(row *pup.Rows, n *int64) { *n = row.I64() },
				Save: func(row *pup.Row, n *int64) { row.I64(*n) },
			})
			return func(b *pup.Batch, out *pup.Mutations) error {
				return fold.Run(b, out, func(_ pup.Event, n *int64) error {
					*n++
					return nil
				})
			}
		},
		`write "save_t" sets "n"`, `row k=all: n=\d+, with one segment n=40$`,
	},
	{
		"load of a shared table",
		[]pup.Column{pup.I64("k").Key(), pup.Bool("follows")},
		followers,
		`write "put" sets "follows"`, `row k=\d+: follows=false, with one segment follows=true$`,
	},
	{
		"load of a table of one row an event",
		[]pup.Column{pup.I64("k").Key().Position(), pup.Bool("follows")},
		followers,
		`query "load": loads from table "t"`, `row k=\d+: follows=false, with one segment follows=true$`,
	},
}

func streams(events, streams int) []puptest.Event {
	log := make([]puptest.Event, events)
	for i := range log {
		log[i].AggregateID = fmt.Sprintf("s%d", i%streams)
	}
	return log
}

func TestCheckSegments_findsWhatAHostRefuses(t *testing.T) {
	t.Parallel()
	for _, rule := range refusedRules {
		registering.Lock()
		table := pup.NewTable("t", rule.columns...)
		handle := rule.handle(table)
		pup.Register(pup.Projection{
			Name: "tested", Version: 1, Fields: []pup.Field{}, Tables: []*pup.Table{table},
			Handle: handle,
		})
		refusal := failureOf(t, func(r testing.TB) { puptest.New(r) })
		found := failureOf(t, func(r testing.TB) { puptest.CheckSegmentsUnchecked(r, streams(40, 10)...) })
		registering.Unlock()
		if !strings.Contains(refusal, rule.refusal) {
			t.Errorf("%s: refused by %q, want %q", rule.name, refusal, rule.refusal)
		}
		where := regexp.MustCompile(`^(with [248] segments|in batches of one segment) \(seed \d+\): (table "t", )?` +
			rule.finds)
		if !where.MatchString(found) || strings.Contains(found, "\n") {
			t.Errorf("%s: CheckSegments finds %q, want %s", rule.name, found, where)
		}
	}
}

// NULL that is added where 0 is the default is 0: otherwise it would matter whether it comes to a row or makes one.
func TestTables_nullCountsAsZeroWhereZeroIsTheDefault(t *testing.T) {
	t.Parallel()
	registering.Lock()
	defer registering.Unlock()
	table := pup.NewTable("sums", pup.Text("k").Key(), pup.I64("n").NotNull().Default(0), pup.Numeric("d").Default(0),
		pup.I64("m"))
	touch, add := table.Upsert("touch", pup.Add("m")), table.Upsert("add", pup.Add("n", "d", "m"))
	pup.Register(pup.Projection{
		Name: "tested", Version: 1, Fields: []pup.Field{}, Tables: []*pup.Table{table},
		Handle: each(func(_ *pup.Batch, out *pup.Mutations, e pup.Event) {
			if e.Position() == 1 {
				touch.Row(out, e).Text("all").Null()
			} else {
				add.Row(out, e).Text("all").Null().Null().Null()
			}
		}),
	})
	puptest.CheckSegments(t, streams(20, 5)...)
	p := puptest.New(t)
	p.Apply(streams(2, 2)...)
	p.WantRows("sums", "k=all n=0 d=0 m=null")
}

func TestCheckSegments_dividesByThePartitionKey(t *testing.T) {
	t.Parallel()
	last := pup.NewTable("last", pup.Text("customer").Key().Partition(), pup.Text("order_id"))
	set := last.Upsert("set")
	projection := pup.Projection{
		Name: "tested", Version: 1, Partition: pup.ByJSON("customer"), Fields: []pup.Field{pup.PartitionKey, pup.AggregateID},
		Tables: []*pup.Table{last},
		Handle: each(func(_ *pup.Batch, out *pup.Mutations, e pup.Event) {
			set.Row(out, e).Text(e.PartitionKey()).Text(e.AggregateID())
		}),
	}
	var log []puptest.Event
	for i := range 60 {
		log = append(log, puptest.Event{
			AggregateID: fmt.Sprintf("o%d", i),
			Payload:     map[string]any{"customer": fmt.Sprintf("c%d", i%3)},
		})
	}
	registering.Lock()
	defer registering.Unlock()
	pup.Register(projection)
	puptest.CheckSegments(t, log...)
	p := puptest.New(t)
	p.Apply(log...)
	p.WantRows("last", "customer=c0 order_id=o57", "customer=c1 order_id=o58", "customer=c2 order_id=o59")
}

func TestApply_refusesRowsOfOtherKeys(t *testing.T) {
	t.Parallel()
	owned := pup.NewTable("owned", pup.Text("k").Key().Partition(), pup.I64("n"))
	events := pup.NewTable("events", pup.I64("p").Key().Position())
	ids := pup.NewTable("ids", pup.UUID("id").Key().EventID())
	numbered := pup.NewTable("numbered", pup.Numeric("k").Key().Partition())
	put, note, mark, number := owned.Upsert("put"), events.Insert("note"), ids.Insert("mark"), numbered.Insert("number")
	load := owned.Load("load")
	fix := pup.NewStatement("fix", pup.SQL{Any: "UPDATE {owned} SET n = 1 WHERE k = $2"}, pup.TypeI64,
		pup.TypeText).PartitionParam(2)
	projection := pup.Projection{
		Name: "tested", Version: 1, Fields: []pup.Field{pup.AggregateID, pup.EventType, pup.EventID},
		Tables: []*pup.Table{owned, events, ids, numbered}, Statements: []*pup.Write{fix},
		Handle: each(func(b *pup.Batch, out *pup.Mutations, e pup.Event) {
			switch e.Type() {
			case "put":
				put.Row(out, e).Text("1").I64(1)
			case "note":
				note.Row(out, e).I64(2)
			case "mark":
				id := e.ID()
				id[0]++
				mark.Row(out, e).UUID(id)
			case "number":
				number.Row(out, e).Numeric("1.0")
			case "fix":
				fix.Row(out, e).I64(1).Text("1")
			case "load":
				load.Args(b).Array(2).Text(e.AggregateID()).Text("1")
				load.Run(b)
			case "own":
				id := e.ID()
				put.Row(out, e).Text(e.AggregateID()).I64(1)
				note.Row(out, e).I64(e.Position())
				mark.Row(out, e).UUID(id)
				fix.Row(out, e).I64(1).Text(e.AggregateID())
			}
		}),
	}
	const own = ", and an event may change rows of its own only"
	registering.Lock()
	defer registering.Unlock()
	pup.Register(projection)
	for _, test := range []struct{ stream, does, want string }{
		{"1", "put", ""},
		{"1", "number", ""},
		{"1", "fix", ""},
		{"1", "load", ""},
		{"x", "own", ""},
		{"x", "put", `write "put", column "k": is "1", but the partition key of the event is "x" (by stream)` + own},
		{"x", "note", `write "note", column "p": is "2", but the position of the event is 1` + own},
		{"x", "mark", `write "mark", column "id": is "01000000-0000-0000-0000-000000000001", but the id of the event is 00000000-0000-0000-0000-000000000001` + own},
		{"x", "number", `write "number", column "k": is "1", but the partition key of the event is "x" (by stream)` + own},
		{"x", "fix", `write "fix", parameter $2: is "1", but the partition key of the event is "x" (by stream)` + own},
		{"x", "load", `query: query "load", column "k": asks for "1", which is the partition key (by stream) of no event of the batch`},
	} {
		got := failureOf(t, func(r testing.TB) {
			puptest.New(r).Apply(puptest.Event{
				BoundedContext: "A", AggregateType: "B", AggregateID: test.stream,
				Type: test.does,
			})
		})
		want := test.want
		if strings.HasPrefix(want, "write") {
			want = "the reply is wrong: at event 1 of stream A/B/x: " + want
		}
		if got != want {
			t.Errorf("%s of stream %s: %q, want %q", test.does, test.stream, got, want)
		}
	}
}

func TestApply_refusesAnEventWithoutAKey(t *testing.T) {
	t.Parallel()
	registering.Lock()
	defer registering.Unlock()
	pup.Register(pup.Projection{
		Name: "tested", Version: 1, Partition: pup.ByJSON("customer"), Handle: func(*pup.Batch,
			*pup.Mutations,
		) error {
			return nil
		},
	})
	got := failureOf(t, func(r testing.TB) {
		puptest.New(r).Apply(
			puptest.Event{BoundedContext: "A", AggregateType: "B", AggregateID: "o1", Payload: `{"customer":"c1"}`},
			puptest.Event{BoundedContext: "A", AggregateType: "B", AggregateID: "o2", Payload: `{"customer":1.5}`},
		)
	})
	if want := `at event 2 of stream A/B/o2: the partition key "customer" of the payload is 1.5`; !strings.HasPrefix(got,
		want) {
		t.Errorf("%q, want %q", got, want)
	}
}
