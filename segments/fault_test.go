package segments_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/host/hosttest"
	"github.com/pupwasm/pupwasm/internal/guestbuild"
	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/segments/internal/logtest"
	"github.com/pupwasm/pupwasm/store"
)

// logBuffer collects log lines of several goroutines.
type logBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *logBuffer) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(line)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

// loadTest loads a module that exists for tests only.
func loadTest(t *testing.T, runtime *host.Runtime, name string) *host.Module {
	t.Helper()
	folder := guestbuild.Root(t) + "/modules/examples/testdata/" + name
	module, err := runtime.Load(t.Context(), name+".wasm", guestbuild.Module(t, guestbuild.Auto, folder))
	if err != nil {
		t.Fatal(err)
	}
	return module
}

// noted are events of one stream, by their types.
func noted(types ...string) store.StreamAppend {
	events := make([]store.Event, len(types))
	for i, eventType := range types {
		events[i] = store.Event{Type: eventType, Payload: []byte("{}")}
	}
	return store.StreamAppend{
		Stream: store.Stream{BoundedContext: "Test", AggregateType: "Note", AggregateID: "n1"}, Events: events,
	}
}

// TestInvariant5_aGuestFaultIsData shows that nothing of a faulty batch is written, that the reason is recorded
// with the place, and that another projection of the same host goes on.
func TestInvariant5_aGuestFaultIsData(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ eventType, want string }{
		{"Panic", "panic"},
		{"Error", fmt.Sprintf("at event %d of stream n1: the event is not acceptable", pgtest.At(4))},
		{"Loop", "used more than 50000000 units of fuel for a batch of 2 events"},
		{"Null", fmt.Sprintf(`event %d of stream Test/n1: the database refuses write "note": table rows, key position = %[1]d, column note = NULL: `, pgtest.At(4))},
	} {
		t.Run(test.eventType, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			s := openPostgres(t, db)
			if _, err := s.Append(t.Context(), store.AppendOptions{}, noted("Fine", "Fine", "Fine", test.eventType, "Fine")); err != nil {
				t.Fatal(err)
			}
			lines := &logBuffer{}
			logger := zerolog.New(lines)
			runtime, err := host.NewRuntime(t.Context(), host.Options{
				Logger: logger, Limits: host.Limits{Fuel: 50_000_000}, CacheDir: compiled, Compiler: compiler,
			})
			if err != nil {
				t.Fatal(err)
			}
			defer runtime.Close(context.Background())
			worker, err := segments.New(s, s, segments.Options{OnError: store.ErrorStop, Once: true, BatchEvents: 3, Logger: logger})
			if err != nil {
				t.Fatal(err)
			}
			worker.Set(loadTest(t, runtime, "misbehave"))
			worker.Set(loadExample(t, runtime, "activity_log"))
			err = worker.Run(t.Context())
			// A page that is shared has what the other module reads as well: the type of the stream may be known.
			plain := func(text string) string { return strings.ReplaceAll(text, "Note/n1", "n1") }
			if err == nil || !strings.Contains(plain(err.Error()), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("Run returns %v, must be one line with %q", err, test.want)
			}
			// The first batch of three is in, the faulty one is not, whole as it is.
			status := statusOf(t, s, "misbehave").Segments[0]
			if status.Position != pgtest.At(3) || !strings.Contains(plain(status.Failure), test.want) || status.Owner != "" {
				t.Errorf("the segment stands at %d with failure %q and owner %q",
					status.Position, status.Failure, status.Owner)
			}
			if n := count(t, db, "misbehave.rows"); n != 3 {
				t.Errorf("misbehave has %d rows, must have 3", n)
			}
			if n := count(t, db, "activity_log.activity"); n != 5 {
				t.Errorf("activity_log has %d rows, must have 5", n)
			}
			if n := strings.Count(lines.String(), "segment failed"); n != 1 {
				t.Errorf("the failure is told %d times: %s", n, lines)
			}
		})
	}
}

// TestFault_aModuleThatIsTooSlowAgainAndAgainStops has a guest with fuel without end. Its segment is tried
// three times, and stops with what to do; another projection of the same host goes on.
func TestFault_aModuleThatIsTooSlowAgainAndAgainStops(t *testing.T) {
	t.Parallel()
	s := openPostgres(t, pgtest.New(t))
	appendTo(t, s, noted("Fine", "Fine"))
	lines := &logBuffer{}
	limits := host.Limits{Fuel: 1 << 60, BatchTimeout: 20 * time.Millisecond}
	engine, err := host.NewRuntime(t.Context(), host.Options{Limits: limits, CacheDir: compiled, Compiler: compiler})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { engine.Close(context.Background()) })
	g := &hosttest.Guest{Apply: hosttest.Code(hosttest.Loop(hosttest.Br(0)), hosttest.Unreachable)}
	g.Describe = `{"name":"looping","version":1,"tables":[{"name":"t","columns":[{"name":"a","type":"i64"}],"key":["a"]}]}`
	module, err := engine.Load(t.Context(), "looping.wasm", g.Wasm())
	if err != nil {
		t.Fatal(err)
	}
	options := quick()
	options.Logger = zerolog.New(lines)
	worker := startWorker(t, s, options, module, loadExample(t, newRuntime(t, zerolog.Nop()), "activity_log"))
	const want = "took longer than 20ms for a batch, with fuel left: if this machine is not busy, raise Limits.BatchTimeout, or have fewer events in a batch (Options.BatchEvents)"
	testwait.Until(t, "the failure is recorded", func() bool {
		all, err := s.Status(t.Context(), "looping")
		return err == nil && len(all) == 1 && all[0].Segments[0].Failure != ""
	})
	testwait.Until(t, "the failure is told", func() bool { return strings.Contains(lines.String(), "segment failed") })
	status := statusOf(t, s, "looping").Segments[0]
	if place := fmt.Sprintf("3 times in a row, events %d to %d: module looping.wasm: ", pgtest.At(1), pgtest.At(2)); status.Failure != place+want || status.Owner != "" {
		t.Errorf("the failure is %q of owner %q, want %q", status.Failure, status.Owner, place+want)
	}
	if n := strings.Count(lines.String(), "segment failed"); n != 1 {
		t.Errorf("the failure is told %d times: %s", n, lines)
	}
	applied(t, s, "activity_log", pgtest.At(2))
	worker.runs(t)
}

// TestInvariant5_aRefusedRowNamesItsEvent has the database refuse one row of a large batch. All before it are
// applied, and the failure names its event.
func TestInvariant5_aRefusedRowNamesItsEvent(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := openPostgres(t, db)
	types := slices.Repeat([]string{"Fine"}, 99)
	types[56] = "Null"
	appendTo(t, s, noted(types...))
	worker, err := segments.New(s, s, segments.Options{OnError: store.ErrorStop, Once: true})
	if err != nil {
		t.Fatal(err)
	}
	worker.Set(loadTest(t, newRuntime(t, zerolog.Nop()), "misbehave"))
	want := fmt.Sprintf(`event %d of stream Test/Note/n1: the database refuses write "note": table rows, key position = %[1]d, column note = NULL: `, pgtest.At(57))
	if err := worker.Run(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Run returns %v, must be %q", err, want)
	}
	status := statusOf(t, s, "misbehave").Segments[0]
	if n := count(t, db, "misbehave.rows"); n != 56 || status.Position != pgtest.At(56) || !strings.Contains(status.Failure, want) {
		t.Errorf("%d rows, position %d, failure %q", n, status.Position, status.Failure)
	}
}

// TestInvariant5_aReasonThatIsNoTextIsRecorded has a guest end with bytes that no database takes as text. Go's
// runtime writes them to the standard error.
func TestInvariant5_aReasonThatIsNoTextIsRecorded(t *testing.T) {
	t.Parallel()
	s := openPostgres(t, pgtest.New(t))
	appendTo(t, s, noted("Garbled"))
	folder := guestbuild.Root(t) + "/modules/examples/testdata/misbehave"
	module, err := newRuntime(t, zerolog.Nop()).Load(t.Context(), "misbehave.wasm", guestbuild.Module(t, guestbuild.Go, folder))
	if err != nil {
		t.Fatal(err)
	}
	worker, err := segments.New(s, s, segments.Options{OnError: store.ErrorStop, Once: true})
	if err != nil {
		t.Fatal(err)
	}
	worker.Set(module)
	if err := worker.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "panic: no text: \uFFFD and \uFFFD") {
		t.Errorf("Run returns %v", err)
	}
}

// TestWorker_aFailedSegmentIsTriedAgainAfterInstall shows that the failure does not outlive a new start.
func TestWorker_aFailedSegmentIsTriedAgainAfterInstall(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := openPostgres(t, db)
	if _, err := s.Append(t.Context(), store.AppendOptions{}, noted("Fine", "Error")); err != nil {
		t.Fatal(err)
	}
	runtime := newRuntime(t, zerolog.Nop())
	for range 2 {
		worker, err := segments.New(s, s, segments.Options{OnError: store.ErrorStop, Once: true})
		if err != nil {
			t.Fatal(err)
		}
		worker.Set(loadTest(t, runtime, "misbehave"))
		if err := worker.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "not acceptable") {
			t.Errorf("Run returns %v", err)
		}
	}
}

// unrecorded is a store that loses its connection when the first failure is recorded.
type unrecorded struct {
	store.Store
	failures atomic.Int32
}

func (u *unrecorded) Fail(ctx context.Context, claim store.Claim, reason string) error {
	if u.failures.Add(1) == 1 {
		return store.ErrTransient
	}
	return u.Store.Fail(ctx, claim, reason)
}

// TestWorker_aFailureThatIsNotRecordedIsTriedAgain has a segment fail while the database is away, which does
// not tell whether the segment was still the worker's: it may have read what its successor wrote.
func TestWorker_aFailureThatIsNotRecordedIsTriedAgain(t *testing.T) {
	t.Parallel()
	s := &unrecorded{Store: logtest.New(t)}
	if _, err := s.Append(t.Context(), store.AppendOptions{}, noted("Fine", "Error")); err != nil {
		t.Fatal(err)
	}
	lines := &logBuffer{}
	options := quick()
	options.Once, options.Logger = true, zerolog.New(lines)
	worker, err := segments.New(s, s, options)
	if err != nil {
		t.Fatal(err)
	}
	worker.Set(loadTest(t, newRuntime(t, zerolog.Nop()), "misbehave"))
	if err := worker.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "not acceptable") {
		t.Errorf("Run returns %v", err)
	}
	said := lines.String()
	if strings.Count(said, "the failure is not recorded, trying again") != 1 || strings.Count(said, `"level":"error"`) != 1 {
		t.Errorf("the log must have one failure that is not recorded and one that is:\n%s", said)
	}
}

func TestWorker_guestLinesHaveModuleAndSegment(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := openPostgres(t, db)
	if _, err := s.Append(t.Context(), store.AppendOptions{}, noted("Log")); err != nil {
		t.Fatal(err)
	}
	lines := &logBuffer{}
	logger := zerolog.New(lines)
	worker, err := segments.New(s, s, segments.Options{OnError: store.ErrorStop, Once: true, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	worker.Set(loadTest(t, newRuntime(t, logger), "misbehave"))
	if err := worker.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := `{"level":"info","module":"misbehave.wasm","segment":0,"projection":"misbehave","text":"noted n1","message":"module"}`
	if !strings.Contains(lines.String(), want) {
		t.Errorf("the log lacks %s: %s", want, lines)
	}
}

func TestWorker_aRefusedCatalogueIsTheResultOfOnce(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := openPostgres(t, db)
	if _, err := db.Connect(t).Exec(t.Context(), `CREATE SCHEMA fine_balance CREATE TABLE somebodys (a int)`); err != nil {
		t.Fatal(err)
	}
	worker, err := segments.New(s, s, segments.Options{OnError: store.ErrorStop, Once: true})
	if err != nil {
		t.Fatal(err)
	}
	worker.Set(loadExample(t, newRuntime(t, zerolog.Nop()), "fine_balance"))
	var catalogue *store.CatalogueError
	if err := worker.Run(t.Context()); !errors.As(err, &catalogue) {
		t.Errorf("Run returns %v, must be a *store.CatalogueError", err)
	}
}

func statusOf(t *testing.T, s store.Store, projection string) store.ProjectionStatus {
	t.Helper()
	all, err := s.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		if p.Name == projection {
			return p
		}
	}
	t.Fatalf("no projection %s", projection)
	return store.ProjectionStatus{}
}

func count(t *testing.T, db pgtest.Database, table string) (n int) {
	t.Helper()
	query(t, db, "SELECT count(*) FROM "+table, &n)
	return n
}

// query reads one row, over a connection of its own that it closes.
func query(t *testing.T, db pgtest.Database, sql string, into ...any) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), db.DSN)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if err := conn.QueryRow(t.Context(), sql).Scan(into...); err != nil {
		t.Fatal(err)
	}
}

// TestWorker_aWrongPartitionHashIsFound has a writer give hashes of its own: the events of one stream are in
// several segments.
func TestWorker_aWrongPartitionHashIsFound(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := openPostgres(t, db)
	execute(t, db, `INSERT INTO pupwasm.events (bounded_context, aggregate_type, aggregate_id, aggregate_version, event_type, payload, partition_hash)
		SELECT 'Traffic', 'Fine', 'F1', i, 'Payment', '{"paymentAmount":0.01}', (i::bigint * 777767777) % 4294967296 FROM generate_series(1, 40) i`)
	once := func() error {
		worker, err := segments.New(s, s, segments.Options{OnError: store.ErrorStop, Once: true, Segments: 4})
		if err != nil {
			t.Fatal(err)
		}
		worker.Set(loadExample(t, newRuntime(t, zerolog.Nop()), "fine_balance"))
		return worker.Run(t.Context())
	}
	said := fmt.Sprintf("its stored partition_hash is not that of its stream, %d,", store.PartitionHash("F1"))
	if err := once(); err == nil || !strings.Contains(err.Error(), said) {
		t.Errorf("Run returns %v, must say %q", err, said)
	}
	execute(t, db, "UPDATE pupwasm.events SET partition_hash = NULL") // which fills it
	if err := s.Reset(t.Context(), "fine_balance"); err != nil {
		t.Fatal(err)
	}
	if err := once(); err != nil {
		t.Fatal(err)
	}
	if cents := paid(t, db); cents != 40 {
		t.Errorf("%d cents are in, must be 40", cents)
	}
}
