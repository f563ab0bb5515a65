// Package cloudevents writes messages as CloudEvents 1.0, see https://cloudevents.io: as a JSON object with everything
// (structured mode), or as headers beside the data (binary mode).
//
//	id               store.MessageID, such as shop.v1.120.0: the same on every try
//	source           /pupwasm/<projection>, or as it is set
//	type, subject    of the message
//	time             of the event, RFC 3339 in UTC
//	datacontenttype  of the message
//	traceparent      of the span that caused the event, where there is one
//	partitionkey     the key of the message, where it is text that CloudEvents allows
package cloudevents

import (
	"errors"
	"iter"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pupwasm/pupwasm/store"
)

// ContentType is that of an event in structured mode.
const ContentType = "application/cloudevents+json"

// Event is a CloudEvent. Its texts have only characters that CloudEvents allows; those that are "" are left out.
type Event struct {
	ID, Source, Type, Subject string
	Time                      string
	DataContentType           string
	TraceParent               string
	PartitionKey              string
	Data                      []byte
}

// Of returns a message as an event, which refers to the data of the message. The source is /pupwasm/<projection> unless
// another is given, which passes [CheckSource].
func Of(message *store.Message, source string) Event {
	if source == "" {
		source = "/pupwasm/" + message.Projection
	}
	event := Event{
		ID: clean(message.MessageID.String()), Source: clean(source), Type: clean(message.Type),
		Subject: clean(message.Subject), DataContentType: clean(message.ContentType), Data: message.Data,
	}
	// RFC 3339 has no other years.
	if at := message.Time.UTC(); !at.IsZero() && at.Year() >= 0 && at.Year() <= 9999 {
		event.Time = at.Format(time.RFC3339Nano)
	}
	if parent, valid := store.ParseTraceParent(message.TraceParent); valid {
		event.TraceParent = parent.String()
	}
	if key := string(message.Key); utf8.ValidString(key) && !strings.ContainsFunc(key, isForbidden) {
		event.PartitionKey = key
	}
	return event
}

// CheckSource reports what is wrong with a source: it must be a URI or the path of one. "" is the default.
func CheckSource(source string) error {
	if source == "" {
		return nil
	}
	wrong := func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\"<>\\^`{|}", r) }
	if _, err := url.Parse(source); err != nil || len(source) > sourceBytesMax || strings.ContainsFunc(source, wrong) {
		return errors.New("the source of CloudEvents must be a URI, or a part of one such as /shop/orders")
	}
	return nil
}

const sourceBytesMax = 1024

// attributes returns the name and the value of each attribute that is there, without datacontenttype.
func (e *Event) attributes() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, attribute := range [...][2]string{
			{"specversion", "1.0"},
			{"id", e.ID},
			{"source", e.Source},
			{"type", e.Type},
			{"subject", e.Subject},
			{"time", e.Time},
			{"traceparent", e.TraceParent},
			{"partitionkey", e.PartitionKey},
		} {
			if attribute[1] != "" && !yield(attribute[0], attribute[1]) {
				return
			}
		}
	}
}

// clean puts U+FFFD for what CloudEvents forbids in texts.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if isForbidden(r) {
			return utf8.RuneError
		}
		return r
	}, text)
}

// isForbidden reports control characters, and code points that Unicode calls noncharacters.
func isForbidden(r rune) bool {
	return r < ' ' || r >= 0x7f && r <= 0x9f || r >= 0xfdd0 && r <= 0xfdef || r&0xfffe == 0xfffe
}
