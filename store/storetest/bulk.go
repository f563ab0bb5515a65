package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

var bulkCases = []testCase{
	{"a_load_is_stored_as_an_append_is", bulkSameAsAppend},
	{"expected_versions_of_a_load", bulkExpected},
	{"a_load_leaves_duplicates_out", bulkSkipDuplicates},
	{"a_load_with_a_stored_id_stores_nothing", bulkDuplicate},
}

func bulkAppender(f *fixture) appendFunc { return f.store.AppendBulk }

// bulkAppends makes appends to a few streams, which are named many times, with every field set in some of the events.
func bulkAppends(seed uint64, count int) []store.StreamAppend {
	random := rand.New(rand.NewPCG(seed, 0))
	appends := make([]store.StreamAppend, count)
	for i := range appends {
		event := store.Event{
			ID: store.UUID{byte(seed), 1, byte(i >> 8), byte(i)}, Type: fmt.Sprint("type",
				i%3), Payload: fmt.Appendf(nil, `{"n":%d}`, i),
			CreatedAt: time.UnixMicro(1e15 + int64(i)).UTC(),
		}
		if i%2 == 0 {
			event.Version, event.Metadata, event.TraceID = int32(i+1), fmt.Appendf(nil, `{"i": %d}`, i), "ünal"
		}
		if i%5 == 0 {
			event.Payload, event.CorrelationID, event.CausationID = []byte{0, 255, '\t', '\n', '\\'}, "a\\tb", `\N`
		}
		appends[i] = store.StreamAppend{Stream: stream(fmt.Sprint("s", random.IntN(20))), Events: []store.Event{event}}
	}
	return appends
}

// bulkCount is enough for a store to take its way for loads.
const bulkCount = 1000

func bulkSameAsAppend(f *fixture) {
	appends := bulkAppends(1, bulkCount)
	loaded, err := f.store.AppendBulk(f.ctx, store.AppendOptions{}, appends...)
	f.must(err)
	other := newFixture(f.T, f.driver, f.origin)
	appended, err := other.store.Append(f.ctx, store.AppendOptions{}, appends...)
	f.must(err)
	if !reflect.DeepEqual(loaded, appended) {
		f.Error("the results differ from those of an append")
	}
	got, want := f.read(), other.read()
	if !reflect.DeepEqual(got, want) {
		f.Errorf("stored %d events, which differ from the %d of an append", len(got), len(want))
	}
	for i, a := range loaded {
		if got[i].Position != a.Position || got[i].ID != a.ID || got[i].AggregateVersion != a.AggregateVersion {
			f.Fatalf("event %d is said to be %+v and is %+v", i, a, got[i])
		}
	}
}

func bulkExpected(f *fixture) {
	f.appendTo(stream("s1"), 3)
	appends := bulkAppends(1, bulkCount)
	first := slices.IndexFunc(appends, func(a store.StreamAppend) bool { return a.Stream == stream("s1") })
	for _, c := range []struct {
		expected store.Expected
		conflict bool
	}{{store.NoStream(), true}, {store.Exact(2), true}, {store.Exact(3), false}} {
		appends[first].Expected = c.expected
		_, err := f.store.AppendBulk(f.ctx, store.AppendOptions{}, appends...)
		var conflict *store.VersionConflictError
		switch {
		case !c.conflict && err != nil:
			f.Errorf("%s: %v", c.expected, err)
		case c.conflict && (!errors.As(err, &conflict) || *conflict != store.VersionConflictError{
			Stream:   stream("s1"),
			Expected: c.expected, Actual: 3,
		}):
			f.Errorf("%s: %v", c.expected, err)
		}
	}
	if got := len(f.read()); got != 3+bulkCount {
		f.Errorf("the log has %d events", got)
	}
}

func bulkSkipDuplicates(f *fixture) {
	appends := bulkAppends(1, bulkCount)
	skip := store.AppendOptions{SkipDuplicates: true}
	_, err := f.store.Append(f.ctx, skip, appends[bulkCount/2:]...)
	f.must(err)
	for round, want := range []int{bulkCount / 2, 0} {
		// The whole load comes twice in one call.
		appended, err := f.store.AppendBulk(f.ctx, skip, slices.Concat(appends, appends)...)
		f.must(err)
		added := 0
		for i, a := range appended {
			if a.ID != appends[i%bulkCount].Events[0].ID {
				f.Fatalf("event %d has another id", i)
			}
			if !a.Skipped() {
				added++
			}
		}
		if added != want || len(f.read()) != bulkCount {
			f.Errorf("round %d: %d events were added and the log has %d", round, added, len(f.read()))
		}
	}
	for i := range 20 {
		for j, version := range f.versions(stream(fmt.Sprint("s", i))) {
			if version != int64(j+1) {
				f.Fatalf("stream %d has a gap at version %d", i, j+1)
			}
		}
	}
}

func bulkDuplicate(f *fixture) {
	appends := bulkAppends(1, bulkCount)
	_, err := f.store.Append(f.ctx, store.AppendOptions{}, appends[700])
	f.must(err)
	_, err = f.store.AppendBulk(f.ctx, store.AppendOptions{}, appends...)
	var duplicate *store.DuplicateEventError
	if !errors.As(err, &duplicate) || duplicate.ID != appends[700].Events[0].ID {
		f.Errorf("got %v", err)
	}
	if got := len(f.read()); got != 1 {
		f.Errorf("the log has %d events", got)
	}
	f.appendTo(stream("a"), 1) // the store goes on
}
