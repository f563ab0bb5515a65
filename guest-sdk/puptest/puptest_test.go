package puptest_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	pup "github.com/pupwasm/pupwasm/guest-sdk"
	"github.com/pupwasm/pupwasm/guest-sdk/puptest"
)

// registering is held while a test registers a projection of its own.
var registering sync.Mutex

func newProjection(t testing.TB, handle func(*pup.Batch, *pup.Mutations) error,
	tables ...*pup.Table,
) *puptest.Projection {
	t.Helper()
	registering.Lock()
	defer registering.Unlock()
	// Most tests are not about who owns a row, and with this ordering nobody has to.
	pup.Register(pup.Projection{Name: "tested", Version: 1, Ordering: pup.OrderGlobal, Tables: tables, Handle: handle})
	return puptest.New(t)
}

// recorder is a test whose failures are looked at.
type recorder struct {
	testing.TB
	failure string
}

func (r *recorder) Helper() {}

func (r *recorder) Fatal(args ...any) { r.Fatalf("%s", fmt.Sprint(args...)) }

func (r *recorder) Fatalf(format string, args ...any) {
	r.failure = fmt.Sprintf(format, args...)
	panic(r)
}

func (r *recorder) Errorf(format string, args ...any) { r.failure = fmt.Sprintf(format, args...) }

// failureOf runs f with a test and returns what it fails with.
func failureOf(t *testing.T, f func(t testing.TB)) string {
	r := &recorder{TB: t}
	func() {
		defer func() {
			if p := recover(); p != nil && p != r {
				panic(p)
			}
		}()
		f(r)
	}()
	return r.failure
}

func TestTables_upsertActsPerColumn(t *testing.T) {
	t.Parallel()
	table := pup.NewTable("values", pup.I64("id").Key(), pup.Text("set"), pup.I64("sum"), pup.Numeric("exact"),
		pup.Timestamp("first"), pup.Numeric("greatest"), pup.Text("once"), pup.I64("left").NotNull().Default(7))
	put := table.Upsert("put", pup.Set("set"), pup.Add("sum", "exact"), pup.Min("first"), pup.Max("greatest"),
		pup.IfNull("once"))
	p := newProjection(t, func(b *pup.Batch, out *pup.Mutations) error {
		for e := range b.Events() {
			switch e.Type() {
			case "null":
				put.Row(out, e).I64(1).Null().Null().Null().Null().Null().Null()
			case "a":
				put.Row(out, e).I64(1).Text("a").I64(5).Numeric("0.5").Timestamp(3).Numeric("2").Text("a")
			case "b":
				put.Row(out, e).I64(1).Text("b").I64(-7).Numeric("-1.25").Timestamp(1).Numeric("10.0").Text("b")
			}
		}
		return nil
	}, table)
	p.Apply(puptest.Event{Type: "null"})
	p.WantRows("values", "id=1 set=null sum=null exact=null first=null greatest=null once=null left=7")
	p.Apply(puptest.Event{Type: "a"})
	p.WantRows("values", "id=1 set=a sum=5 exact=0.5 first=1970-01-01T00:00:00.000003Z greatest=2 once=a left=7")
	p.Apply(puptest.Event{Type: "b"})
	p.WantRows("values", "id=1 set=b sum=-2 exact=-0.75 first=1970-01-01T00:00:00.000001Z greatest=10.0 once=a left=7")
	p.Apply(puptest.Event{Type: "null"})
	p.WantRows("values", "id=1 set=null sum=-2 exact=-0.75 first=1970-01-01T00:00:00.000001Z greatest=10.0 once=a left=7")
}

func TestNew_refusesWritesThatLeaveOutAColumn(t *testing.T) {
	t.Parallel()
	nothing := func(*pup.Batch, *pup.Mutations) error { return nil }
	table := func() *pup.Table {
		return pup.NewTable("things", pup.I64("id").Key(), pup.I64("n").NotNull(), pup.Text("note"))
	}
	for name, test := range map[string]struct {
		declare func(t *pup.Table)
		want    string
	}{
		"upsert": {
			func(t *pup.Table) { t.Upsert("put", pup.Set("note")) },
			`write "put": leaves out column "n" of table "things", which is not null and has no default`,
		},
		"insert":        {func(t *pup.Table) { t.Insert("put", "note") }, `write "put": leaves out column "n"`},
		"insert-ignore": {func(t *pup.Table) { t.InsertIgnore("put", "note") }, `write "put": leaves out column "n"`},
		"delete":        {func(t *pup.Table) { t.Delete("put") }, ""},
		"everything":    {func(t *pup.Table) { t.Upsert("put") }, ""},
	} {
		declared := table()
		test.declare(declared)
		got := failureOf(t, func(r testing.TB) { newProjection(r, nothing, declared) })
		if !strings.Contains(got, test.want) || (test.want == "") != (got == "") {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

func TestTables_refuseWhatADatabaseRefuses(t *testing.T) {
	t.Parallel()
	table := pup.NewTable("things", pup.I64("id").Key(), pup.I64("n").NotNull().Default(1))
	insert, ignore, add, remove := table.Insert("insert"), table.InsertIgnore("ignore"), table.Upsert("add",
		pup.Add("n")), table.Delete("remove")
	key := table.InsertKey("key")
	handle := func(b *pup.Batch, out *pup.Mutations) error {
		for e := range b.Events() {
			switch e.Type() {
			case "insert":
				insert.Row(out, e).I64(1).I64(1)
			case "ignore":
				ignore.Row(out, e).I64(1).I64(9)
			case "key":
				key.Row(out, e).I64(1)
			case "null":
				add.Row(out, e).I64(2).Null()
			case "max":
				add.Row(out, e).I64(1).I64(1<<63 - 1)
			case "remove":
				remove.Row(out, e).I64(1)
			}
		}
		return nil
	}
	for _, test := range []struct{ types, want string }{
		{"insert ignore", ""},
		{"key ignore key", ""},
		{"insert remove remove insert", ""},
		{"insert insert", `write "insert": table things has a row of that key: id=1 n=1`},
		{"null", `write "null": column "n"`},
		{"insert max", `write "add": column "n": the sum of 1 and 9223372036854775807 does not fit into 64 bits`},
	} {
		want := strings.Replace(test.want, `write "null": column "n"`,
			`write "add": column "n" of table things may not be null`, 1)
		got := failureOf(t, func(r testing.TB) {
			p := newProjection(r, handle, table)
			for _, eventType := range strings.Fields(test.types) {
				p.Apply(puptest.Event{Type: eventType})
			}
			p.WantRows("things", "id=1 n=1")
		})
		if got != want {
			t.Errorf("%s: %q, want %q", test.types, got, want)
		}
	}
}

func TestNew_refusesWhatAHostRefuses(t *testing.T) {
	t.Parallel()
	handle := func(*pup.Batch, *pup.Mutations) error { return nil }
	for _, test := range []struct {
		want   string
		tables func() []*pup.Table
	}{
		{
			`table "Things": is not a name: use a lower-case letter, then letters, digits and single underscores, 30 at most`,
			func() []*pup.Table { return []*pup.Table{pup.NewTable("Things", pup.I64("n"))} },
		},
		{`table "t": is declared twice`, func() []*pup.Table {
			return []*pup.Table{pup.NewTable("t", pup.I64("n")), pup.NewTable("t", pup.I64("n"))}
		}},
		{
			`table "t": key column "f" is f64, which cannot be a key`,
			func() []*pup.Table { return []*pup.Table{pup.NewTable("t", pup.F64("f").Key())} },
		},
		{`write "w": upsert needs a key, table "t" has none`, func() []*pup.Table {
			table := pup.NewTable("t", pup.I64("n"))
			table.Upsert("w")
			return []*pup.Table{table}
		}},
		{`write "w": column "s" is text: add needs i64 or numeric`, func() []*pup.Table {
			table := pup.NewTable("t", pup.I64("n").Key(), pup.Text("s"))
			table.Upsert("w", pup.Add("s"))
			return []*pup.Table{table}
		}},
		{`write "w": is declared twice`, func() []*pup.Table {
			table := pup.NewTable("t", pup.I64("n").Key())
			table.Delete("w")
			table.Delete("w")
			return []*pup.Table{table}
		}},
	} {
		if got := failureOf(t, func(r testing.TB) { newProjection(r, handle, test.tables()...) }); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}

func TestCheckSplits_findsStateBetweenBatches(t *testing.T) {
	t.Parallel()
	table := pup.NewTable("counts", pup.I64("id").Key(), pup.I64("n"))
	put := table.Upsert("put")
	handle := func(b *pup.Batch, out *pup.Mutations) error {
		for e := range b.Events() {
			put.Row(out, e).I64(1).I64(int64(b.Len()))
		}
		return nil
	}
	got := failureOf(t, func(r testing.TB) {
		registering.Lock()
		defer registering.Unlock()
		pup.Register(pup.Projection{
			Name: "tested", Version: 1, Ordering: pup.OrderGlobal, Tables: []*pup.Table{table},
			Handle: handle,
		})
		puptest.CheckSplits(r, make([]puptest.Event, 5)...)
	})
	if want := "batches of 1 give other rows of counts\n\tid=1 n=1\nthan one batch\n\tid=1 n=5"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestApply_onlySubscribedEventsArrive(t *testing.T) {
	t.Parallel()
	registering.Lock()
	table := pup.NewTable("seen", pup.I64("position").Key().Position(), pup.I64("version"))
	record := table.Insert("record")
	pup.Register(pup.Projection{
		Name: "tested", Version: 1, Tables: []*pup.Table{table},
		Subscription: pup.Subscription{AggregateTypes: []string{"A"}, EventTypes: []string{"x", "y"}},
		Handle: func(b *pup.Batch, out *pup.Mutations) error {
			for e := range b.Events() {
				record.Row(out, e).I64(e.Position()).I64(e.AggregateVersion())
			}
			return nil
		},
	})
	p := puptest.New(t)
	registering.Unlock()
	p.Apply(
		puptest.Event{AggregateType: "A", Type: "x"}, puptest.Event{AggregateType: "B", Type: "x"},
		puptest.Event{AggregateType: "A", Type: "z"}, puptest.Event{AggregateType: "A", Type: "y"},
	)
	p.WantRows("seen", "position=1 version=1", "position=4 version=3")
	p.Apply(puptest.Event{AggregateType: "B"})
	p.WantMutations()
}

func TestReadEvents_namesTheLineAtFault(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events.jsonl")
	if err := os.WriteFile(path, []byte("{\"event_type\":\"a\"}\n\n{\"event\":\"b\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := failureOf(t, func(r testing.TB) { puptest.ReadEvents(r, path) })
	if want := path + `:3: json: unknown field "event"`; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestWantRows_showsBothSides(t *testing.T) {
	t.Parallel()
	table := pup.NewTable("counts", pup.I64("id").Key())
	got := failureOf(t, func(r testing.TB) {
		newProjection(r, func(*pup.Batch, *pup.Mutations) error { return nil }, table).WantRows("counts", "id=1")
	})
	if want := "rows of counts are\n\t\nwant\n\tid=1"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestReadEvents_readsWhatTheLogPrints takes lines of 'pupwasm record'.
func TestReadEvents_readsWhatTheLogPrints(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "recorded.jsonl")
	text := `{"global_position":7,"bounded_context":"C","aggregate_type":"T","aggregate_id":"a","aggregate_version":3,` +
		`"event_id":"0190a1b2-c3d4-7000-8000-00000000000f","event_type":"E","event_version":2,` +
		`"created_at":"2026-01-01T10:00:00Z","metadata":{"k":1},"payload_base64":"/w=="}` + "\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	events := puptest.ReadEvents(t, path)
	if len(events) != 1 || events[0].ID[0] != 1 || events[0].ID[15] != 15 || events[0].Position != 0 ||
		events[0].AggregateVersion != 0 || !bytes.Equal(events[0].Payload.([]byte), []byte{0xff}) {
		t.Errorf("the events are %+v", events)
	}
}
