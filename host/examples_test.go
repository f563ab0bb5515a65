package host_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/guestbuild"
	"github.com/pupwasm/pupwasm/store"
)

var exampleModules = []string{"activity_log", "fine_balance", "order_messages", "revenue", "user_counter"}

func newRuntime(t testing.TB, options host.Options) *host.Runtime {
	t.Helper()
	if options.Compiler == "" {
		options.Compiler = compiler
	}
	runtime, err := host.NewRuntime(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := runtime.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
	return runtime
}

func load(t testing.TB, runtime *host.Runtime, file string, wasm []byte) *host.Module {
	t.Helper()
	module, err := runtime.Load(t.Context(), file, wasm)
	if err != nil {
		t.Fatal(err)
	}
	return module
}

// TestExamples_bothCompilersGiveTheSameMutations is invariant 7: neither the compiler nor a reused instance
// may change what a projection does.
func TestExamples_bothCompilersGiveTheSameMutations(t *testing.T) {
	t.Parallel()
	runtime := newRuntime(t, host.Options{CacheDir: t.TempDir()})
	for _, name := range exampleModules {
		native := load(t, runtime, name+".go.wasm", guestbuild.Example(t, guestbuild.Go, name))
		tiny := load(t, runtime, name+".tinygo.wasm", guestbuild.Example(t, guestbuild.TinyGo, name))
		if diff := cmp.Diff(native.Description, tiny.Description); diff != "" {
			t.Errorf("%s describes itself differently: %s", name, diff)
		}
		a, b := native.NewGuest(0), tiny.NewGuest(0)
		defer a.Close(t.Context())
		defer b.Close(t.Context())
		for _, events := range [][]store.RecordedEvent{shopEvents(1, 700), shopEvents(701, 1), fineEvents(1, 1000)} {
			want := replyOf(t, a, native, events)
			if len(want) == 0 {
				t.Errorf("%s gives no mutations", name)
			}
			if got := replyOf(t, b, tiny, events); string(got) != string(want) {
				t.Errorf("%s: the replies of Go (%d bytes) and TinyGo (%d bytes) differ", name, len(want), len(got))
			}
		}
	}
}

func replyOf(t *testing.T, guest *host.Guest, module *host.Module, events []store.RecordedEvent) []byte {
	t.Helper()
	if _, err := guest.Apply(t.Context(), events, emptyQuery(module)); err != nil {
		t.Fatal(err)
	}
	return guest.Reply()
}

// emptyQuery answers every query with no rows.
func emptyQuery(module *host.Module) host.Query {
	return func(query int, _ []store.Value, rows *store.Rows) error {
		_, results := module.Description.Signature(&module.Description.Queries[query])
		rows.Width, rows.Values = len(results), rows.Values[:0]
		return nil
	}
}

// TestGuest_aSlowQueryIsNotTheGuestsTime has a database that takes longer than a guest may.
func TestGuest_aSlowQueryIsNotTheGuestsTime(t *testing.T) {
	t.Parallel()
	const limit = 2 * time.Second
	runtime := newRuntime(t, host.Options{Limits: host.Limits{BatchTimeout: limit}})
	module := load(t, runtime, "revenue.wasm", guestbuild.Example(t, guestbuild.Auto, "revenue"))
	guest := module.NewGuest(0)
	defer guest.Close(t.Context())
	asked := 0
	_, err := guest.Apply(t.Context(), shopEvents(1, 50),
		func(query int, arguments []store.Value, rows *store.Rows) error {
			asked++
			<-time.After(limit + limit/4)
			return emptyQuery(module)(query, arguments, rows)
		})
	if err != nil || asked != 1 {
		t.Errorf("asked %d times, error %v", asked, err)
	}
}

// TestLoad_aTableThatIsNotListed has a module write to a table that its projection does not list: that is
// found before any event.
func TestLoad_aTableThatIsNotListed(t *testing.T) {
	t.Parallel()
	runtime := newRuntime(t, host.Options{})
	folder := filepath.Join(guestbuild.Root(t), "modules", "examples", "testdata", "unlisted")
	_, err := runtime.Load(t.Context(), "unlisted.wasm", guestbuild.Module(t, guestbuild.Auto, folder))
	const want = `write "count": writes table "forgotten", the projection has listed: list it in the projection's tables`
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

// shopEvents are count events of a shop from a position on, the same at every call.
func shopEvents(first int64, count int) []store.RecordedEvent {
	events := make([]store.RecordedEvent, count)
	for i := range events {
		position := first + int64(i)
		user := fmt.Sprintf("user-%d", position%17)
		e := &events[i]
		e.Position, e.AggregateVersion = position, position/3+1
		e.BoundedContext, e.CreatedAt = "Shop", time.Unix(1_700_000_000+position*60, 0).UTC()
		e.Event.Version, e.Metadata = 1, []byte("{}")
		switch position % 4 {
		case 0:
			e.AggregateType, e.AggregateID, e.Type = "User", user, "UserLoggedIn"
			e.Payload = []byte(`{}`)
		case 1:
			e.AggregateType, e.AggregateID, e.Type = "Order", fmt.Sprintf("order-%d", position), "OrderPlaced"
			e.Payload = fmt.Appendf(nil, `{"user_id":%q,"items":[{"sku":"a\u00e9","n":2}],"total":%d.5,"currency":"EUR"}`, user,
				position)
		default:
			e.AggregateType, e.AggregateID, e.Type = "Order", fmt.Sprintf("order-%d", position-1), "OrderPaid"
			e.Payload = fmt.Appendf(nil, `{"amount":%d.05,"currency":"EUR"}`, position)
		}
		e.PartitionHash = store.PartitionHash(e.AggregateID)
	}
	return events
}

// fineEvents are events in the form of the road-traffic fines log.
func fineEvents(first int64, count int) []store.RecordedEvent {
	events := make([]store.RecordedEvent, count)
	types := []string{"CreateFine", "SendFine", "Payment", "AddPenalty", "SendForCreditCollection"}
	payloads := []string{
		`{"amount":%d.59,"vehicleClass":"A"}`, `{"expense":%d.5}`, `{"paymentAmount":%d}`, `{"amount":%d.1}`, `{"n":%d}`,
	}
	for i := range events {
		position := first + int64(i)
		kind := position % int64(len(types))
		e := &events[i]
		e.Position, e.AggregateVersion = position, position/40+1
		e.BoundedContext, e.AggregateType, e.AggregateID = "Traffic", "Fine", fmt.Sprintf("S%d", position%40)
		e.Type, e.Event.Version, e.CreatedAt = types[kind], 1, time.Unix(position*3600, 0).UTC()
		e.Payload, e.Metadata = fmt.Appendf(nil, payloads[kind], position), []byte("{}")
		e.PartitionHash = store.PartitionHash(e.AggregateID)
	}
	return events
}
