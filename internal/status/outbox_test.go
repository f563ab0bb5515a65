package status_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/status"
	"github.com/pupwasm/pupwasm/store"
)

func TestReportOutbox(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	for _, test := range []struct {
		of      store.OutboxStatus
		seconds float64
		waits   bool
	}{
		{store.OutboxStatus{Projection: "shop"}, 0, false},
		{store.OutboxStatus{Pending: 2, Oldest: now.Add(-90 * time.Second)}, 90, true},
		{store.OutboxStatus{Pending: 2, Oldest: now.Add(time.Second), Relay: "a", Live: true}, 0, false},
		{store.OutboxStatus{Pending: 2, Oldest: now.Add(-time.Second), Relay: "a"}, 1, true},
		{store.OutboxStatus{Held: 5, Kept: 3}, 0, false},
	} {
		got := status.ReportOutbox(&test.of, now)
		if got.OldestSeconds != test.seconds || got.Waits() != test.waits || (got.OldestAt == nil) != test.of.Oldest.IsZero() {
			t.Errorf("%+v is reported as %+v, waits: %t", test.of, got, got.Waits())
		}
	}
}

// TestReportMessage_hasWhatItsStateHas has the next try of one that failed, and no more of others than there is.
func TestReportMessage_hasWhatItsStateHas(t *testing.T) {
	t.Parallel()
	message := store.OutboxMessage{Message: store.Message{
		MessageID: store.MessageID{Projection: "shop", Version: 2, Position: 120, Index: 1}, Key: []byte("a\x1bb"), Data: []byte("{}"),
	}}
	next := time.Unix(1_700_000_000, 0)
	for _, test := range []struct {
		state       store.MessageState
		next        time.Time
		want, lacks string
	}{
		{store.MessagePending, time.Time{}, "in its turn", "next_attempt_at"},
		{store.MessageFailed, next, next.UTC().Format(time.RFC3339), "sent_at"},
		{store.MessageFailed, time.Time{}, "when it is resent", "next_attempt_at"},
		{store.MessageSent, time.Time{}, "-", "error"},
		{store.MessageHeld, time.Time{}, "when its version is promoted", "build"},
	} {
		message.State, message.NextAttempt = test.state, test.next
		report := status.ReportMessage(&message)
		text, err := json.Marshal(report)
		must(t, err)
		if report.Next() != test.want || report.ID != "shop.v2.120.1" || report.Key != "hex:611b62" ||
			strings.Contains(string(text), test.lacks) {
			t.Errorf("it is %s, %s, must be %s, without %s", text, report.Next(), test.want, test.lacks)
		}
	}
}

// TestRead_hasTheOutbox of projections that send, or of those that are named.
func TestRead_hasTheOutbox(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	log, err := s.OwnLog(t.Context())
	must(t, err)
	for _, name := range []string{"bills", "shop"} {
		p := &store.Projection{Name: name, Version: 1, Messages: []store.MessageType{{Name: "paid", Subject: "shop.paid"}}}
		_, err := s.Install(t.Context(), p, 1)
		must(t, err)
		must(t, s.BeginSending(t.Context(), p, log, 0))
	}
	_, err = s.Install(t.Context(), &store.Projection{Name: "silent", Version: 1}, 1)
	must(t, err)
	for _, test := range []struct {
		only []string
		want string
	}{{nil, "bills shop"}, {[]string{"shop"}, "shop"}, {[]string{"silent"}, ""}} {
		report, err := status.Read(t.Context(), s, s, test.only...)
		must(t, err)
		var names []string
		for i := range report.Outbox {
			names = append(names, report.Outbox[i].Projection)
		}
		if got := strings.Join(names, " "); got != test.want {
			t.Errorf("of %q it reports %q, must be %q", test.only, got, test.want)
		}
	}
}
