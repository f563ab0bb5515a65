package jetstream_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/relay"
	"github.com/pupwasm/pupwasm/relay/jetstream"
	"github.com/pupwasm/pupwasm/store"
)

// TestSink_sendsNothingIntoCopiesOfLogs has streams that a copy made, now or by an earlier release, and one made by hand.
func TestSink_sendsNothingIntoCopiesOfLogs(t *testing.T) {
	t.Parallel()
	cluster, js := server(t)
	log := newLog(t)
	copyOnce(t, cluster.URL(), log, jetstream.CopyOptions{}) // of no events
	appendTo(t, log, 0, 3)
	createStream(t, js, natsjs.StreamConfig{Name: "OPEN", Subjects: []string{"open.>"}})
	own := jetstream.CopyOptions{Stream: "OPEN", Prefix: "open"}
	copyOnce(t, cluster.URL(), log, own)
	createStream(t, js, natsjs.StreamConfig{Name: "OLD", Subjects: []string{"old.>"}, Description: "copy of an event log, by pupwasm"})
	sink := openSink(t, cluster.URL(), jetstream.Options{})
	for name, prefix := range map[string]string{"EVENTS": "events", "OPEN": "open", "OLD": "old"} {
		for range 2 { // the second time it is known
			err := sink.Send(t.Context(), fresh(5, prefix+".orders.paid", "k"))
			var refused *relay.RefusedError
			if want := "subject " + prefix + ".orders.paid, which belongs to stream " + name + ", the copy of a log: "; !errors.As(err, &refused) ||
				!strings.Contains(err.Error(), want) {
				t.Errorf("the error is %v, must have %q", err, want)
			}
		}
	}
	copyOnce(t, cluster.URL(), log, jetstream.CopyOptions{})
	wantCopy(t, js, "EVENTS", log, 0)
	wantCopy(t, js, "OPEN", log, 0)

	createStream(t, js, natsjs.StreamConfig{Name: "ALL", Subjects: []string{"shop.>"}, Sources: []*natsjs.StreamSource{{Name: "EVENTS"}}})
	testwait.Until(t, "the stream has the events", func() bool {
		stream, err := js.Stream(t.Context(), "ALL")
		return err == nil && stream.CachedInfo().State.LastSeq == 3
	})
	if err := sink.Send(t.Context(), fresh(5, "shop.a", "k")); err != nil {
		t.Errorf("with events from a copy beside the messages the error is %v", err)
	}
}

// TestSink_wantsAcknowledgements of streams, and goes on when they give them.
func TestSink_wantsAcknowledgements(t *testing.T) {
	t.Parallel()
	cluster, js := server(t)
	config := natsjs.StreamConfig{Name: "SHOP", Subjects: []string{"shop.>"}, NoAck: true}
	createStream(t, js, config)
	sink := openSink(t, cluster.URL(), jetstream.Options{})
	err := sink.Send(t.Context(), fresh(1, "shop.a", "k"))
	if !errors.Is(err, store.ErrTransient) || !strings.Contains(err.Error(), "stream SHOP gives no acknowledgements") ||
		!strings.HasSuffix(err.Error(), "turn its no_ack off") {
		t.Errorf("the error is %v", err)
	}
	config.NoAck = false
	if _, err := js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	if err := sink.Send(t.Context(), fresh(1, "shop.a", "k")); err != nil {
		t.Error(err)
	}
	if stored := messagesOf(t, js, "SHOP"); len(stored) != 1 {
		t.Errorf("the stream has %d messages", len(stored))
	}
}

// TestSink_warnsOfStreams that keep too little to know what they had, once of each.
func TestSink_warnsOfStreams(t *testing.T) {
	t.Parallel()
	cluster, js := server(t)
	const within = "it takes each once only within its duplicate window"
	for subject, of := range map[string]struct {
		config natsjs.StreamConfig
		want   string // "" for no warning
	}{
		"plain":    {natsjs.StreamConfig{}, ""},
		"queue":    {natsjs.StreamConfig{Retention: natsjs.WorkQueuePolicy}, "drops messages that were read: " + within},
		"interest": {natsjs.StreamConfig{Retention: natsjs.InterestPolicy}, "keeps none that no consumer wants: " + within},
		"transform": {natsjs.StreamConfig{
			SubjectTransform: &natsjs.SubjectTransformConfig{Source: "transform.>", Destination: "other.>"},
		}, "under other subjects: " + within},
		"full": {natsjs.StreamConfig{MaxMsgs: 10, Discard: natsjs.DiscardNew}, "takes no messages when it is full"},
	} {
		of.config.Name, of.config.Subjects = strings.ToUpper(subject), []string{subject + ".>"}
		createStream(t, js, of.config)
		var log bytes.Buffer
		sink := openSink(t, cluster.URL(), jetstream.Options{Logger: zerolog.New(zerolog.SyncWriter(&log)).Level(zerolog.WarnLevel)})
		for position := range int64(2) {
			if err := sink.Send(t.Context(), fresh(position+1, subject+".a", "k")); err != nil {
				t.Errorf("%s: %v", subject, err)
			}
		}
		if lines := strings.Count(log.String(), "\n"); lines > 1 || lines == 0 != (of.want == "") || !strings.Contains(log.String(), of.want) {
			t.Errorf("%s: the log is %q, must have %q once", subject, log.String(), of.want)
		}
		stream, err := js.Stream(t.Context(), of.config.Name)
		if err != nil {
			t.Fatal(err)
		}
		if kept := stream.CachedInfo().State.Msgs; kept != 2 && subject != "interest" || kept != 0 && subject == "interest" {
			t.Errorf("%s: the stream keeps %d messages", subject, kept)
		}
	}
}
