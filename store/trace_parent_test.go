package store_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/store"
)

const (
	aTrace  = "4bf92f3577b34da6a3ce929d0e0e4736"
	aSpan   = "00f067aa0ba902b7"
	aParent = "00-" + aTrace + "-" + aSpan + "-01"
)

func parent(trace, span string, flags byte) (p store.TraceParent) {
	hex.Decode(p.Trace[:], []byte(trace))
	hex.Decode(p.Span[:], []byte(span))
	p.Flags = flags
	return p
}

func TestParseTraceParent(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text  string
		want  store.TraceParent
		valid bool
	}{
		{aParent, parent(aTrace, aSpan, 1), true},
		{"00-" + aTrace + "-" + aSpan + "-00", parent(aTrace, aSpan, 0), true},
		{"00-" + aTrace + "-" + aSpan + "-ff", parent(aTrace, aSpan, 0xff), true},
		{"01-" + aTrace + "-" + aSpan + "-01", parent(aTrace, aSpan, 1), true},
		{"cc-" + aTrace + "-" + aSpan + "-01-what comes later", parent(aTrace, aSpan, 1), true},
		{text: "cc-" + aTrace + "-" + aSpan + "-01.what comes later"},
		{text: aParent + "-more"}, // version 00 ends there
		{text: "ff-" + aTrace + "-" + aSpan + "-01"},
		{text: "00-" + strings.Repeat("0", 32) + "-" + aSpan + "-01"},
		{text: "00-" + aTrace + "-" + strings.Repeat("0", 16) + "-01"},
		{text: strings.ToUpper(aParent)},
		{text: strings.ReplaceAll(aParent, "-", "_")},
		{text: aParent[:54]},
		{text: " " + aParent},
		{text: aTrace},
		{text: ""},
	} {
		if got, valid := store.ParseTraceParent(c.text); got != c.want || valid != c.valid {
			t.Errorf("%q: %x, %t", c.text, got, valid)
		}
		if got, valid := store.ParseTraceParent([]byte(c.text)); got != c.want || valid != c.valid {
			t.Errorf("the bytes of %q: %x, %t", c.text, got, valid)
		}
	}
}

func TestRecordedEvent_TraceParent(t *testing.T) {
	t.Parallel()
	other := "00-" + aTrace + "-1111111111111111-00"
	for _, c := range []struct {
		name, metadata, traceID, want string
	}{
		{"in the metadata", `{"user":"ann", "traceparent" : "` + aParent + `"}`, "", aParent},
		{"in the metadata, beside a trace_id", `{"traceparent":"` + aParent + `"}`, other, aParent},
		{"in trace_id", `{}`, other, other},
		{"in trace_id, without metadata", ``, other, other},
		{"in trace_id, since the member is malformed", `{"traceparent":"00-0-0-01"}`, other, other},
		{"in trace_id, since the metadata is no JSON", `{"traceparent":`, other, other},
		{"with escapes", `{"traceparent":"` + strings.ReplaceAll(aParent, "-", `\u002d`) + `"}`, "", aParent},
		{"further in", `{"trace":{"traceparent":"` + aParent + `"}}`, "", ""},
		{"no text", `{"traceparent":["` + aParent + `"]}`, "", ""},
		{"an array", `["` + aParent + `"]`, "", ""},
		{"a trace_id of another system", `{}`, "request 4711", ""},
		{"far too long", `{"traceparent":"` + strings.Repeat("0", 1<<20) + `"}`, "", ""},
		{"far too deep", `{"a":` + strings.Repeat("[", 1<<20), "", ""},
	} {
		e := store.RecordedEvent{Event: store.Event{Metadata: []byte(c.metadata), TraceID: c.traceID}}
		want, valid := store.ParseTraceParent(c.want)
		if got, found := e.TraceParent(); got != want || found != valid {
			t.Errorf("%s: %x, %t", c.name, got, found)
		}
	}
}

// TestRecordedEvent_TraceParentAllocatesNothing of what usual events have.
func TestRecordedEvent_TraceParentAllocatesNothing(t *testing.T) {
	for _, metadata := range []string{`{"user":"ann","traceparent":"` + aParent + `"}`, `{"user":"ann"}`, ``} {
		e := store.RecordedEvent{Event: store.Event{Metadata: []byte(metadata)}}
		if n := testing.AllocsPerRun(100, func() { e.TraceParent() }); n > 0 {
			t.Errorf("%q: %g allocations", metadata, n)
		}
	}
}

var traceParentForm = regexp.MustCompile(`(?s)^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$`)

// FuzzParseTraceParent compares with a pattern.
func FuzzParseTraceParent(f *testing.F) {
	f.Add([]byte(aParent))
	f.Add([]byte("01-" + aTrace + "-" + aSpan + "-01-more"))
	f.Add([]byte("ff-" + aTrace + "-" + aSpan + "-01"))
	f.Fuzz(func(t *testing.T, text []byte) {
		before := bytes.Clone(text)
		got, valid := store.ParseTraceParent(text)
		m := traceParentForm.FindSubmatch(text)
		want := m != nil && string(m[1]) != "ff" && (string(m[1]) != "00" || len(m[5]) == 0) &&
			strings.Trim(string(m[2]), "0") != "" && strings.Trim(string(m[3]), "0") != ""
		if valid != want {
			t.Fatalf("%q is valid: %t", text, valid)
		}
		if valid && fmt.Sprintf("%x-%x-%02x", got.Trace, got.Span, got.Flags) != string(text[3:55]) {
			t.Errorf("%q is read as %x", text, got)
		}
		if !valid && got != (store.TraceParent{}) {
			t.Errorf("of %q there is %x", text, got)
		}
		if !bytes.Equal(before, text) {
			t.Error("the text was changed")
		}
	})
}
