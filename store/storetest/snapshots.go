package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pupwasm/pupwasm/store"
)

var snapshotCases = []testCase{
	{"events_after_a_version_as_every_read_has_them", streamsRead},
	{"an_error_of_the_reader_ends_the_read_and_comes_back", streamsReadStopped},
	{"a_snapshot_comes_back_as_it_was", snapshotKept},
	{"another_schema_version_is_none", snapshotSchema},
	{"an_older_one_never_replaces_a_newer_one", snapshotOlder},
	{"only_an_event_of_the_log_has_one", snapshotForged},
	{"events_that_were_changed_or_deleted_have_none", snapshotOfChangedLog},
	{"one_of_another_log_is_none_and_is_replaced", snapshotOfAnotherLog},
	{"what_cannot_be_stored", snapshotInput},
	{"a_transaction_has_all_or_nothing", snapshotInTransaction},
	{"a_failure_in_a_transaction_leaves_it_usable", snapshotFailsInTransaction},
}

// snapshotOf is a snapshot of a stream at what was appended last.
func snapshotOf(of store.Stream, last store.Appended, state string) store.Snapshot {
	return store.Snapshot{
		Stream: of, AggregateVersion: last.AggregateVersion, EventID: last.ID, SchemaVersion: 1, State: []byte(state),
		Position: last.Position,
	}
}

// save saves a snapshot, and checks whether it was kept.
func (f *fixture) save(snapshot store.Snapshot, want bool) {
	f.Helper()
	saved, err := f.store.SaveSnapshot(f.ctx, snapshot)
	f.must(err)
	if saved != want {
		f.Errorf("the snapshot of %s at %d is kept: %t, want %t", snapshot.Stream, snapshot.AggregateVersion, saved, want)
	}
}

// wantState checks the state of the snapshot that counts, "" for none.
func (f *fixture) wantState(from store.Streams, of store.Stream, want string) {
	f.Helper()
	snapshot, err := from.LoadSnapshot(f.ctx, of, 1)
	f.must(err)
	if got := stateOf(snapshot); got != want {
		f.Errorf("the snapshot of %s has the state %q, want %q", of, got, want)
	}
}

func stateOf(snapshot *store.Snapshot) string {
	if snapshot == nil {
		return ""
	}
	return string(snapshot.State)
}

// readAfter reads a stream event by event.
func (f *fixture) readAfter(from store.Streams, of store.Stream, after int64) (events []store.RecordedEvent) {
	f.Helper()
	f.must(from.ReadStreamAfter(f.ctx, of, after, func(e *store.RecordedEvent) error {
		events = append(events, *e)
		return nil
	}))
	return events
}

// own is a table of the store, in SQL.
func (f *fixture) own(table string) string {
	return map[store.Dialect]string{
		store.DialectPostgres: "pupwasm.", store.DialectSQLite: "pupwasm__", store.DialectMySQL: "pupwasm__",
	}[f.dialect] + table
}

func streamsRead(f *fixture) {
	full := store.Event{
		ID: store.UUID{7}, Type: "full", Version: 3, Payload: []byte{0, 0xff}, Metadata: json.RawMessage(`{"a": 1}`),
		TraceID: "t", CorrelationID: "c", CausationID: "é", CreatedAt: time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC),
	}
	_, err := f.store.Append(f.ctx, store.AppendOptions{}, store.StreamAppend{Stream: stream("a"), Events: []store.Event{
		full, {Type: "empty"}, {Type: "empty", CreatedAt: time.Date(1, 1, 2, 0, 0, 0, 1000, time.UTC)},
	}}, store.StreamAppend{Stream: stream("a2"), Events: events(2)})
	f.must(err)
	check := func(way string, from store.Streams) {
		f.Helper()
		for after := range int64(5) {
			want, err := f.store.ReadStream(f.ctx, stream("a"), after+1, 0)
			f.must(err)
			if diff := cmp.Diff(want, f.readAfter(from, stream("a"), after), cmpopts.EquateEmpty()); diff != "" && after < 3 {
				f.Errorf("%s, after %d (-ReadStream +ReadStreamAfter):\n%s", way, after, diff)
			}
		}
		if got := f.readAfter(from, stream("none"), 0); len(got) != 0 {
			f.Errorf("%s: a stream without events has %s", way, summary(got))
		}
		var input *store.InputError
		if err := from.ReadStreamAfter(f.ctx, store.Stream{}, 0, nil); !errors.As(err, &input) {
			f.Errorf("%s: a stream without a name: %v", way, err)
		}
	}
	check("the store", f.store)
	for way, inTx := range f.Transactions {
		f.must(inTx(f, f.store, func(tx store.StreamsTx) error {
			check(way, tx)
			return nil
		}))
	}
}

func streamsReadStopped(f *fixture) {
	f.appendTo(stream("a"), 100)
	own := fmt.Errorf("enough: %w", context.Canceled)
	read := func(from store.Streams) {
		f.Helper()
		seen := 0
		err := from.ReadStreamAfter(f.ctx, stream("a"), 0, func(*store.RecordedEvent) error {
			if seen++; seen == 2 {
				return own
			}
			return nil
		})
		if err != own || seen != 2 { //nolint:errorlint // it comes back as it is
			f.Errorf("after %d events: %v", seen, err)
		}
		if got := len(f.readAfter(from, stream("a"), 0)); got != 100 {
			f.Errorf("the next read has %d events", got)
		}
	}
	read(f.store)
	for _, inTx := range f.Transactions {
		f.must(inTx(f, f.store, func(tx store.StreamsTx) error {
			read(tx)
			return nil
		}))
	}
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	if err := f.store.ReadStreamAfter(ctx, stream("a"), 0, func(*store.RecordedEvent) error { return nil }); err == nil {
		f.Error("a read with a cancelled context reports success")
	}
}

func snapshotKept(f *fixture) {
	f.wantState(f.store, stream("a"), "")
	appended := f.appendTo(stream("a"), 3)
	for _, state := range []string{"\x00\xff any bytes", "", strings.Repeat("x", store.SnapshotBytesMax)} {
		appended = f.appendTo(stream("a"), 1)
		want := snapshotOf(stream("a"), appended[0], state)
		f.save(want, true)
		got, err := f.hosts(1)[0].LoadSnapshot(f.ctx, stream("a"), 1)
		f.must(err)
		if got == nil || !reflect.DeepEqual(*got, want) {
			f.Fatalf("a snapshot of %d bytes came back as %d bytes", len(state), len(stateOf(got)))
		}
	}
	f.wantState(f.store, stream("b"), "")
	// What comes after the event changes nothing.
	f.appendTo(stream("a"), 1)
	if got, err := f.store.LoadSnapshot(f.ctx, stream("a"), 1); err != nil || got.AggregateVersion != appended[0].AggregateVersion {
		f.Errorf("after another event: %v", err)
	}
}

func snapshotSchema(f *fixture) {
	last := f.appendTo(stream("a"), 2)[1]
	snapshot := snapshotOf(stream("a"), last, "old")
	f.save(snapshot, true)
	for _, version := range []int32{2, 0, -1} {
		if got, err := f.store.LoadSnapshot(f.ctx, stream("a"), version); err != nil || got != nil {
			f.Errorf("version %d has %q, %v", version, stateOf(got), err)
		}
	}
	snapshot.SchemaVersion, snapshot.State = 2, []byte("new")
	f.save(snapshot, true)
	f.wantState(f.store, stream("a"), "") // there is one
	if got, err := f.store.LoadSnapshot(f.ctx, stream("a"), 2); err != nil || stateOf(got) != "new" {
		f.Errorf("version 2 has %q, %v", stateOf(got), err)
	}
}

func snapshotOlder(f *fixture) {
	appended := f.appendTo(stream("a"), 3)
	f.save(snapshotOf(stream("a"), appended[1], "second"), true)
	f.save(snapshotOf(stream("a"), appended[0], "first"), false)
	f.save(snapshotOf(stream("a"), appended[1], "second again"), false)
	f.wantState(f.store, stream("a"), "second")
	f.save(snapshotOf(stream("a"), appended[2], "third"), true)
	f.wantState(f.store, stream("a"), "third")
}

func snapshotForged(f *fixture) {
	appended, other := f.appendTo(stream("a"), 2), f.appendTo(stream("b"), 2)
	forge := func(change func(s *store.Snapshot)) {
		f.Helper()
		forged := snapshotOf(stream("a"), appended[1], "forged")
		change(&forged)
		f.save(forged, false)
	}
	forge(func(s *store.Snapshot) { s.AggregateVersion = 3 })
	forge(func(s *store.Snapshot) { s.AggregateVersion = 1 })
	forge(func(s *store.Snapshot) { s.EventID[3]++ })
	forge(func(s *store.Snapshot) { s.EventID = other[1].ID })
	forge(func(s *store.Snapshot) { s.Stream = stream("c") })
	f.wantState(f.store, stream("a"), "")
}

func snapshotOfChangedLog(f *fixture) {
	events := f.own("events")
	moved := f.appendTo(stream("moved"), 2)
	for _, change := range []string{
		"UPDATE " + events + " SET payload = CAST('x' AS " + f.bytes() + ") WHERE aggregate_id = 'a' AND aggregate_version = 1",
		"DELETE FROM " + events + " WHERE aggregate_id = 'a' AND aggregate_version = 1",
		"UPDATE " + events + " SET aggregate_id = 'a', aggregate_version = 1 WHERE aggregate_id = 'moved' AND aggregate_version = 1",
		"UPDATE " + events + " SET aggregate_id = 'moved' WHERE aggregate_id = 'a' AND aggregate_version = 1",
	} {
		last := f.appendTo(stream("a"), 3)[2]
		b := f.appendTo(stream("b"), 1)[0]
		f.save(snapshotOf(stream("a"), last, "state"), true)
		f.save(snapshotOf(stream("b"), b, "other"), true)
		f.Query(f, change)
		f.wantState(f.store, stream("a"), "")
		f.wantState(f.store, stream("b"), "other")
	}
	f.save(snapshotOf(stream("moved"), moved[1], "state"), true)
	f.Query(f, "DELETE FROM "+events)
	if left := f.Query(f, "SELECT count(*) FROM "+f.own("snapshots"))[0][0]; left != "0" {
		f.Errorf("%s snapshots are left of a log without events", left)
	}
}

// bytes is the type of a payload.
func (f *fixture) bytes() string {
	return map[store.Dialect]string{
		store.DialectPostgres: "bytea", store.DialectSQLite: "BLOB", store.DialectMySQL: "BINARY",
	}[f.dialect]
}

// snapshotOfAnotherLog puts a snapshot into the table as one that was restored without its log, or beside another one.
func snapshotOfAnotherLog(f *fixture) {
	last := f.appendTo(stream("a"), 2)[1]
	f.appendTo(stream("b"), 9)
	f.save(snapshotOf(stream("a"), last, "restored"), true)
	for _, lie := range []string{"aggregate_version = 99", "aggregate_version = 1", "aggregate_id = 'b'"} {
		f.Query(f, "UPDATE "+f.own("snapshots")+" SET "+lie)
		f.wantState(f.store, stream("a"), "")
		f.wantState(f.store, stream("b"), "")
		f.Query(f, "DELETE FROM "+f.own("snapshots")+" WHERE aggregate_id = 'b'")
	}
	first := f.appendTo(stream("c"), 3)
	f.save(snapshotOf(stream("c"), first[2], "restored"), true)
	f.Query(f, "UPDATE "+f.own("snapshots")+" SET aggregate_version = 99 WHERE aggregate_id = 'c'")
	f.save(snapshotOf(stream("c"), first[0], "of this log"), true)
	f.wantState(f.store, stream("c"), "of this log")
}

func snapshotInput(f *fixture) {
	last := f.appendTo(stream("a"), 1)[0]
	for name, change := range map[string]func(s *store.Snapshot){
		"no version": func(s *store.Snapshot) { s.AggregateVersion = 0 },
		"no event":   func(s *store.Snapshot) { s.EventID = store.UUID{} },
		"no stream":  func(s *store.Snapshot) { s.Stream.AggregateID = "" },
		"too large":  func(s *store.Snapshot) { s.State = make([]byte, store.SnapshotBytesMax+1) },
	} {
		snapshot := snapshotOf(stream("a"), last, "state")
		change(&snapshot)
		var input *store.InputError
		if _, err := f.store.SaveSnapshot(f.ctx, snapshot); !errors.As(err, &input) || strings.Contains(err.Error(), "\n") {
			f.Errorf("%s: %v", name, err)
		}
	}
	var input *store.InputError
	if _, err := f.store.LoadSnapshot(f.ctx, store.Stream{}, 1); !errors.As(err, &input) {
		f.Errorf("a stream without a name: %v", err)
	}
}

func snapshotInTransaction(f *fixture) {
	for way, inTx := range f.Transactions {
		of := stream(way)
		work := func(after error) func(tx store.StreamsTx) error {
			return func(tx store.StreamsTx) error {
				appended, err := tx.Append(f.ctx, store.AppendOptions{}, store.StreamAppend{
					Stream: of, Expected: store.NoStream(), Events: events(2),
				})
				f.must(err)
				saved, err := tx.SaveSnapshot(f.ctx, snapshotOf(of, appended[1], way))
				if err != nil || !saved {
					f.Errorf("%s: a snapshot of what the transaction appended: %t, %v", way, saved, err)
				}
				f.wantState(tx, of, way)
				if got := summary(f.readAfter(tx, of, 1)); got != way+"@2" {
					f.Errorf("%s: the transaction reads %q", way, got)
				}
				return after
			}
		}
		undone := errors.New("undone")
		if err := inTx(f, f.store, work(undone)); !errors.Is(err, undone) {
			f.Errorf("%s: %v", way, err)
		}
		f.wantState(f.store, of, "")
		if rows := f.Query(f, "SELECT aggregate_id FROM "+f.own("snapshots")+" WHERE aggregate_id = '"+way+"'"); len(rows) != 0 {
			f.Errorf("%s: a transaction that was rolled back left a snapshot", way)
		}
		f.must(inTx(f, f.store, work(nil)))
		f.wantState(f.store, of, way)
		var conflict *store.VersionConflictError
		err := inTx(f, f.store, func(tx store.StreamsTx) error {
			_, err := tx.Append(f.ctx, store.AppendOptions{}, store.StreamAppend{
				Stream: of, Expected: store.NoStream(), Events: events(1),
			})
			return err
		})
		if !errors.As(err, &conflict) || conflict.Actual != 2 {
			f.Errorf("%s: a conflict in a transaction is %v", way, err)
		}
	}
}

func snapshotFailsInTransaction(f *fixture) {
	// Another hand has made the table refuse what the store does not.
	f.Query(f, map[store.Dialect]string{
		store.DialectPostgres: "ALTER TABLE pupwasm.snapshots ADD CHECK (schema_version <> 13)",
		store.DialectSQLite: "CREATE TRIGGER refuse BEFORE INSERT ON pupwasm__snapshots WHEN NEW.schema_version = 13 " +
			"BEGIN SELECT RAISE(ABORT, 'refused'); END",
		store.DialectMySQL: "ALTER TABLE pupwasm__snapshots ADD CHECK (schema_version <> 13)",
	}[f.dialect])
	for way, inTx := range f.Transactions {
		of := stream(way)
		f.must(inTx(f, f.store, func(tx store.StreamsTx) error {
			appended, err := tx.Append(f.ctx, store.AppendOptions{}, store.StreamAppend{Stream: of, Events: events(2)})
			f.must(err)
			refused := snapshotOf(of, appended[1], "refused")
			refused.SchemaVersion = 13
			if _, err := tx.SaveSnapshot(f.ctx, refused); err == nil {
				f.Errorf("%s: the table refuses nothing", way)
			}
			saved, err := tx.SaveSnapshot(f.ctx, snapshotOf(of, appended[0], way))
			if !saved {
				f.Errorf("%s: the transaction does not go on: %v", way, err)
			}
			return err
		}))
		f.wantState(f.store, of, way)
		if got := f.versions(of); len(got) != 2 {
			f.Errorf("%s: the events are %v", way, got)
		}
	}
}
