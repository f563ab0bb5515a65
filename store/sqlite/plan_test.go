package sqlite

import (
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/store"
)

// TestRead_plansARangeOfPositions looks at the plan of every kind of read: anything but the range of positions
// reads the whole log for a page of it.
func TestRead_plansARangeOfPositions(t *testing.T) {
	t.Parallel()
	s, err := Open("never opened.db", Options{})
	if err != nil {
		t.Fatal(err)
	}
	db, err := OpenSQL(t.TempDir() + "/test.db")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	_, err = db.ExecContext(t.Context(), `CREATE TABLE pupwasm__events (global_position INTEGER PRIMARY KEY,
		bounded_context, aggregate_type,
		aggregate_id, aggregate_version, event_type, partition_hash, payload,
		UNIQUE (bounded_context, aggregate_type, aggregate_id, aggregate_version))`)
	if err != nil {
		t.Fatal(err)
	}
	for _, subscription := range []store.Subscription{
		{},
		{BoundedContexts: []string{"a"}},
		{BoundedContexts: []string{"a"}, AggregateTypes: []string{"b"}},
		{BoundedContexts: []string{"a", "b"}, AggregateTypes: []string{"b"}, EventTypes: []string{"c", "d"}},
	} {
		for _, share := range []store.HashRange{store.FullRange(), store.SplitRange(4)[1]} {
			text, args := s.readStatement(store.ReadRequest{
				Through: 9, Limit: 1, Subscription: subscription,
				Range: share, Columns: store.ColumnPayload,
			})
			var id, parent, unused int
			var detail string
			row := db.QueryRowContext(t.Context(), "EXPLAIN QUERY PLAN "+text, args...)
			if err := row.Scan(&id, &parent, &unused, &detail); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(detail, "USING INTEGER PRIMARY KEY") {
				t.Errorf("%+v %v: %s", subscription, share, detail)
			}
		}
	}
}
