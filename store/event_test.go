package store_test

import (
	"encoding/json"
	"errors"
	"hash/fnv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pupwasm/pupwasm/store"
)

// TestPartitionHash_goldenValues pins the hash: stored events and segments depend on it for ever.
func TestPartitionHash_goldenValues(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]uint32{
		"": 2166136261, "a": 0xe40c292c, "b": 0xe70c2de5, "foobar": 0xbf9cf968, "order-1": 0x2b7fcd6d, "ü": 0x119dd44a,
		"🦀":                                    0x81301e6,
		"00000000-0000-0000-0000-000000000000": 0xbe478ed1,
	} {
		if got := store.PartitionHash(id); got != want {
			t.Errorf("%q has hash %#x, want %#x", id, got, want)
		}
	}
}

func TestPartitionHash_isFNV1a(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.String().Draw(t, "id")
		h := fnv.New32a()
		_, _ = h.Write([]byte(id))
		if got := store.PartitionHash(id); got != h.Sum32() {
			t.Fatalf("%q has hash %d, want %d", id, got, h.Sum32())
		}
	})
}

func TestStream_Validate(t *testing.T) {
	t.Parallel()
	good := store.Stream{
		BoundedContext: "c", AggregateType: "t",
		AggregateID: strings.Repeat("ü", store.TextBytesMax/2),
	}
	must(t, good.Validate())
	if got := (store.Stream{BoundedContext: "c", AggregateType: "t", AggregateID: "i"}).String(); got != "c/t/i" {
		t.Errorf("a stream prints as %s", got)
	}
	cases := []struct {
		stream store.Stream
		want   string
	}{
		{store.Stream{}, "bounded_context is required"},
		{store.Stream{BoundedContext: "c"}, "aggregate_type is required"},
		{store.Stream{BoundedContext: "c", AggregateType: "t"}, "aggregate_id is required"},
		{
			store.Stream{
				BoundedContext: "c", AggregateType: "t",
				AggregateID: strings.Repeat("x", store.TextBytesMax+1),
			},
			"aggregate_id has 801 bytes, the limit is 800",
		},
		{
			store.Stream{BoundedContext: "\xff", AggregateType: "t", AggregateID: "i"},
			"bounded_context is not valid UTF-8",
		},
		{
			store.Stream{BoundedContext: "c", AggregateType: "t\x00", AggregateID: "i"},
			"aggregate_type contains a NUL character",
		},
	}
	for _, c := range cases {
		var input *store.InputError
		if err := c.stream.Validate(); !errors.As(err, &input) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.stream, err, c.want)
		}
	}
}

func TestEvent_Validate(t *testing.T) {
	t.Parallel()
	const limit = 10
	good := []store.Event{
		{Type: "x"},
		{Type: "x", Payload: make([]byte, limit), Version: 1},
		{Type: "x", Metadata: json.RawMessage(" {} ")},
		{Type: "x", Metadata: json.RawMessage(`{"a": "\\u0000", "b": null}`)},
		{Type: "x", Metadata: json.RawMessage{}},
		{Type: "x", Metadata: json.RawMessage(`{"q": 1e309, "q": -1.5E-5, "r": 123456789012345678901234567890}`)},
		{Type: "x", Metadata: json.RawMessage(`{"a": "\ud83d\ude00"}`)},
		{Type: "x", Metadata: nested(10_000)},
		{Type: "x", Metadata: padded(store.MetadataBytesMax)},
		{Type: "x", CreatedAt: time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC)},
		{Type: "x", CreatedAt: time.Time{}.Add(time.Microsecond)},
	}
	for _, e := range good {
		if err := e.Validate(limit); err != nil {
			t.Errorf("an event of type %s with metadata %.60s: %v", e.Type, e.Metadata, err)
		}
	}
	cases := []struct {
		event store.Event
		want  string
	}{
		{store.Event{}, "event_type is required"},
		{store.Event{Type: "x", Version: -1}, "event_version must be 1 or more"},
		{store.Event{Type: "x", Payload: make([]byte, limit+1)}, "payload has 11 bytes, the limit is 10"},
		{store.Event{Type: "x", TraceID: "\x00"}, "trace_id contains a NUL"},
		{store.Event{Type: "x", CorrelationID: "\xc3"}, "correlation_id is not valid UTF-8"},
		{store.Event{Type: "x", CausationID: strings.Repeat("x", 801)}, "causation_id has 801 bytes"},
		{store.Event{Type: "x", Metadata: json.RawMessage(`[]`)}, "metadata is not a JSON object"},
		{store.Event{Type: "x", Metadata: json.RawMessage(`null`)}, "metadata is not a JSON object"},
		{store.Event{Type: "x", Metadata: json.RawMessage(` "{"`)}, "metadata is not a JSON object"},
		{
			store.Event{Type: "x", Metadata: json.RawMessage(`{"a"}`)},
			"metadata is not valid JSON: invalid character '}' after object key",
		},
		{store.Event{Type: "x", Metadata: json.RawMessage(`{} {}`)}, "metadata is not valid JSON"},
		{store.Event{Type: "x", Metadata: nested(10_001)}, "metadata is not valid JSON: invalid character '[' " +
			"exceeded max depth"},
		{store.Event{Type: "x", Metadata: json.RawMessage("{\"a\": \"\xff\"}")}, "metadata is not valid UTF-8"},
		{store.Event{Type: "x", Metadata: json.RawMessage(`{"a": "\ud800"}`)}, "metadata has half of a surrogate pair"},
		{
			store.Event{Type: "x", Metadata: json.RawMessage(`{"a": 1e131072}`)},
			"metadata has a number with more than 131072 digits before the point",
		},
		{
			store.Event{Type: "x", Metadata: json.RawMessage(`{"a": -0.1E-99999999999999999999}`)},
			"metadata has a number with more than",
		},
		{
			store.Event{Type: "x", Metadata: padded(store.MetadataBytesMax + 1)},
			"metadata has 1048577 bytes, the limit is 1048576",
		},
		{
			store.Event{Type: "x", Metadata: json.RawMessage(`{"a":[` + strings.Repeat("1e131071,", 8) + `1]}`)},
			"metadata has 1048602 bytes when it is printed without exponents",
		},
		{
			store.Event{Type: "x", CreatedAt: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)},
			"created_at is in the year 10000 of UTC",
		},
		{
			store.Event{Type: "x", CreatedAt: time.Date(9999, 12, 31, 23, 59, 0, 0, time.FixedZone("west", -60))},
			"created_at is in the year 10000",
		},
		{
			store.Event{Type: "x", CreatedAt: time.Date(0, 12, 31, 23, 59, 59, 0, time.UTC)},
			"created_at is in the year 0 of UTC",
		},
		{
			store.Event{Type: "x", CreatedAt: time.Time{}.Add(time.Nanosecond)},
			"created_at is the beginning of the year 1",
		},
		{store.Event{Type: "x", Metadata: json.RawMessage(`{"a": "\u0000"}`)}, `metadata contains \u0000`},
	}
	for _, c := range cases {
		var input *store.InputError
		if err := c.event.Validate(limit); !errors.As(err, &input) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}

// nested is an object in which arrays are nested; depth counts all of them.
func nested(depth int) json.RawMessage {
	return json.RawMessage(`{"a":` + strings.Repeat("[", depth-1) + strings.Repeat("]", depth-1) + `}`)
}

// padded is an object of so many bytes.
func padded(bytes int) json.RawMessage {
	return json.RawMessage(`{"a": "` + strings.Repeat("x", bytes-len(`{"a": ""}`)) + `"}`)
}

func TestHasLoneSurrogate(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		``: false, `\ud83d\ude00`: false, `\ud83d`: true, `\ude00`: true, `\ud83d\ud83d\ude00`: true,
		`\ud83d \ude00`: true, `\\ud83d`: false,
		`\uD83D\uDE00`: false, `\ud83d\n`: true,
	} {
		if got := store.HasLoneSurrogate([]byte(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func TestHasEscapedNUL(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		``: false, `\`: false, `\u000`: false, `\u0000`: true, `a\u0000b`: true, `\\u0000`: false, `\\\u0000`: true,
		`\u0001`: false, `\"\u0000`: true, `u0000`: false,
	} {
		if got := store.HasEscapedNUL([]byte(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func TestValidateAppends_countsAndNamesTheEvent(t *testing.T) {
	t.Parallel()
	s := store.Stream{BoundedContext: "c", AggregateType: "t", AggregateID: "i"}
	for _, c := range []struct {
		appends []store.StreamAppend
		events  int
		empty   bool
	}{
		{nil, 0, true},
		{[]store.StreamAppend{{Stream: s}}, 0, true},
		{[]store.StreamAppend{{Stream: s}, {Stream: s, Expected: store.NoStream()}}, 0, false},
		{[]store.StreamAppend{{Stream: s, Events: []store.Event{{Type: "x"}, {Type: "y"}}}, {Stream: s}}, 2, false},
	} {
		n, empty, err := store.ValidateAppends(c.appends, 10)
		if n != c.events || empty != c.empty || err != nil {
			t.Errorf("%v: %d events, empty %v, %v", c.appends, n, empty, err)
		}
	}
	_, _, err := store.ValidateAppends([]store.StreamAppend{{Stream: s, Events: []store.Event{{Type: "x"}, {}}}}, 10)
	var input *store.InputError
	if !errors.As(err, &input) || !strings.Contains(err.Error(), "event 2 of stream c/t/i: event_type is required") {
		t.Errorf("got %v", err)
	}
}

func TestExpected_crossesToSQLAndBack(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		expected store.Expected
		code     int64
		text     string
	}{
		{store.Expected{}, -1, "any version"},
		{store.Any(), -1, "any version"},
		{store.NoStream(), 0, "no stream"},
		{store.Exact(0), 0, "no stream"},
		{store.Exact(1), 1, "version 1"},
		{store.Exact(1 << 60), 1 << 60, "version 1152921504606846976"},
	} {
		if c.expected.Code() != c.code || store.ExpectedFromCode(c.code) != c.expected ||
			c.expected.String() != c.text {
			t.Errorf("%v has code %d, which is %v", c.expected, c.expected.Code(),
				store.ExpectedFromCode(c.expected.Code()))
		}
	}
}

func TestSplitRange_coversEveryHashOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 3000).Draw(t, "n")
		ranges := store.SplitRange(n)
		if len(ranges) != n || ranges[0].First != 0 || ranges[n-1].Last != 1<<32-1 {
			t.Fatalf("%d ranges from %d to %d", len(ranges), ranges[0].First, ranges[n-1].Last)
		}
		least, most := uint64(1<<32), uint64(0)
		for i, r := range ranges {
			if i > 0 && r.First != ranges[i-1].Last+1 || r.Last < r.First {
				t.Fatalf("range %d is %v after %v", i, r, ranges[max(i-1, 0)])
			}
			width := uint64(r.Last) - uint64(r.First) + 1
			least, most = min(least, width), max(most, width)
		}
		if most-least > 1 {
			t.Fatalf("widths are from %d to %d", least, most)
		}
		hash := rapid.Uint32().Draw(t, "hash")
		holders := 0
		for _, r := range ranges {
			if r.Contains(hash) {
				holders++
			}
		}
		if holders != 1 || !store.FullRange().Contains(hash) {
			t.Fatalf("%d of %d ranges hold %d", holders, n, hash)
		}
	})
	if got := store.SplitRange(1)[0]; got != store.FullRange() {
		t.Errorf("one range is %v", got)
	}
}

func TestColumns_Has(t *testing.T) {
	t.Parallel()
	set := store.ColumnPayload | store.ColumnEventType
	if !set.Has(store.ColumnPayload) || !set.Has(set) || !set.Has(0) || set.Has(store.ColumnMetadata) ||
		set.Has(set|store.ColumnMetadata) {
		t.Errorf("%b", set)
	}
	if !store.AllColumns.Has(store.ColumnBoundedContext|store.ColumnPartitionHash) ||
		store.AllColumns.Has(store.ColumnPartitionHash<<1) {
		t.Errorf("all columns are %b", store.AllColumns)
	}
}

func TestUUID_printsAndReads(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var u store.UUID
		copy(u[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "uuid"))
		text := u.String()
		for _, form := range []string{text, strings.ToUpper(text)} {
			if got, err := store.ParseUUID(form); err != nil || got != u {
				t.Fatalf("%s reads as %v, %v", form, got, err)
			}
		}
	})
	u := store.UUID{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10}
	if got := u.String(); got != "01234567-89ab-cdef-fedc-ba9876543210" {
		t.Errorf("prints as %s", got)
	}
	for _, bad := range []string{
		"", "0123", "0123456789abcdeffedcba9876543210", "01234567-89ab-cdef-fedc-ba987654321",
		"01234567-89ab-cdef-fedc-ba98765432100",
		"01234567-89ab-cdef-fedc-ba987654321g", "01234567089ab-cdef-fedc-ba9876543210",
		"{1234567-89ab-cdef-fedc-ba9876543210",
	} {
		if _, err := store.ParseUUID(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}
