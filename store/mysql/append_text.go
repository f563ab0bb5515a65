package mysql

import (
	"fmt"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

// appendHead writes a row of streams.
func appendHead(text []byte, of *store.Stream, version int64) []byte {
	text = append(text, '(')
	text = appendStream(text, of)
	return fmt.Appendf(text, ", %d)", version)
}

func appendStream(text []byte, of *store.Stream) []byte {
	text = appendText(text, []byte(of.BoundedContext))
	text = append(text, ", "...)
	text = appendText(text, []byte(of.AggregateType))
	text = append(text, ", "...)
	return appendText(text, []byte(of.AggregateID))
}

// appendEvent writes the values of an event, from its id to its time: the time of now where it has none.
func appendEvent(text []byte, e *store.Event, id store.UUID, now string) []byte {
	text = appendBytes(text, id[:])
	text = append(text, ", "...)
	text = appendText(text, []byte(e.Type))
	text = fmt.Appendf(text, ", %d, ", max(e.Version, 1))
	text = appendBytes(text, e.Payload)
	text = append(text, ", "...)
	if len(e.Metadata) > 0 {
		text = appendText(text, e.Metadata)
	} else {
		text = append(text, "'{}'"...)
	}
	for _, optional := range []string{e.TraceID, e.CorrelationID, e.CausationID} {
		text = append(text, ", "...)
		if optional == "" {
			text = append(text, "NULL"...)
		} else {
			text = appendText(text, []byte(optional))
		}
	}
	text = append(text, ", "...)
	if e.CreatedAt.IsZero() {
		return append(text, now...)
	}
	return appendTime(text, e.CreatedAt)
}

const timeLayout = "2006-01-02 15:04:05.000000"

// appendTime writes a literal of a time in UTC, to microseconds.
func appendTime(text []byte, at time.Time) []byte {
	text = append(text, '\'')
	text = at.UTC().AppendFormat(text, timeLayout)
	return append(text, '\'')
}
