package jetstream

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pupwasm/pupwasm/relay/cloudevents"
	"github.com/pupwasm/pupwasm/store"
)

// Headers of a copied event. Values are percent-encoded as those of CloudEvents are: they have only printable ASCII. A
// header whose value would be empty is left out. The data of the message is the payload.
const (
	headerLog              = "Pupwasm-Log" // the log's id
	headerPosition         = "Pupwasm-Position"
	headerContext          = "Pupwasm-Bounded-Context"
	headerAggregateType    = "Pupwasm-Aggregate-Type"
	headerAggregateID      = "Pupwasm-Aggregate-Id"
	headerAggregateVersion = "Pupwasm-Aggregate-Version"
	headerEventID          = "Pupwasm-Event-Id"
	headerEventType        = "Pupwasm-Event-Type"
	headerEventVersion     = "Pupwasm-Event-Version"
	headerCreatedAt        = "Pupwasm-Created-At" // RFC 3339, in UTC
	headerTraceID          = "Pupwasm-Trace-Id"
	headerCorrelationID    = "Pupwasm-Correlation-Id"
	headerCausationID      = "Pupwasm-Causation-Id"
	headerMetadata         = "Pupwasm-Metadata" // JSON
	// headerMetadataBytes is in place of Pupwasm-Metadata where that would be long: how many bytes at the end of the data,
	// behind the payload, are the metadata.
	headerMetadataBytes = "Pupwasm-Metadata-Bytes"
)

const (
	// metadataHeaderMax bounds the metadata in a header: all headers of a message share 64 KiB.
	metadataHeaderMax = 8 << 10
	// tokenMax bounds a token of a subject: servers take 4 KiB for the line that it is on.
	tokenMax = 200
)

// subjectOf returns the subject of an event: prefix.context.type.id.eventtype, with [store.SubjectToken] of each. A longer
// token than tokenMax bytes is cut off, with %~ and a hash of the whole behind it.
func subjectOf(prefix string, event *store.RecordedEvent) string {
	var b strings.Builder
	b.WriteString(prefix)
	for _, text := range []string{event.BoundedContext, event.AggregateType, event.AggregateID, event.Type} {
		token := store.SubjectToken(text)
		if len(token) > tokenMax {
			sum := sha256.Sum256([]byte(text))
			token = token[:tokenMax] + "%~" + hex.EncodeToString(sum[:16])
		}
		b.WriteString("." + token)
	}
	return b.String()
}

// messageOf returns an event as a message. The message may refer to the payload of the event.
func messageOf(prefix string, log store.UUID, event *store.RecordedEvent) *nats.Msg {
	header := make(nats.Header, 16)
	set := func(name, value string) {
		if value != "" {
			header[name] = []string{cloudevents.HeaderValue(value)}
		}
	}
	set(headerLog, log.String())
	set(headerPosition, strconv.FormatInt(event.Position, 10))
	set(headerContext, event.BoundedContext)
	set(headerAggregateType, event.AggregateType)
	set(headerAggregateID, event.AggregateID)
	set(headerAggregateVersion, strconv.FormatInt(event.AggregateVersion, 10))
	set(headerEventID, event.ID.String())
	set(headerEventType, event.Type)
	set(headerEventVersion, strconv.FormatInt(int64(event.Version), 10))
	set(headerCreatedAt, event.CreatedAt.UTC().Format(time.RFC3339Nano))
	set(headerTraceID, event.TraceID)
	set(headerCorrelationID, event.CorrelationID)
	set(headerCausationID, event.CausationID)
	data := event.Payload
	if metadata := cloudevents.HeaderValue(string(event.Metadata)); len(metadata) <= metadataHeaderMax {
		set(headerMetadata, string(event.Metadata))
	} else {
		set(headerMetadataBytes, strconv.Itoa(len(event.Metadata)))
		data = append(append(make([]byte, 0, len(event.Payload)+len(event.Metadata)), event.Payload...), event.Metadata...)
	}
	return &nats.Msg{Subject: subjectOf(prefix, event), Header: header, Data: data}
}

// Event returns the event of a message that a [Copy] has stored, and the id of the log that it is from. Payload and
// metadata may refer to data. It has no partition hash.
//
// # Errors
//
// The message is none of a copy. The text names the header that is missing or wrong.
func Event(header nats.Header, data []byte) (event store.RecordedEvent, log store.UUID, err error) {
	r := &headerReader{header: header}
	log = r.uuid(headerLog)
	event.Position, event.AggregateVersion = r.number(headerPosition, 64), r.number(headerAggregateVersion, 64)
	event.Version = int32(r.number(headerEventVersion, 32))
	event.BoundedContext, event.AggregateType, event.AggregateID = r.text(headerContext), r.text(headerAggregateType),
		r.text(headerAggregateID)
	event.ID, event.Type = r.uuid(headerEventID), r.text(headerEventType)
	event.TraceID, event.CorrelationID, event.CausationID = r.text(headerTraceID), r.text(headerCorrelationID),
		r.text(headerCausationID)
	created, err := time.Parse(time.RFC3339Nano, r.text(headerCreatedAt))
	if err != nil {
		r.wrong(headerCreatedAt)
	}
	event.CreatedAt, event.Payload = created, data
	if metadata := r.text(headerMetadata); metadata != "" {
		event.Metadata = []byte(metadata)
	}
	if header.Get(headerMetadataBytes) != "" {
		length := r.number(headerMetadataBytes, 32)
		if length > int64(len(data)) {
			r.wrong(headerMetadataBytes)
			length = 0
		}
		at := len(data) - int(length)
		event.Payload, event.Metadata = data[:at:at], data[at:]
	}
	return event, log, r.err
}

// headerReader reads headers of a message, and keeps the first error.
type headerReader struct {
	header nats.Header
	err    error
}

func (r *headerReader) wrong(name string) {
	if r.err == nil {
		r.err = fmt.Errorf("the message is none of a log's copy: its header %s is missing or wrong", name)
	}
}

func (r *headerReader) text(name string) string {
	text, err := url.PathUnescape(r.header.Get(name))
	if err != nil {
		r.wrong(name)
	}
	return text
}

// number reads a number that is not below zero.
func (r *headerReader) number(name string, bits int) int64 {
	number, err := strconv.ParseInt(r.header.Get(name), 10, bits)
	if err != nil || number < 0 {
		r.wrong(name)
		return 0
	}
	return number
}

func (r *headerReader) uuid(name string) store.UUID {
	id, err := store.ParseUUID(r.header.Get(name))
	if err != nil {
		r.wrong(name)
	}
	return id
}
