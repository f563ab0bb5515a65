package storetest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

var appendCases = []testCase{
	{"versions_count_from_one_in_each_stream", appendVersions},
	{"every_field_is_stored_as_given", appendFields},
	{"zero_values_get_defaults", appendDefaults},
	{"text_is_stored_exactly", appendText},
	{"the_longest_fields_fit", appendLongFields},
	{"large_payload", appendLargePayload},
	{"the_largest_metadata_fits", appendLargeMetadata},
	{"one_call_may_name_a_stream_twice", appendStreamTwice},
	{"no_events_is_no_work", appendNothing},
	{"without_events_an_expected_version_is_a_condition", appendConditions},
	{"a_thousand_streams_in_one_call", appendManyStreams},
	{"a_wrong_field_is_an_input_error", appendInputErrors},
	{"expected_versions", appendExpected},
	{"a_conflict_on_one_stream_appends_nothing", appendConflictIsAtomic},
	{"all_conflicts_are_told_at_once", appendConflicts},
	{"a_stored_id_is_a_duplicate", appendDuplicate},
	{"skip_duplicates", appendSkipDuplicates},
	{"a_cancelled_append_leaves_nothing", appendCancelled},
}

func appendVersions(f *fixture) {
	first, err := f.append(f.ctx, store.AppendOptions{},
		store.StreamAppend{Stream: stream("a"), Events: events(2)},
		store.StreamAppend{Stream: stream("b"), Events: events(1)})
	f.must(err)
	second := f.appendTo(stream("a"), 2)

	var versions []int64
	ids := map[store.UUID]bool{}
	for i, a := range slices.Concat(first, second) {
		versions = append(versions, a.AggregateVersion)
		ids[a.ID] = true
		if a.Position < 1 || a.Skipped() {
			f.Errorf("event %d has position %d", i, a.Position)
		}
	}
	if want := []int64{1, 2, 1, 3, 4}; !slices.Equal(versions, want) {
		f.Errorf("versions are %v, want %v", versions, want)
	}
	if len(ids) != 5 {
		f.Errorf("5 events have %d ids", len(ids))
	}
	if first[0].Position >= first[1].Position || first[1].Position >= second[0].Position ||
		second[0].Position >= second[1].Position {
		f.Errorf("positions of a stream do not grow: %v %v", first, second)
	}
}

func appendFields(f *fixture) {
	id := store.UUID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	given := store.Event{
		ID: id, Type: "renamed", Version: 7, Payload: []byte{0, 255, '\'', '"', '\\', 0},
		Metadata: json.RawMessage(`{"user": "ünal", "nested": {"list": [1, 2.5, null, "\\u0000"]}}`),
		TraceID:  "trace", CorrelationID: "correlation", CausationID: "causation",
		CreatedAt: time.Date(2021, 3, 4, 5, 6, 7, 891234567, time.FixedZone("east", 3600)),
	}
	appended, err := f.append(f.ctx, store.AppendOptions{}, store.StreamAppend{
		Stream: stream("a"),
		Events: []store.Event{given},
	})
	f.must(err)
	if appended[0].ID != id {
		f.Errorf("the id came back as %s", appended[0].ID)
	}
	got := f.read()[0]
	want := store.RecordedEvent{
		Event: given, Stream: stream("a"), Position: appended[0].Position, AggregateVersion: 1,
		PartitionHash: store.PartitionHash("a"),
	}
	want.CreatedAt = given.CreatedAt.Truncate(time.Microsecond).UTC()
	if !sameJSON(got.Metadata, want.Metadata) {
		f.Errorf("metadata is %s", got.Metadata)
	}
	want.Metadata = got.Metadata
	if !reflect.DeepEqual(got, want) {
		f.Errorf("stored\n%+v, want\n%+v", got, want)
	}
}

func appendDefaults(f *fixture) {
	start := time.Now()
	_, err := f.append(f.ctx, store.AppendOptions{}, store.StreamAppend{
		Stream: stream("a"),
		Events: []store.Event{{Type: "placed"}},
	})
	f.must(err)
	got := f.read()[0]
	if got.ID == (store.UUID{}) || got.ID[6]>>4 != 7 {
		f.Errorf("id is %s, want a UUIDv7", got.ID)
	}
	if got.Version != 1 || len(got.Payload) != 0 || !sameJSON(got.Metadata, []byte("{}")) {
		f.Errorf("version %d, payload %q, metadata %s", got.Version, got.Payload, got.Metadata)
	}
	if got.TraceID != "" || got.CorrelationID != "" || got.CausationID != "" {
		f.Errorf("ids of tracing came from nowhere: %+v", got)
	}
	if got.CreatedAt.Sub(start).Abs() > time.Minute {
		f.Errorf("created at %s, appended at %s", got.CreatedAt, start)
	}
}

func appendText(f *fixture) {
	for _, text := range []string{
		" ", "a'b", `"`, `\`, `a\\b`, "{x,NULL}", "NULL", "null", "ü", "日本語", "🦀",
		"a\tb\nc\r", "%_$1", "\u00e9", "e\u0301",
	} {
		to := store.Stream{BoundedContext: text, AggregateType: text, AggregateID: text}
		event := store.Event{Type: text, TraceID: text, CorrelationID: text, CausationID: text}
		_, err := f.append(f.ctx, store.AppendOptions{}, store.StreamAppend{
			Stream: to, Expected: store.NoStream(),
			Events: []store.Event{event},
		})
		f.must(err)
		recorded, err := f.store.ReadStream(f.ctx, to, 1, 0)
		f.must(err)
		got := recorded[0]
		if got.Stream != to || got.Type != text || got.TraceID != text || got.CorrelationID != text ||
			got.CausationID != text {
			f.Errorf("%q came back as %+v", text, got)
		}
		if got.PartitionHash != store.PartitionHash(text) {
			f.Errorf("%q has hash %d, want %d", text, got.PartitionHash, store.PartitionHash(text))
		}
	}
}

func appendLongFields(f *fixture) {
	// Without repetition, so that no compression makes room in an index.
	long := func(salt int) string {
		var b strings.Builder
		for i := 0; b.Len() < store.TextBytesMax; i++ {
			fmt.Fprintf(&b, "%08x", store.PartitionHash(fmt.Sprint(salt, i)))
		}
		return b.String()[:store.TextBytesMax]
	}
	to := store.Stream{BoundedContext: long(1), AggregateType: long(2), AggregateID: long(3)}
	event := store.Event{Type: long(4), TraceID: long(5), CorrelationID: long(6), CausationID: long(7)}
	_, err := f.append(f.ctx, store.AppendOptions{}, store.StreamAppend{Stream: to, Events: []store.Event{event}})
	f.must(err)
	if got := f.versions(to); len(got) != 1 {
		f.Errorf("the stream has versions %v", got)
	}
}

func appendLargePayload(f *fixture) {
	payload := bytes.Repeat([]byte("0123456789abcdef"), 4<<20/16)
	_, err := f.append(f.ctx, store.AppendOptions{}, store.StreamAppend{
		Stream: stream("a"),
		Events: []store.Event{{Type: "x", Payload: payload}},
	})
	f.must(err)
	if got := f.read()[0].Payload; !bytes.Equal(got, payload) {
		f.Errorf("a payload of %d bytes came back with %d", len(payload), len(got))
	}
}

func appendLargeMetadata(f *fixture) {
	// Of each kind as much as the limit allows: in one text, in elements that PostgreSQL prints with a space, in
	// digits.
	for i, metadata := range []string{
		`{"a": "` + strings.Repeat("x", store.MetadataBytesMax-len(`{"a": ""}`)) + `"}`,
		`{"a": [1` + strings.Repeat(",1", (store.MetadataBytesMax-len(`{"a": [1]}`))/3) + `]}`,
		`{"q": 1e309, "a": [` + strings.Repeat("-1E131071,1e-16383,", 6) + `1]}`,
	} {
		_, err := f.append(f.ctx, store.AppendOptions{}, store.StreamAppend{
			Stream: stream(fmt.Sprint(i)), Events: []store.Event{{Type: "x", Metadata: json.RawMessage(metadata)}},
		})
		f.must(err)
	}
	for i, event := range f.read() {
		if err := event.Event.Validate(store.PayloadBytesMax); err != nil {
			f.Errorf("the metadata of event %d do not go in again as they come out: %v", i+1, err)
		}
	}
}

func appendStreamTwice(f *fixture) {
	appended, err := f.append(f.ctx, store.AppendOptions{},
		store.StreamAppend{Stream: stream("a"), Expected: store.NoStream(), Events: events(2)},
		store.StreamAppend{Stream: stream("b"), Events: events(1)},
		store.StreamAppend{Stream: stream("a"), Expected: store.Exact(2), Events: events(1)})
	f.must(err)
	if appended[3].AggregateVersion != 3 || appended[3].Position <= appended[1].Position {
		f.Errorf("the third event of the stream became %+v, the second %+v", appended[3], appended[1])
	}
}

func appendNothing(f *fixture) {
	appended, err := f.append(f.ctx, store.AppendOptions{})
	f.must(err)
	if len(appended) != 0 {
		f.Errorf("appended %v", appended)
	}
	appended, err = f.append(f.ctx, store.AppendOptions{}, store.StreamAppend{Stream: stream("a")})
	f.must(err)
	if len(appended) != 0 {
		f.Errorf("appended %v", appended)
	}
	if _, err := f.store.ReadStream(f.ctx, stream("a"), 1, 0); !errors.Is(err, store.ErrStreamNotFound) {
		f.Errorf("an append without events made a stream: %v", err)
	}
}

func appendConditions(f *fixture) {
	f.appendTo(stream("a"), 2)
	on := func(id string, expected store.Expected) store.StreamAppend {
		return store.StreamAppend{Stream: stream(id), Expected: expected}
	}
	two := store.StreamAppend{Stream: stream("b"), Expected: store.NoStream(), Events: events(2)}
	stale := &store.VersionConflictError{Stream: stream("a"), Expected: store.Exact(1), Actual: 2}
	cases := []struct {
		name    string
		appends []store.StreamAppend
		want    *store.VersionConflictError
	}{
		{"a stale version", []store.StreamAppend{on("a", store.Exact(1))}, stale},
		{
			"no stream where there is one",
			[]store.StreamAppend{on("a", store.NoStream())},
			&store.VersionConflictError{Stream: stream("a"), Expected: store.NoStream(), Actual: 2},
		},
		{
			"a version of no stream",
			[]store.StreamAppend{on("new", store.Exact(1))},
			&store.VersionConflictError{Stream: stream("new"), Expected: store.Exact(1), Actual: 0},
		},
		{"before events", []store.StreamAppend{on("a", store.Exact(1)), two}, stale},
		{"behind events", []store.StreamAppend{two, on("a", store.Exact(1))}, stale},
		{
			"before events of its own",
			[]store.StreamAppend{on("b", store.Exact(2)), two},
			&store.VersionConflictError{Stream: stream("b"), Expected: store.Exact(2), Actual: 0},
		},
		{
			"behind events of its own",
			[]store.StreamAppend{two, on("b", store.NoStream())},
			&store.VersionConflictError{Stream: stream("b"), Expected: store.NoStream(), Actual: 2},
		},
		{"the version", []store.StreamAppend{on("a", store.Exact(2)), on("new", store.NoStream())}, nil},
		{
			"beside one event",
			[]store.StreamAppend{on("a", store.Exact(2)), {Stream: stream("c"), Events: events(1)}},
			nil,
		},
		{"all fulfilled", []store.StreamAppend{
			on("a", store.Exact(2)), on("b", store.NoStream()), two,
			on("b", store.Exact(2)),
		}, nil},
	}
	for i, c := range cases {
		appended, err := f.append(f.ctx, store.AppendOptions{SkipDuplicates: i%2 == 0}, c.appends...)
		var conflict *store.VersionConflictError
		switch {
		case c.want == nil && err != nil:
			f.Errorf("%s: %v", c.name, err)
		case c.want != nil && (!errors.As(err, &conflict) || *conflict != *c.want):
			f.Errorf("%s: %v, want %v", c.name, err, c.want)
		case c.want == nil && len(appended) > 0 && (appended[0].Skipped() || appended[0].AggregateVersion != 1):
			f.Errorf("%s: became %+v", c.name, appended)
		}
	}
	if got := summary(f.read()); got != "a@1 a@2 c@1 b@1 b@2" {
		f.Errorf("the log is %s", got)
	}
}

func appendManyStreams(f *fixture) {
	const streams = 1000
	var appends []store.StreamAppend
	for i := range streams {
		appends = append(appends, store.StreamAppend{
			Stream: stream(fmt.Sprint("s", i)), Expected: store.NoStream(),
			Events: events(2),
		})
	}
	appended, err := f.append(f.ctx, store.AppendOptions{}, appends...)
	f.must(err)
	for i, a := range appended {
		if a.AggregateVersion != int64(i%2+1) {
			f.Fatalf("event %d has version %d", i, a.AggregateVersion)
		}
	}
	if got := len(f.read()); got != 2*streams {
		f.Errorf("the log has %d events, want %d", got, 2*streams)
	}
}

func appendInputErrors(f *fixture) {
	cases := []struct {
		field  string
		stream store.Stream
		event  store.Event
	}{
		{"bounded_context", store.Stream{AggregateType: "t", AggregateID: "i"}, store.Event{Type: "x"}},
		{
			"aggregate_id",
			store.Stream{BoundedContext: "c", AggregateType: "t", AggregateID: "a\x00b"},
			store.Event{Type: "x"},
		},
		{
			"aggregate_type",
			store.Stream{BoundedContext: "c", AggregateType: "\xff", AggregateID: "i"},
			store.Event{Type: "x"},
		},
		{"event_type", stream("a"), store.Event{}},
		{"metadata", stream("a"), store.Event{Type: "x", Metadata: json.RawMessage(`[1]`)}},
		{"metadata", stream("a"), store.Event{Type: "x", Metadata: json.RawMessage(`{"a":"\u0000"}`)}},
		{"metadata", stream("a"), store.Event{Type: "x", Metadata: json.RawMessage(`{"a":"\ud800"}`)}},
		{"metadata", stream("a"), store.Event{Type: "x", Metadata: json.RawMessage(`{"a":"` +
			strings.Repeat("x", store.MetadataBytesMax) + `"}`)}},
		{"created_at", stream("a"), store.Event{Type: "x", CreatedAt: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}},
		{"payload", stream("a"), store.Event{Type: "x", Payload: make([]byte, store.PayloadBytesMax+1)}},
	}
	for _, c := range cases {
		_, err := f.append(f.ctx, store.AppendOptions{},
			store.StreamAppend{Stream: stream("good"), Events: events(1)},
			store.StreamAppend{Stream: c.stream, Events: []store.Event{c.event}})
		var input *store.InputError
		if !errors.As(err, &input) || input.Field != c.field {
			f.Errorf("%s: %v", c.field, err)
		}
	}
	if got := f.read(); len(got) != 0 {
		f.Errorf("something was appended: %s", summary(got))
	}
}

// sameJSON compares JSON texts by meaning.
func sameJSON(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}
