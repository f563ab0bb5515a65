package storetest

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

var readCases = []testCase{
	{"follows_the_log_in_pages", readPages},
	{"through_passes_over_what_is_out_of_scope", readThrough},
	{"scope_and_range_filter", readScope},
	{"ranges_divide_the_log", readRanges},
	{"only_the_columns_asked_for", readColumns},
	{"a_page_is_used_again", readPageAgain},
	{"an_empty_interval_reads_nothing", readEmpty},
	{"a_limit_is_needed", readWithoutLimit},
	{"bytes_limit_a_page", readBytes},
	{"next_event_time", readNextEventTime},
	{"chosen_positions", readPositions},
}

// mixed appends events in two contexts, types and event types, each in a stream of its own kind.
func (f *fixture) mixed() {
	f.Helper()
	for i := range 40 {
		to := store.Stream{
			BoundedContext: []string{"shop", "stock"}[i%2], AggregateType: []string{
				"order", "item",
				"bin",
			}[i%3], AggregateID: fmt.Sprint("id", i%5),
		}
		event := store.Event{Type: []string{"made", "moved", "gone", "lost"}[i%4], Payload: []byte{byte(i)}}
		_, err := f.store.Append(f.ctx, store.AppendOptions{},
			store.StreamAppend{Stream: to, Events: []store.Event{event}})
		f.must(err)
	}
}

// follow reads in pages of limit events, as a projection does, and returns everything and the number of reads.
func (f *fixture) follow(request store.ReadRequest) (all []store.RecordedEvent, reads int) {
	f.Helper()
	var page store.Page
	for {
		f.must(f.store.Read(f.ctx, request, &page))
		reads++
		all = append(all, page.Events...)
		if page.Through <= request.After {
			f.Fatalf("the read after %d goes through %d", request.After, page.Through)
		}
		if request.After = page.Through; request.After >= request.Through {
			return all, reads
		}
	}
}

// readBytes shows that a page ends before the limit of bytes, that an event larger than the limit comes alone, and that
// nothing is lost in between.
func readBytes(f *fixture) {
	sizes := []int{10, 10, 100, 5, 5, 5, 40, 1}
	to := store.Stream{BoundedContext: "shop", AggregateType: "order", AggregateID: "large"}
	for _, size := range sizes {
		event := store.Event{Type: "made", Payload: make([]byte, size)}
		_, err := f.store.Append(f.ctx, store.AppendOptions{},
			store.StreamAppend{Stream: to, Events: []store.Event{event}})
		f.must(err)
	}
	all, reads := f.follow(store.ReadRequest{
		Through: f.head(), Limit: 100, Bytes: 20, Range: store.FullRange(), Columns: store.ColumnPayload,
	})
	got := []int{}
	for i := range all {
		got = append(got, len(all[i].Payload))
	}
	// 10+10 | 100 | 5+5+5 | 40 | 1
	if !slices.Equal(got, sizes) || reads != 5 {
		f.Errorf("read payloads of %v bytes in %d pages, want %v in 5", got, reads, sizes)
	}
}

func (f *fixture) head() int64 {
	f.Helper()
	horizon, err := f.store.Horizon(f.ctx)
	f.must(err)
	return horizon.Position
}

func readPages(f *fixture) {
	f.mixed()
	whole := f.read()
	if len(whole) != 40 {
		f.Fatalf("the log has %d events", len(whole))
	}
	for i := 1; i < len(whole); i++ {
		if whole[i].Position <= whole[i-1].Position {
			f.Fatalf("position %d follows %d", whole[i].Position, whole[i-1].Position)
		}
	}
	for _, limit := range []int{1, 7, 39, 40, 41} {
		got, _ := f.follow(store.ReadRequest{
			Through: f.head(), Limit: limit, Range: store.FullRange(),
			Columns: store.AllColumns,
		})
		if summary(got) != summary(whole) {
			f.Errorf("pages of %d give %s", limit, summary(got))
		}
	}
	middle := whole[20].Position
	var page store.Page
	f.must(f.store.Read(f.ctx, store.ReadRequest{
		After: middle, Through: whole[30].Position, Limit: 100,
		Range: store.FullRange(),
	}, &page))
	if len(page.Events) != 10 || page.Events[0].Position != whole[21].Position ||
		page.Events[9].Position != whole[30].Position {
		f.Errorf("After is left out and Through included: %d events", len(page.Events))
	}
}

func readThrough(f *fixture) {
	f.mixed()
	request := store.ReadRequest{Through: f.head(), Limit: 3, Range: store.FullRange(), Columns: store.ColumnEventType}
	request.Subscription.EventTypes = []string{"gone"}
	got, reads := f.follow(request)
	if len(got) != 10 || reads != 4 {
		f.Errorf("%d events in %d reads, want 10 in 4", len(got), reads)
	}
	request.Subscription.EventTypes = []string{"unheard of"}
	var page store.Page
	f.must(f.store.Read(f.ctx, request, &page))
	if len(page.Events) != 0 || page.Through != request.Through {
		f.Errorf("with nothing of the subscription: %d events through %d, want none through %d", len(page.Events),
			page.Through, request.Through)
	}
	request.Subscription.EventTypes, request.Limit = nil, 2
	f.must(f.store.Read(f.ctx, request, &page))
	if page.Through != page.Events[1].Position {
		f.Errorf("a full page goes through %d, its last event is at %d", page.Through, page.Events[1].Position)
	}
}

func readScope(f *fixture) {
	f.mixed()
	whole := f.read()
	subscriptions := []store.Subscription{
		{},
		{BoundedContexts: []string{"stock"}},
		{BoundedContexts: []string{"stock", "shop"}},
		{AggregateTypes: []string{"item"}},
		{AggregateTypes: []string{"item", "bin", "none"}},
		{EventTypes: []string{"lost", "made"}},
		{BoundedContexts: []string{"shop"}, AggregateTypes: []string{"order", "bin"}, EventTypes: []string{"gone"}},
		{BoundedContexts: []string{"it's", `"quoted"`, "{}"}},
	}
	for _, subscription := range subscriptions {
		for _, share := range []store.HashRange{store.FullRange(), store.SplitRange(3)[1]} {
			var want []store.RecordedEvent
			for _, e := range whole {
				in := func(values []string, value string) bool {
					return len(values) == 0 ||
						slices.Contains(values, value)
				}
				if in(subscription.BoundedContexts, e.BoundedContext) &&
					in(subscription.AggregateTypes, e.AggregateType) &&
					in(subscription.EventTypes, e.Type) && share.Contains(e.PartitionHash) {
					want = append(want, e)
				}
			}
			got, _ := f.follow(store.ReadRequest{
				Through: f.head(), Limit: 4, Subscription: subscription, Range: share,
				Columns: store.AllColumns,
			})
			if summary(got) != summary(want) {
				f.Errorf("subscription %+v range %v: %s, want %s", subscription, share, summary(got), summary(want))
			}
		}
	}
}

func readRanges(f *fixture) {
	for i := range 200 {
		f.appendTo(stream(fmt.Sprint("stream", i)), 1)
	}
	for _, n := range []int{1, 2, 3, 8} {
		seen := map[int64]int{}
		for segment, share := range store.SplitRange(n) {
			got, _ := f.follow(store.ReadRequest{Through: f.head(), Limit: 50, Range: share, Columns: store.AllColumns})
			for i := range got {
				seen[got[i].Position]++
				if !share.Contains(store.PartitionHash(got[i].AggregateID)) {
					f.Errorf("%s is not in segment %d of %d", got[i].AggregateID, segment, n)
				}
			}
		}
		if len(seen) != 200 {
			f.Errorf("%d segments have %d events, want 200", n, len(seen))
		}
	}
}

func readColumns(f *fixture) {
	event := store.Event{
		ID: store.UUID{1}, Type: "placed", Version: 3, Payload: []byte("payload"), Metadata: []byte(`{"a":1}`),
		TraceID: "t", CorrelationID: "c", CausationID: "b", CreatedAt: time.UnixMicro(1234567).UTC(),
	}
	_, err := f.store.Append(f.ctx, store.AppendOptions{}, store.StreamAppend{
		Stream: stream("a"),
		Events: []store.Event{event},
	})
	f.must(err)
	full := f.read()[0]
	fields := []struct {
		column store.Columns
		copy   func(to, from *store.RecordedEvent)
	}{
		{store.ColumnBoundedContext, func(to, from *store.RecordedEvent) { to.BoundedContext = from.BoundedContext }},
		{store.ColumnAggregateType, func(to, from *store.RecordedEvent) { to.AggregateType = from.AggregateType }},
		{store.ColumnAggregateID, func(to, from *store.RecordedEvent) { to.AggregateID = from.AggregateID }},
		{store.ColumnEventID, func(to, from *store.RecordedEvent) { to.ID = from.ID }},
		{store.ColumnEventType, func(to, from *store.RecordedEvent) { to.Type = from.Type }},
		{store.ColumnEventVersion, func(to, from *store.RecordedEvent) { to.Version = from.Version }},
		{store.ColumnPayload, func(to, from *store.RecordedEvent) { to.Payload = from.Payload }},
		{store.ColumnMetadata, func(to, from *store.RecordedEvent) { to.Metadata = from.Metadata }},
		{store.ColumnTraceID, func(to, from *store.RecordedEvent) { to.TraceID = from.TraceID }},
		{store.ColumnCorrelationID, func(to, from *store.RecordedEvent) { to.CorrelationID = from.CorrelationID }},
		{store.ColumnCausationID, func(to, from *store.RecordedEvent) { to.CausationID = from.CausationID }},
		{store.ColumnCreatedAt, func(to, from *store.RecordedEvent) { to.CreatedAt = from.CreatedAt }},
		{store.ColumnPartitionHash, func(to, from *store.RecordedEvent) { to.PartitionHash = from.PartitionHash }},
	}
	sets := []store.Columns{
		0, store.ColumnPayload | store.ColumnEventType, store.AllColumns &^ store.ColumnMetadata,
		store.AllColumns,
	}
	for i := range fields {
		sets = append(sets, fields[i].column)
	}
	for _, columns := range sets {
		var page store.Page
		f.must(f.store.Read(f.ctx, store.ReadRequest{
			Through: f.head(), Limit: 1, Range: store.FullRange(),
			Columns: columns,
		}, &page))
		want := store.RecordedEvent{Position: full.Position, AggregateVersion: 1}
		for i := range fields {
			if columns.Has(fields[i].column) {
				fields[i].copy(&want, &full)
			}
		}
		if !reflect.DeepEqual(page.Events[0], want) {
			f.Errorf("columns %b: %+v, want %+v", columns, page.Events[0], want)
		}
	}
}

func readPageAgain(f *fixture) {
	rich := store.Event{
		Type: "placed", Payload: []byte("long payload"), TraceID: "trace", CorrelationID: "c",
		CausationID: "d", Metadata: []byte(`{"k":"v"}`),
	}
	_, err := f.store.Append(f.ctx, store.AppendOptions{}, store.StreamAppend{
		Stream: stream("a"),
		Events: []store.Event{rich, {Type: "bare"}, rich},
	})
	f.must(err)
	whole := f.read()
	var page store.Page
	for _, i := range []int{0, 1, 2, 1} {
		f.must(f.store.Read(f.ctx, store.ReadRequest{
			After: whole[i].Position - 1, Through: whole[i].Position, Limit: 5, Range: store.FullRange(),
			Columns: store.AllColumns,
		}, &page))
		if len(page.Events) != 1 || page.Events[0].TraceID != whole[i].TraceID ||
			string(page.Events[0].Payload) != string(whole[i].Payload) ||
			page.Events[0].Type != whole[i].Type || !sameJSON(page.Events[0].Metadata, whole[i].Metadata) {
			f.Errorf("event %d in a used page is %+v, want %+v", i, page.Events, whole[i])
		}
	}
}

func readEmpty(f *fixture) {
	page := store.Page{Events: make([]store.RecordedEvent, 3), Through: 99}
	f.must(f.store.Read(f.ctx, store.ReadRequest{
		Through: 100, Limit: 10, Range: store.FullRange(),
		Columns: store.AllColumns,
	}, &page))
	if len(page.Events) != 0 || page.Through != 100 {
		f.Errorf("an empty log has %d events through %d", len(page.Events), page.Through)
	}
	f.appendTo(stream("a"), 3)
	for _, through := range []int64{0, 1, 2} {
		f.must(f.store.Read(f.ctx, store.ReadRequest{After: 2, Through: through, Limit: 10, Range: store.FullRange()},
			&page))
		if len(page.Events) != 0 || page.Through != 2 {
			f.Errorf("after 2 through %d: %d events through %d", through, len(page.Events), page.Through)
		}
	}
}

func readWithoutLimit(f *fixture) {
	var page store.Page
	if err := f.store.Read(f.ctx, store.ReadRequest{Through: 1, Range: store.FullRange()}, &page); err == nil {
		f.Error("a read without a limit is accepted")
	}
}

func readNextEventTime(f *fixture) {
	at := time.Date(2020, 1, 2, 3, 4, 5, 6000, time.UTC)
	_, err := f.store.Append(f.ctx, store.AppendOptions{}, store.StreamAppend{
		Stream: stream("a"),
		Events: []store.Event{
			{Type: "x", CreatedAt: at}, {Type: "x", CreatedAt: at.Add(time.Hour)},
		},
	})
	f.must(err)
	whole := f.read()
	state, err := f.store.Locate(f.ctx, whole[1].Position, 0, whole[0].Position)
	f.must(err)
	for i, want := range []time.Time{{}, at, at.Add(time.Hour)} {
		if !state.Next[i].Equal(want) {
			f.Errorf("the next events are of %v", state.Next)
		}
	}
}

// readPositions reads certain events, as a retry of a parked key does.
func readPositions(f *fixture) {
	f.mixed()
	request := store.ReadRequest{
		After: f.at(1), Through: f.at(39), Limit: 100, Range: store.FullRange(), Columns: store.AllColumns,
		Positions: []int64{f.at(1), f.at(2), f.at(7), f.at(39), f.at(40), f.at(1000)},
	}
	whole := f.read()
	positions := func() (got []int64) {
		var page store.Page
		f.must(f.store.Read(f.ctx, request, &page))
		for i := range page.Events {
			got = append(got, page.Events[i].Position-f.origin)
			if e := whole[got[i]-1]; e.ID != page.Events[i].ID || !bytes.Equal(e.Payload, page.Events[i].Payload) {
				f.Errorf("position %d has another event", got[i])
			}
		}
		return got
	}
	if got := positions(); !slices.Equal(got, []int64{2, 7, 39}) {
		f.Errorf("read %v", got)
	}
	request.Limit = 2
	if got := positions(); !slices.Equal(got, []int64{2, 7}) {
		f.Errorf("with a limit read %v", got)
	}
	request.Limit, request.Positions = 100, []int64{}
	if got := positions(); len(got) > 0 {
		f.Errorf("of no positions read %v", got)
	}
}
