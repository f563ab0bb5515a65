package store

import "fmt"

// TraceParent is a span that caused an event, as the header traceparent of W3C Trace Context names it. The zero value is
// none.
type TraceParent struct {
	Trace [16]byte
	Span  [8]byte
	Flags byte // bit 0: the span was sampled
}

// traceParentBytes is the length of a traceparent of version 00.
const traceParentBytes = len("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")

// String returns the traceparent.
func (p TraceParent) String() string {
	return fmt.Sprintf("00-%x-%x-%02x", p.Trace, p.Span, p.Flags)
}

// ParseTraceParent reads a traceparent such as 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01. It reports false
// for any other text, and for a trace or a span of zeros. A later version may have more behind another dash.
func ParseTraceParent[T string | []byte](text T) (parent TraceParent, valid bool) {
	if len(text) < traceParentBytes || text[2] != '-' || text[35] != '-' || text[52] != '-' {
		return TraceParent{}, false
	}
	var version [1]byte
	var flags [1]byte
	if !readHex(version[:], text[:2]) || !readHex(parent.Trace[:], text[3:35]) ||
		!readHex(parent.Span[:], text[36:52]) || !readHex(flags[:], text[53:55]) {
		return TraceParent{}, false
	}
	parent.Flags = flags[0]
	switch more := len(text) > traceParentBytes; {
	case version[0] == 0xff, version[0] == 0 && more, more && text[traceParentBytes] != '-',
		parent.Trace == [16]byte{}, parent.Span == [8]byte{}:
		return TraceParent{}, false
	}
	return parent, true
}

// readHex reads lower-case hexadecimal digits, two a byte.
func readHex[T string | []byte](to []byte, digits T) bool {
	for i := range to {
		high, low := digits[2*i], digits[2*i+1]
		if high >= 'A' && high <= 'F' || low >= 'A' && low <= 'F' || hexValue(high) > 15 || hexValue(low) > 15 {
			return false
		}
		to[i] = byte(hexValue(high)<<4 | hexValue(low))
	}
	return true
}

// traceParentPath is where metadata have a traceparent.
var traceParentPath = []string{"traceparent"}

// TraceColumns are the fields that [RecordedEvent.TraceParent] reads.
const TraceColumns = ColumnMetadata | ColumnTraceID

// TraceParent returns the span that caused the event: the member traceparent of its metadata, or its trace_id where that
// is a traceparent. It reports false where neither is one. Metadata may be anything.
func (e *RecordedEvent) TraceParent() (parent TraceParent, valid bool) {
	if text, err := jsonKey("metadata", e.Metadata, traceParentPath); err == nil {
		if parent, valid = ParseTraceParent(text); valid {
			return parent, true
		}
	}
	return ParseTraceParent(e.TraceID)
}
