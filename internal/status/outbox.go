package status

import (
	"time"

	"github.com/pupwasm/pupwasm/store"
)

// Outbox is the state of the messages of a projection, also as JSON.
type Outbox struct {
	Projection string     `json:"projection"`
	Pending    int64      `json:"pending"`             // to be sent, with those that failed and those that wait behind them
	Held       int64      `json:"held"`                // of versions that are not live
	Kept       int64      `json:"kept"`                // sent, and not deleted yet
	OldestAt   *time.Time `json:"oldest_at,omitempty"` // when the oldest that is pending was put in; none without one
	// OldestSeconds is for how long that one has waited.
	OldestSeconds float64 `json:"oldest_seconds"`
	FailedKeys    int     `json:"failed_keys"`    // keys of which a message could not be sent
	ExhaustedKeys int     `json:"exhausted_keys"` // those of them that are not tried again by themselves
	// Relay is the worker that sends, Target where to, and RelayLive reports that its lease has not expired.
	Relay     string `json:"relay,omitempty"`
	Target    string `json:"target,omitempty"`
	RelayLive bool   `json:"relay_live"`
}

// Waits reports that messages wait and no worker sends them.
func (o *Outbox) Waits() bool { return o.Pending > 0 && !o.RelayLive }

// ReportOutbox reports the state of the messages of a projection at a time.
func ReportOutbox(of *store.OutboxStatus, now time.Time) Outbox {
	r := Outbox{
		Projection: of.Projection, Pending: of.Pending, Held: of.Held, Kept: of.Kept, OldestAt: timeOrNil(of.Oldest),
		FailedKeys: of.FailedKeys, ExhaustedKeys: of.Exhausted, Relay: of.Relay, Target: of.Target,
		RelayLive: of.Relay != "" && of.Live,
	}
	if r.OldestAt != nil {
		r.OldestSeconds = max(now.Sub(*r.OldestAt).Seconds(), 0)
	}
	return r
}

// Message is the report of a message in the outbox, without its data, also as JSON.
type Message struct {
	ID          string             `json:"id"`
	Projection  string             `json:"projection"`
	Version     int                `json:"version"`
	Build       int                `json:"build,omitempty"` // of the version
	Position    int64              `json:"position"`        // of the event that caused it
	Index       int                `json:"index"`           // among the messages of the event
	Key         string             `json:"key"`             // messages of one key are sent one after the other
	Type        string             `json:"type"`
	Subject     string             `json:"subject"`
	ContentType string             `json:"content_type"`
	Bytes       int                `json:"bytes"` // of the data
	Time        time.Time          `json:"time"`  // of the event
	TraceParent string             `json:"traceparent,omitempty"`
	State       store.MessageState `json:"state"`
	PutAt       time.Time          `json:"put_at"`
	SentAt      *time.Time         `json:"sent_at,omitempty"`
	// Of a message that could not be sent.
	Attempts    int        `json:"attempts,omitempty"`
	Error       string     `json:"error,omitempty"`
	NextAttempt *time.Time `json:"next_attempt_at,omitempty"` // none: it is not tried again by itself
}

// ReportMessage reports a message.
func ReportMessage(m *store.OutboxMessage) Message {
	return Message{
		ID: m.MessageID.String(), Projection: m.Projection, Version: m.Version, Build: m.Build, Position: m.Position,
		Index: m.Index, Key: KeyText(m.Key), Type: m.Type, Subject: m.Subject, ContentType: m.ContentType,
		Bytes: len(m.Data), Time: m.Time.UTC(), TraceParent: m.TraceParent, State: m.State, PutAt: m.PutAt.UTC(),
		SentAt: timeOrNil(m.SentAt), Attempts: m.Attempts, Error: m.Error, NextAttempt: timeOrNil(m.NextAttempt),
	}
}

// Next says when the message is tried again, or why it waits.
func (m *Message) Next() string {
	switch {
	case m.State == store.MessageSent:
		return "-"
	case m.State == store.MessageHeld:
		return "when its version is promoted"
	case m.State == store.MessagePending:
		return "in its turn"
	case m.NextAttempt == nil:
		return "when it is resent"
	}
	return m.NextAttempt.Format(time.RFC3339)
}
