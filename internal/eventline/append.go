package eventline

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/pupwasm/pupwasm/store"
)

// Append writes an event in the format that 'pupwasm append' reads. The payload keeps its bytes: it is
// base64 unless it is JSON that fits in the line unchanged.
func Append(b []byte, e *store.RecordedEvent) []byte {
	b = append(b, `{"global_position":`...)
	b = strconv.AppendInt(b, e.Position, 10)
	b = append(b, `,"bounded_context":`...)
	b = AppendText(b, e.BoundedContext)
	b = append(b, `,"aggregate_type":`...)
	b = AppendText(b, e.AggregateType)
	b = append(b, `,"aggregate_id":`...)
	b = AppendText(b, e.AggregateID)
	b = append(b, `,"aggregate_version":`...)
	b = strconv.AppendInt(b, e.AggregateVersion, 10)
	b = append(b, `,"event_id":"`...)
	b = append(b, e.ID.String()...)
	b = append(b, `","event_type":`...)
	b = AppendText(b, e.Type)
	b = append(b, `,"event_version":`...)
	b = strconv.AppendInt(b, int64(e.Version), 10)
	b = append(b, `,"created_at":"`...)
	b = e.CreatedAt.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, '"')
	for _, id := range [...]struct{ name, value string }{
		{"trace_id", e.TraceID}, {"correlation_id", e.CorrelationID}, {"causation_id", e.CausationID},
	} {
		if id.value != "" {
			b = append(b, `,"`+id.name+`":`...)
			b = AppendText(b, id.value)
		}
	}
	if len(e.Metadata) > 0 && string(e.Metadata) != "{}" {
		b = append(b, `,"metadata":`...)
		b = append(b, e.Metadata...)
	}
	switch {
	case len(e.Payload) == 0:
	case fitsInLine(e.Payload):
		b = append(b, `,"payload":`...)
		b = append(b, e.Payload...)
	default:
		b = append(b, `,"payload_base64":"`...)
		b = base64.StdEncoding.AppendEncode(b, e.Payload)
		b = append(b, '"')
	}
	return append(b, '}')
}

// fitsInLine reports whether a payload is JSON that is read back with the same bytes.
func fitsInLine(payload []byte) bool {
	return json.Valid(payload) && utf8.Valid(payload) && !bytes.ContainsAny(payload, "\n\r") &&
		len(bytes.TrimSpace(payload)) == len(payload)
}

// AppendText writes a text as JSON, without escapes for HTML.
func AppendText(b []byte, text string) []byte {
	quoted := new(bytes.Buffer)
	encoder := json.NewEncoder(quoted)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(text) // a string always encodes
	return append(b, bytes.TrimSuffix(quoted.Bytes(), []byte("\n"))...)
}
