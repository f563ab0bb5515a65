package sqlite_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

const insertAt = `INSERT INTO pupwasm__events (global_position, bounded_context, aggregate_type, aggregate_id,
	aggregate_version, event_id,
	event_type, created_at, partition_hash, payload) VALUES (?, 'c', 't', 'x', 1, x'00', 'e', 0, 0, x'')`

func TestPosition_cannotBeGivenOrChanged(t *testing.T) {
	t.Parallel()
	path := migrated(t)
	db, err := sqlite.OpenSQL(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	s := open(t, path, sqlite.Options{})
	for range 3 {
		if _, err := s.Append(t.Context(), store.AppendOptions{}, store.StreamAppend{
			Stream: store.Stream{
				BoundedContext: "c", AggregateType: "t",
				AggregateID: "a",
			}, Events: []store.Event{{Type: "e"}},
		}); err != nil {
			t.Fatal(err)
		}
	}
	execute(t, db, "DELETE FROM pupwasm__events WHERE global_position = 2")
	for _, position := range []int64{2, 4, 1 << 53, 0, -1} {
		if _, err := db.ExecContext(t.Context(), insertAt, position); err == nil {
			t.Errorf("an event was given position %d", position)
		}
	}
	for _, statement := range []string{
		"UPDATE pupwasm__events SET global_position = 2 WHERE global_position = 3",
		"UPDATE pupwasm__events SET rowid = 9 WHERE global_position = 3",
	} {
		if _, err := db.ExecContext(t.Context(), statement); err == nil ||
			!strings.Contains(err.Error(), "cannot be moved") {
			t.Errorf("%s: %v", statement, err)
		}
	}
	execute(t, db, "UPDATE pupwasm__events SET trace_id = 'x'")
	for _, broken := range []struct{ sql, fault string }{
		{
			"UPDATE sqlite_sequence SET seq = 1 WHERE name = 'pupwasm__events'",
			"is 1 in sqlite_sequence, and an event has position 3",
		},
		{"DELETE FROM sqlite_sequence WHERE name = 'pupwasm__events'", "is 0 in sqlite_sequence"},
	} {
		execute(t, db, broken.sql)
		var unsafe *store.UnsafeLogError
		if err := s.CheckLog(t.Context()); !errors.As(err, &unsafe) || len(unsafe.Faults) != 1 ||
			!strings.Contains(err.Error(), broken.fault) {
			t.Fatalf("%s: %v", broken.sql, err)
		}
		execute(t, db, strings.TrimPrefix(unsafe.Faults[0].Remedy, "run "))
		if err := s.CheckLog(t.Context()); err != nil {
			t.Errorf("%s: fixed: %v", broken.sql, err)
		}
	}
	execute(t, db, "DROP TRIGGER pupwasm__events_keep_position")
	if err := s.CheckLog(t.Context()); err == nil || !strings.Contains(err.Error(),
		"lacks the triggers pupwasm__events_keep_position") {
		t.Errorf("without a trigger: %v", err)
	}
}
