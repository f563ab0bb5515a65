package pupwasm_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/pupwasm/pupwasm"
	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/host/hosttest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

func guest(name string) []byte { return guestOf(name, "1") }

func guestOf(name, version string) []byte {
	return (&hosttest.Guest{Describe: `{"name":"` + name + `","version":` + version + `}`}).Wasm()
}

func open(t *testing.T) *sqlite.Store {
	t.Helper()
	db, err := sqlite.Open(filepath.Join(t.TempDir(), "shop.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// runs waits until a host runs just these projections.
func runs(t *testing.T, h *pupwasm.Host, projections ...string) {
	t.Helper()
	testwait.Until(t, "the host runs "+strings.Join(projections, ", "), func() bool {
		var names []string
		for _, p := range h.Progress() {
			if p.Known {
				names = append(names, p.Projection.Name)
			}
		}
		return strings.Join(names, " ") == strings.Join(projections, " ")
	})
}

func TestHost_followsItsFolder(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	write := func(file string, wasm []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, file), wasm, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a.wasm", guest("first"))
	write("broken.wasm", []byte("no module"))
	h := runHost(t, open(t), pupwasm.Options{Folder: folder})
	runs(t, h, "first")
	write("b.wasm", guest("second"))
	runs(t, h, "first", "second")
	write("a.wasm", guest("third"))
	runs(t, h, "second", "third")
	if err := os.Remove(filepath.Join(folder, "b.wasm")); err != nil {
		t.Fatal(err)
	}
	runs(t, h, "third")
}

// TestHost_aLaterVersionTakesTheFile has a later version of a projection replace the file of the first. No event is
// applied, so that it replaces the tables too.
func TestHost_aLaterVersionTakesTheFile(t *testing.T) {
	t.Parallel()
	db, file := open(t), filepath.Join(t.TempDir(), "a.wasm")
	must(os.WriteFile(file, guestOf("same", "1"), 0o600))
	h := runHost(t, db, pupwasm.Options{Folder: filepath.Dir(file)})
	runs(t, h, "same")
	must(os.WriteFile(file, guestOf("same", "2"), 0o600))
	testwait.Until(t, "version 2 runs alone", func() bool {
		progress := h.Progress()
		return len(progress) == 1 && progress[0].Known && progress[0].Projection.Version == 2
	})
	status, err := h.Status(t.Context())
	if err != nil || len(status) != 1 || status[0].Version != 2 {
		t.Errorf("the database has %+v; %v", status, err)
	}
}

func TestHost_readsALogOfAnotherDatabase(t *testing.T) {
	t.Parallel()
	events, rows := open(t), open(t)
	appended, err := events.Append(t.Context(), store.AppendOptions{}, store.StreamAppend{
		Stream: store.Stream{BoundedContext: "Shop", AggregateType: "User", AggregateID: "u1"},
		Events: []store.Event{{Type: "Registered"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	modules := fstest.MapFS{"a.wasm": {Data: guest("first")}}
	h, err := pupwasm.NewHost(rows, pupwasm.Options{Events: events, Modules: modules, Logger: discard()})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.RunOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.Wait(t.Context(), "first", appended[0].Position); err != nil {
		t.Error(err)
	}
	if there, err := events.Status(t.Context()); err != nil || len(there) != 0 {
		t.Errorf("the database of the events has %v; %v", there, err)
	}
	own, err := rows.Horizon(t.Context())
	if err != nil || own.Head != 0 {
		t.Errorf("the log of the other one ends at %d; %v", own.Head, err)
	}
}

// awayLog does not answer when it is asked for the last event up to a checkpoint, a few times.
type awayLog struct {
	store.Store
	times atomic.Int32
}

func (l *awayLog) Backend() store.Store { return l }

func (l *awayLog) AppliedAt(ctx context.Context, position int64) (store.Applied, error) {
	if l.times.Add(-1) >= 0 {
		return store.Applied{}, store.ErrTransient
	}
	return l.Store.AppliedAt(ctx, position)
}

// TestHost_aLogThatIsAwayLeavesNoTransactionOpen has a consumer that has the transaction when the log goes away. SQLite
// has only one to write with.
func TestHost_aLogThatIsAwayLeavesNoTransactionOpen(t *testing.T) {
	t.Parallel()
	events, rows := open(t), open(t)
	user := store.Stream{BoundedContext: "Shop", AggregateType: "User", AggregateID: "u1"}
	appended, err := events.Append(t.Context(), store.AppendOptions{}, store.StreamAppend{
		Stream: user, Events: []store.Event{{Type: "Registered"}, {Type: "Other"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	log := &awayLog{Store: events.Backend()}
	log.times.Store(3)
	handled := 0
	h, err := pupwasm.NewHost(rows, pupwasm.Options{Events: log, Logger: discard(), Consumers: []pupwasm.Consumer{{
		Name: "users", Subscription: store.Subscription{EventTypes: []string{"Registered"}},
		Handle: func(context.Context, any, []store.RecordedEvent) error { handled++; return nil },
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.RunOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	status, err := h.Status(t.Context(), "users")
	if err != nil || status[0].Segments[0].Position != appended[1].Position || handled != 4 {
		t.Errorf("the status is %+v, %d batches were handled; %v", status, handled, err)
	}
}

// TestHost_pauseAndResume pauses what another host runs, with events that come meanwhile.
func TestHost_pauseAndResume(t *testing.T) {
	t.Parallel()
	db := open(t)
	user := store.Stream{BoundedContext: "Shop", AggregateType: "User", AggregateID: "u1"}
	register := func() int64 {
		t.Helper()
		appended, err := db.Append(t.Context(), store.AppendOptions{}, store.StreamAppend{
			Stream: user, Events: []store.Event{{Type: "Registered"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return appended[0].Position
	}
	options := pupwasm.Options{Modules: fstest.MapFS{"a.wasm": {Data: guest("first")}}, Logger: discard()}
	runs(t, runHost(t, db, options), "first")
	other, err := pupwasm.NewHost(db, options)
	must(err)
	must(other.Wait(t.Context(), "first", register()))
	must(other.Pause(t.Context(), "first"))
	must(other.Pause(t.Context(), "first"))
	meanwhile := register()
	status, err := other.Status(t.Context(), "first")
	if err != nil || !status[0].Paused() || status[0].Segments[0].Owner != "" {
		t.Errorf("the status is %+v; %v", status, err)
	}
	var paused *segments.PausedError
	if err := other.Wait(t.Context(), "first", meanwhile); !errors.As(err, &paused) || paused.Projection != "first" {
		t.Errorf("the wait ends with %v", err)
	}
	if err := other.RunOnce(t.Context()); !errors.As(err, &paused) {
		t.Errorf("RunOnce ends with %v", err)
	}
	must(other.Resume(t.Context(), "first"))
	must(other.Wait(t.Context(), "first", meanwhile))
	var unknown *store.InputError
	if err := other.Pause(t.Context(), "second"); !errors.As(err, &unknown) {
		t.Errorf("an unknown projection: %v", err)
	}
}

func TestHost_aModuleThatDoesNotLoadEndsRun(t *testing.T) {
	t.Parallel()
	for name, files := range map[string]fstest.MapFS{
		"no module":      {"a.wasm": {Data: []byte("no module")}},
		"one name twice": {"a.wasm": {Data: guest("same")}, "b.wasm": {Data: append(guest("same"), 0, 1, 0)}},
	} {
		h, err := pupwasm.NewHost(open(t), pupwasm.Options{Modules: files, Logger: discard()})
		if err != nil {
			t.Fatal(err)
		}
		err = h.Run(t.Context())
		var load *host.LoadError
		if err == nil || name == "no module" && !errors.As(err, &load) || name != "no module" &&
			!strings.Contains(err.Error(), "a.wasm and module b.wasm are both version 1 of projection same: ") {
			t.Errorf("%s: Run returns %v", name, err)
		}
	}
}

func TestNewHost_saysWhatIsMissing(t *testing.T) {
	t.Parallel()
	if _, err := pupwasm.NewHost(open(t), pupwasm.Options{}); err == nil ||
		!strings.Contains(err.Error(), "Options.Modules, Options.Folder or Options.Consumers") {
		t.Errorf("the error is %v", err)
	}
	h, err := pupwasm.NewHost(open(t), pupwasm.Options{Folder: filepath.Join(t.TempDir(), "missing")})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("Run returns %v", err)
	}
}

func TestNewHost_takesVersionsOfAConsumer(t *testing.T) {
	t.Parallel()
	handle := func(context.Context, any, []store.RecordedEvent) error { return nil }
	if _, err := pupwasm.NewHost(open(t), pupwasm.Options{Consumers: []pupwasm.Consumer{
		{Name: "users", Handle: handle}, {Name: "users", Version: 2, Handle: handle},
	}}); err != nil {
		t.Error(err)
	}
}

// TestHost_logsByTheLoggerOfTheApplication has levels as they are there, fields in order, and numbers as numbers.
func TestHost_logsByTheLoggerOfTheApplication(t *testing.T) {
	t.Parallel()
	var lines bytes.Buffer
	h, err := pupwasm.NewHost(open(t), pupwasm.Options{
		Modules: fstest.MapFS{"a.wasm": {Data: guest("first")}},
		Logger:  slog.New(slog.NewJSONHandler(&lines, &slog.HandlerOptions{Level: slog.LevelInfo})),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.RunOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := lines.String(); !strings.Contains(got, `"level":"INFO","msg":"projection installed"`) ||
		!strings.Contains(got, `"projection":"first","version":1,"module":"a.wasm"`) ||
		strings.Contains(got, "DEBUG") {
		t.Errorf("the log is %s", got)
	}
}

func TestHost_tellsItsObserver(t *testing.T) {
	t.Parallel()
	db := open(t)
	_, err := db.Append(t.Context(), store.AppendOptions{}, store.StreamAppend{
		Stream: store.Stream{BoundedContext: "Shop", AggregateType: "User", AggregateID: "u1"},
		Events: []store.Event{{Type: "Registered"}, {Type: "Renamed"}, {Type: "Left"}},
	})
	must(err)
	var events, fuel atomic.Int64
	h, err := pupwasm.NewHost(db, pupwasm.Options{
		Modules: fstest.MapFS{"a.wasm": {Data: guest("first")}}, Logger: discard(),
		Observer: &segments.Observer{
			Applied:   func(b segments.ObservedBatch) { fuel.Add(b.Fuel) },
			Committed: func(c segments.ObservedCommit) { events.Add(int64(c.Events)) },
		},
	})
	must(err)
	must(h.RunOnce(t.Context()))
	if events.Load() != 3 || fuel.Load() <= 0 {
		t.Errorf("%d events were committed, with %d units of fuel", events.Load(), fuel.Load())
	}
}

func TestHost_makesSpans(t *testing.T) {
	t.Parallel()
	db := open(t)
	_, err := db.Append(t.Context(), store.AppendOptions{}, store.StreamAppend{
		Stream: store.Stream{BoundedContext: "Shop", AggregateType: "User", AggregateID: "u1"},
		Events: []store.Event{{
			Type: "Registered", Metadata: []byte(`{"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}`),
		}},
	})
	must(err)
	var events atomic.Int64
	spans := tracetest.NewSpanRecorder()
	h, err := pupwasm.NewHost(db, pupwasm.Options{
		Modules: fstest.MapFS{"a.wasm": {Data: guest("first")}}, Logger: discard(),
		Observer: &segments.Observer{Committed: func(c segments.ObservedCommit) { events.Add(int64(c.Events)) }},
		Traces:   sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)),
	})
	must(err)
	must(h.RunOnce(t.Context()))
	links := ""
	for _, span := range spans.Ended() {
		for _, link := range span.Links() {
			links += span.Name() + " " + link.SpanContext.TraceID().String()
		}
	}
	if links != "apply first 4bf92f3577b34da6a3ce929d0e0e4736" || events.Load() != 1 {
		t.Errorf("the links are %q, and %d events were told to the observer", links, events.Load())
	}
}
