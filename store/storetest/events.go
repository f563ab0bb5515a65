package storetest

import (
	"fmt"
	"strings"

	"github.com/pupwasm/pupwasm/store"
)

// stream is a stream of the suite's usual context and type.
func stream(id string) store.Stream {
	return store.Stream{BoundedContext: "shop", AggregateType: "order", AggregateID: id}
}

// events makes n events whose payloads tell them apart.
func events(n int) []store.Event {
	all := make([]store.Event, n)
	for i := range all {
		all[i] = store.Event{Type: "placed", Payload: fmt.Appendf(nil, `{"n":%d}`, i+1)}
	}
	return all
}

// appendTo appends n events to a stream, whatever its version, and returns what became of them.
func (f *fixture) appendTo(to store.Stream, n int) []store.Appended {
	f.Helper()
	appended, err := f.store.Append(f.ctx, store.AppendOptions{}, store.StreamAppend{Stream: to, Events: events(n)})
	f.must(err)
	return appended
}

// read returns the whole log.
func (f *fixture) read() []store.RecordedEvent {
	f.Helper()
	horizon, err := f.store.Horizon(f.ctx)
	f.must(err)
	var page store.Page
	f.must(f.store.Read(f.ctx, store.ReadRequest{
		Through: horizon.Position, Limit: 1 << 20, Range: store.FullRange(), Columns: store.AllColumns,
	}, &page))
	return page.Events
}

// versions returns the versions of a stream in order.
func (f *fixture) versions(of store.Stream) []int64 {
	f.Helper()
	recorded, err := f.store.ReadStream(f.ctx, of, 1, 0)
	f.must(err)
	versions := make([]int64, len(recorded))
	for i := range recorded {
		versions[i] = recorded[i].AggregateVersion
	}
	return versions
}

// summary is "position:stream@version" for each event, with positions left out where a test cannot know them.
func summary(recorded []store.RecordedEvent) string {
	parts := make([]string, len(recorded))
	for i := range recorded {
		parts[i] = fmt.Sprintf("%s@%d", recorded[i].AggregateID, recorded[i].AggregateVersion)
	}
	return strings.Join(parts, " ")
}
