package readcache

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/pupwasm/pupwasm/segments/internal/logtest"
	"github.com/pupwasm/pupwasm/store"
)

func drawRequest(t *rapid.T, after, head int64) store.ReadRequest {
	names := func(label string, of ...string) []string {
		return rapid.SliceOfNDistinct(rapid.SampledFrom(of), 0, 2, rapid.ID[string]).Draw(t, label)
	}
	ranges := append(store.SplitRange(rapid.IntRange(2, 4).Draw(t, "ranges")), store.FullRange())
	return store.ReadRequest{
		After: rapid.Int64Range(after, head).Draw(t, "after"),
		Limit: rapid.IntRange(1, 20).Draw(t, "limit"), Bytes: rapid.SampledFrom([]int{0, 1, 40, 200}).Draw(t, "bytes"),
		Subscription: store.Subscription{
			BoundedContexts: names("contexts", "Alpha", "alpha", "Beta"), AggregateTypes: names("aggregates", "One", "Two"),
			EventTypes: names("types", "Made", "made", "Sent", "Gone", "Never"),
		},
		Range: rapid.SampledFrom(ranges).Draw(t, "range"),
		Columns: rapid.SampledFrom([]store.Columns{
			0, store.ColumnPayload, store.ColumnAggregateID | store.ColumnMetadata,
			store.AllColumns,
		}).Draw(t, "columns"),
	}
}

// drawDivider divides by stream, or by a key that some events have, some do not have, and some have wrongly.
func drawDivider(t *rapid.T, subscription store.Subscription) *Divider {
	partitions := []*store.Partition{
		nil,
		{By: store.PartitionStream},
		{By: store.PartitionJSON, Path: []string{"a"}},
		{By: store.PartitionMetadata, Path: []string{"m"}},
		{By: store.PartitionCorrelation},
	}
	return NewDivider(&store.Projection{
		Subscription: subscription,
		Partition:    rapid.SampledFrom(partitions).Draw(t, "partition"),
	})
}

// keyOf is the key that an event is divided by.
func keyOf(d *Divider, e *store.RecordedEvent) []byte {
	event := *e
	if key, err := d.partition.Key(e); err == nil {
		event.Key = key
	} else {
		event.Key = nil
	}
	return event.KeyBytes()
}

func drawAppend(t *rapid.T) store.StreamAppend {
	payload := rapid.SampledFrom([]string{
		"", "{}", `{"a":"some bytes more than others"}`, `{"b":1,"a":"\u0078"}`, `{"a":1.5}`, `{"a":`, `{"a":7}`, string(make([]byte, 300)),
	})
	event := rapid.Custom(func(t *rapid.T) store.Event {
		return store.Event{
			Type:    rapid.SampledFrom([]string{"Made", "made", "Sent", "Gone"}).Draw(t, "type"),
			Payload: []byte(payload.Draw(t, "payload")), Metadata: []byte(`{"m":1}`),
			CorrelationID: rapid.SampledFrom([]string{"", "one", "two", "three"}).Draw(t, "correlation"),
		}
	})
	return store.StreamAppend{
		Stream: store.Stream{
			BoundedContext: rapid.SampledFrom([]string{"Alpha", "alpha", "Beta", "Gamma"}).Draw(t, "context"),
			AggregateType:  rapid.SampledFrom([]string{"One", "Two", "Three"}).Draw(t, "aggregate"),
			AggregateID:    fmt.Sprintf("%d-id", rapid.IntRange(0, 200).Draw(t, "id")),
		},
		Events: rapid.SliceOfN(event, 1, 6).Draw(t, "events"),
	}
}

// drawReading has a segment join that reads what is between two positions.
func drawReading(t *rapid.T, s store.Reader, f *Cache, start, head int64) *reading {
	request := drawRequest(t, start, head)
	all := request
	all.Through = head
	divided := drawDivider(t, request.Subscription)
	if !divided.byKey(request.Range) {
		return &reading{reader: join(t, f, request, divided), request: request, all: sees(t, s, all)}
	}
	all.Range, all.Columns = store.FullRange(), store.AllColumns
	own := slices.DeleteFunc(sees(t, s, all), func(e store.RecordedEvent) bool {
		return !request.Range.Contains(store.PartitionHashOf(keyOf(divided, &e)))
	})
	return &reading{reader: join(t, f, request, divided), request: request, all: own, divided: divided}
}

// TestReadCache_everyoneSeesWhatIsTheirs compares every batch with a read of the store's own: for random logs,
// subscriptions, ranges, limits, horizons, pages and bounds, while readers come and go and the log changes.
func TestReadCache_everyoneSeesWhatIsTheirs(t *testing.T) {
	t.Parallel()
	s := logtest.New(t)
	var shared atomic.Int64
	rapid.Check(t, func(t *rapid.T) {
		start := headOf(t, s)
		for range 2 {
			appends := rapid.SliceOfN(rapid.Custom(drawAppend), 1, 30).Draw(t, "log")
			if _, err := s.Append(t.Context(), store.AppendOptions{}, appends...); err != nil {
				t.Fatal(err)
			}
		}
		head := headOf(t, s)
		watched := &watchedReader{Reader: s}
		f := newCache(watched)
		f.limit = newFetchLimit(rapid.IntRange(1, 60).Draw(t, "page events"))
		f.pageBytes = rapid.SampledFrom([]int{1, 100, 1 << 20}).Draw(t, "page bytes")
		f.pagesMax = rapid.IntRange(0, 5).Draw(t, "pages")
		f.sizeMax = rapid.SampledFrom([]int{1, 10_000, 1 << 20}).Draw(t, "size")
		var readings []*reading
		joins := func(t *rapid.T) { readings = append(readings, drawReading(t, s, f, start, head)) }
		joins(t)
		step := func(t *rapid.T) {
			r := rapid.SampledFrom(readings).Draw(t, "who")
			through := rapid.Int64Range(start, head).Draw(t, "through")
			if rapid.Bool().Draw(t, "at the head") {
				through = head
			}
			if err := r.step(t.Context(), through); err != nil {
				t.Fatal(err)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"join": joins, "read": step, "read on": step, "read more": step, "read again": step,
			"clear": func(*rapid.T) { f.state.Invalidate() },
			"leave": func(t *rapid.T) {
				if len(readings) == 1 {
					t.Skip()
				}
				i := rapid.IntRange(0, len(readings)-1).Draw(t, "who")
				f.leave(readings[i].reader)
				readings = slices.Delete(readings, i, i+1)
			},
			"": func(t *rapid.T) {
				if f.size > f.sizeMax || len(f.pages) > f.pagesMax || f.size < 0 || len(f.pages) == 0 && f.size != 0 {
					t.Fatalf("%d pages of %d bytes are kept", len(f.pages), f.size)
				}
			},
		})
		for _, r := range readings {
			for r.request.After < head {
				if err := r.step(t.Context(), head); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, request := range watched.all() {
			if request.Range == store.FullRange() {
				shared.Add(1)
			}
		}
	})
	if shared.Load() == 0 {
		t.Error("no page was shared")
	}
}
