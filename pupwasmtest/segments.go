// Package pupwasmtest tests projection modules and consumers of an application, in 'go test'.
//
// A module is tested by cases: given events, when others come, then there are these rows, or messages.
//
//	func TestUsers(t *testing.T) {
//		p := pupwasmtest.Build(t, ".", pupwasmtest.Options{})
//		p.When(pupwasmtest.Event("Shop/User/ann", "Registered", nil)).
//			Then(pupwasmtest.Rows("users", pupwasmtest.Row{"user_id": "ann", "events": 1}))
//	}
//
// It runs in the sandbox and on a database, as on a host; package guest-sdk/puptest runs the same code without either, in
// microseconds. A consumer is tested by [CheckSegments].
package pupwasmtest

import (
	"context"
	"log/slog"
	"testing"

	"github.com/pupwasm/pupwasm"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
)

// segmentNumbers are the divisions that CheckSegments tries.
var segmentNumbers = []int{1, 2, 4, 8}

// Database is an empty database with the tables of pupwasm and of the application.
type Database struct {
	Store pupwasm.Database
	// Rows returns what the consumer has written, in an order that does not depend on when it was written.
	Rows func(t testing.TB) string
}

// CheckSegments applies the events in 1, 2, 4 and 8 segments and in batches of different sizes, each time in a
// new database, and fails the test when the rows differ: then they do not belong to one partition key each, or
// depend on where a batch ends. Give it events of many keys that meet in what the consumer writes.
func CheckSegments(
	t testing.TB, consumer pupwasm.Consumer, events []store.StreamAppend, open func(t testing.TB) Database,
) {
	t.Helper()
	if consumer.Partition == nil {
		t.Fatalf("consumer %s has no Partition: it has one segment always", consumer.Name)
	}
	want := ""
	for n, number := range segmentNumbers {
		batch := 1 << n
		got := rowsIn(t, consumer, events, open(t), segments.ProjectionOptions{Segments: number, BatchEvents: batch})
		if n == 0 {
			want = got
			continue
		}
		if got != want {
			t.Errorf("consumer %s in %d segments, batches of %d, gives\n%s\nand in 1 segment, batches of 1,\n%s",
				consumer.Name, number, batch, got, want)
		}
	}
}

// rowsIn applies events with settings, and returns the rows.
func rowsIn(
	t testing.TB, consumer pupwasm.Consumer, events []store.StreamAppend, db Database, options segments.ProjectionOptions,
) string {
	t.Helper()
	ctx := context.Background()
	if _, err := db.Store.Backend().Append(ctx, store.AppendOptions{}, events...); err != nil {
		t.Fatal(err)
	}
	host, err := pupwasm.NewHost(db.Store, pupwasm.Options{
		Consumers: []pupwasm.Consumer{consumer},
		Worker:    segments.Options{Projections: map[string]segments.ProjectionOptions{consumer.Name: options}},
		Logger:    slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := host.RunOnce(ctx); err != nil {
		t.Fatal(err)
	}
	return db.Rows(t)
}
