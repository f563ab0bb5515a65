package aggregate_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/aggregate"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// toldTo is a logger that keeps its lines, from one goroutine.
func toldTo(lines *[]string) *slog.Logger { return slog.New(lineHandler{lines}) }

type lineHandler struct{ lines *[]string }

func (h lineHandler) Enabled(context.Context, slog.Level) bool { return true }
func (h lineHandler) WithAttrs([]slog.Attr) slog.Handler       { return h }
func (h lineHandler) WithGroup(string) slog.Handler            { return h }

func (h lineHandler) Handle(_ context.Context, r slog.Record) error {
	line := r.Message
	r.Attrs(func(a slog.Attr) bool {
		line += fmt.Sprintf(" %s=%v", a.Key, a.Value)
		return true
	})
	*h.lines = append(*h.lines, line)
	return nil
}

// refuseSnapshots has the table of snapshots refuse every row.
func (d *database) refuseSnapshots(t failing) {
	t.Helper()
	if d.marks || strings.Contains(d.snapshots, ".") {
		d.exec(t, "ALTER TABLE "+d.snapshots+" ADD CHECK (aggregate_version < 0)")
		return
	}
	d.exec(t, "CREATE TRIGGER refuse BEFORE INSERT ON "+d.snapshots+" BEGIN SELECT RAISE(ABORT, 'refused'); END")
}

// TestLoad_costOfALongStream counts what a load of 10,000 events takes: the events and their bytes that Apply sees, and
// the snapshot's bytes.
func TestLoad_costOfALongStream(t *testing.T) {
	t.Parallel()
	const events = 10_000
	onEach(t, func(t *testing.T, d *database) {
		var applied, bytes int
		count := func(o *aggregate.Options[ledger]) {
			apply := o.Apply
			o.Apply = func(state *ledger, e store.RecordedEvent) error {
				applied++
				bytes += len(e.Payload) + len(e.Metadata)
				return apply(state, e)
			}
		}
		repository := ledgers(t, d.db, 0, count) // the default
		root, err := repository.Load(t.Context(), "a")
		must(t, err)
		for root.Version() < events-49 {
			must(t, repository.Save(t.Context(), root, booked(min(40, events-49-int(root.Version())))...))
		}
		must(t, repository.Snapshot(t.Context(), "a"))
		for range 49 { // as many as may be behind a snapshot
			must(t, repository.Save(t.Context(), root, booked(1)...))
		}
		cost := func(with *aggregate.Repository[ledger]) (int, int) {
			applied, bytes = 0, 0
			loaded, err := with.Load(t.Context(), "a")
			must(t, err)
			if loaded.Version() != events || loaded.State.Digest != root.State.Digest {
				t.Errorf("version %d was loaded", loaded.Version())
			}
			return applied, bytes
		}
		whole, wholeBytes := cost(ledgers(t, d.db, -1, count))
		some, someBytes := cost(repository)
		someBytes += int(d.number(t, "SELECT length(state) FROM "+d.snapshots))
		t.Logf("whole stream: %d events, %d bytes; by the snapshot: %d events, %d bytes", whole, wholeBytes, some, someBytes)
		if whole != events || some*20 > whole || someBytes*20 > wholeBytes {
			t.Errorf("a load takes more than 5%% of reading the whole stream")
		}
	})
}

// TestLoad_rowsOfALongStreamOnPostgres counts what the server reads of a stream that has just grown, before and after it
// knows so.
func TestLoad_rowsOfALongStreamOnPostgres(t *testing.T) {
	t.Parallel()
	d := onPostgres(t)
	repository := ledgers(t, d.db, 0)
	root, err := repository.Load(t.Context(), "a")
	must(t, err)
	must(t, repository.Save(t.Context(), root, booked(9_975)...))
	must(t, repository.Save(t.Context(), root, booked(25)...))
	for _, first := range []string{"SELECT 1", "ANALYZE pupwasm.events", "ANALYZE pupwasm.snapshots"} {
		d.exec(t, first)
		tx, err := d.handle.BeginTx(t.Context(), nil)
		must(t, err)
		count := func() (read, scans int) { // of the connection, since it told the server last
			must(t, tx.QueryRowContext(t.Context(), `SELECT seq_tup_read + coalesce(idx_tup_fetch, 0), seq_scan
				FROM pg_stat_xact_user_tables WHERE schemaname = 'pupwasm' AND relname = 'events'`).Scan(&read, &scans))
			return read, scans
		}
		readBefore, scansBefore := count()
		loaded, err := repository.LoadTx(t.Context(), d.db.(*postgres.Store).StreamsSQLTx(tx), "a")
		must(t, err)
		read, scans := count()
		read, scans = read-readBefore, scans-scansBefore
		must(t, tx.Rollback())
		if loaded.Version() != 10_000 || read > 50 || scans > 0 {
			t.Errorf("after %s: %d rows of events and %d scans of the table for 25 events", first, read, scans)
		}
	}
}

// TestLoad_ignoresASnapshotOfAnotherVersion has two versions of a program, of which each has snapshots of its own state.
func TestLoad_ignoresASnapshotOfAnotherVersion(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d *database) {
		var applied int
		program := func(version int32) *aggregate.Repository[ledger] {
			return ledgers(t, d.db, 5, func(o *aggregate.Options[ledger]) {
				o.SnapshotVersion = version
				o.Apply = func(state *ledger, e store.RecordedEvent) error {
					applied++
					state.Digest += fmt.Sprint(version)
					return nil
				}
			})
		}
		load := func(version int32, wantApplied int) {
			t.Helper()
			applied = 0
			root, err := program(version).Load(t.Context(), "a")
			must(t, err)
			if root.State.Digest != strings.Repeat(fmt.Sprint(version), int(root.Version())) || applied != wantApplied {
				t.Errorf("version %d has the state %q, after %d events", version, root.State.Digest, applied)
			}
		}
		update := func(version int32) {
			t.Helper()
			_, err := program(version).Update(t.Context(), "a", func(*ledger) ([]store.Event, error) { return booked(6), nil })
			must(t, err)
		}
		update(1)
		load(1, 0)
		load(2, 6)
		update(2) // the first save keeps one of the new version
		load(2, 0)
		load(1, 12)
		must(t, program(1).Snapshot(t.Context(), "a")) // of the same event
		load(1, 0)
		must(t, program(1).Snapshot(t.Context(), "a"))
		must(t, program(1).Snapshot(t.Context(), "no stream"))
	})
}

func TestSave_stateThatIsTooLargeStopsNothing(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d *database) {
		var told []string
		repository := ledgers(t, d.db, 5, func(o *aggregate.Options[ledger]) {
			o.SnapshotBytesMax = 10
			o.Logger = toldTo(&told)
		})
		for range 21 {
			_, err := repository.Update(t.Context(), "a", func(*ledger) ([]store.Event, error) { return booked(1), nil })
			must(t, err)
		}
		if got := d.wantWhole(t, repository, "a").Version(); got != 21 || d.snapshotOf(t, "a") != 0 {
			t.Errorf("the stream has %d events, its snapshot is of %d", got, d.snapshotOf(t, "a"))
		}
		if len(told) != 4 || !strings.Contains(told[0], "snapshot not kept stream=Shop/Ledger/a version=5 error=the state has ") {
			t.Errorf("the logger was told %q", told)
		}
		var tooLarge *aggregate.TooLargeError
		if err := repository.Snapshot(t.Context(), "a"); !errors.As(err, &tooLarge) || tooLarge.BytesMax != 10 {
			t.Errorf("Snapshot: %v", err)
		}
	})
}

func TestLoad_snapshotThatCannotBeDecoded(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d *database) {
		var told []string
		repository := ledgers(t, d.db, 5, func(o *aggregate.Options[ledger]) { o.Logger = toldTo(&told) })
		_, err := repository.Update(t.Context(), "a", func(*ledger) ([]store.Event, error) { return booked(6), nil })
		must(t, err)
		d.exec(t, "UPDATE "+d.snapshots+" SET state = $1", []byte("aggregate_test.ledger\n"+`{"Digest":"damaged","Last":1}`))
		d.wantWhole(t, repository, "a")
		if len(told) != 1 || !strings.Contains(told[0], "snapshot not decoded, the stream is read from its beginning stream=Shop/Ledger/a version=6") {
			t.Errorf("the logger was told %q", told)
		}
	})
}

// TestSave_textThatJSONChanges has a state whose text is not UTF-8: its snapshot would be another state.
func TestSave_textThatJSONChanges(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d *database) {
		var told []string
		repository := ledgers(t, d.db, 5, func(o *aggregate.Options[ledger]) {
			o.Logger = toldTo(&told)
			o.Apply = func(state *ledger, e store.RecordedEvent) error {
				state.Digest += string(e.Payload)
				return nil
			}
		})
		root, err := repository.Update(t.Context(), "a", func(*ledger) ([]store.Event, error) {
			return append(booked(5), store.Event{Type: "booked", Payload: []byte("\xff")}), nil
		})
		must(t, err)
		again, err := repository.Load(t.Context(), "a")
		must(t, err)
		if again.State.Digest != root.State.Digest || len(told) != 1 || !strings.Contains(told[0], "not UTF-8") {
			t.Errorf("the state is %q; the logger was told %q", again.State.Digest, told)
		}
	})
}

type (
	hidden   struct{ total int } //nolint:unused // New looks at it
	tree     struct{ Children []tree }
	anyState struct{ Value map[string]any }
	leftOut  struct {
		Total int `json:"-"`
	}
	embedding struct{ hidden } //nolint:unused // New looks at it
	pointers  struct{ Next *struct{ Of []hidden } }
	plain     struct {
		Name  string    `json:"name,omitempty"`
		At    time.Time // with fields of its own
		Sum   *big.Int  `json:"sum"`
		Raw   json.RawMessage
		ByKey map[string][]tree
		tree
		_ int
	}
)

func TestNew_refusesOptions(t *testing.T) {
	t.Parallel()
	d := onSQLite(t)
	check := func(want string, err error) {
		t.Helper()
		if got := fmt.Sprint(err); !strings.Contains(got, want) || strings.Contains(got, "\n") || want == "" && err != nil {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	with := func(change func(o *aggregate.Options[ledger])) error {
		options := aggregate.Options[ledger]{Context: "Shop", Type: "Ledger", Apply: applyToLedger}
		change(&options)
		_, err := aggregate.New(d.db, options)
		return err
	}
	check("", with(func(*aggregate.Options[ledger]) {}))
	check("options Context and Type: bounded_context is required", with(func(o *aggregate.Options[ledger]) { o.Context = "" }))
	check("aggregate_type has 801 bytes", with(func(o *aggregate.Options[ledger]) { o.Type = strings.Repeat("x", 801) }))
	check("option Apply is required", with(func(o *aggregate.Options[ledger]) { o.Apply = nil }))
	check("option SnapshotVersion must be 1 or more, it is -1", with(func(o *aggregate.Options[ledger]) { o.SnapshotVersion = -1 }))
	check("option SnapshotBytesMax must be between 1 and 16777216, it is 16777217",
		with(func(o *aggregate.Options[ledger]) { o.SnapshotBytesMax = store.SnapshotBytesMax + 1 }))
	check("options Encode and Decode must be set together",
		with(func(o *aggregate.Options[ledger]) { o.Encode = func(*ledger) ([]byte, error) { return nil, nil } }))
	check("option AttemptsMax must be 1 or more, it is -2", with(func(o *aggregate.Options[ledger]) { o.AttemptsMax = -2 }))
	_, err := aggregate.New(nil, aggregate.Options[ledger]{})
	check("needs a database", err)

	check("the state aggregate_test.hidden: field total would be lost", newOf[hidden](d))
	check("field Value: a value of type interface {} would", newOf[anyState](d))
	check("field Total would", newOf[leftOut](d))
	check("field hidden: field total would", newOf[embedding](d))
	check("field Next: field Of: field total would", newOf[pointers](d))
	check("", newOf[tree](d))
	check("", newOf[plain](d))
	check("", newOf[*plain](d))
	check("", newOf[map[string]int](d))
}

// newOf makes a repository of a type of state.
func newOf[S any](d *database) error {
	_, err := aggregate.New(d.db, aggregate.Options[S]{
		Context: "Shop", Type: "Any", Apply: func(*S, store.RecordedEvent) error { return nil },
	})
	return err
}
