package jetstream_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/pupwasm/pupwasm/internal/natstest"
	"github.com/pupwasm/pupwasm/internal/testproxy"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/relay"
	"github.com/pupwasm/pupwasm/relay/jetstream"
	"github.com/pupwasm/pupwasm/store"
)

// TestSink_knowsWhatWasSentLongAgo sends messages again whose ids the stream has forgotten.
func TestSink_knowsWhatWasSentLongAgo(t *testing.T) {
	t.Parallel()
	cluster, js := server(t)
	const window = 100 * time.Millisecond
	stream := createStream(t, js, natsjs.StreamConfig{Name: "SHOP", Subjects: []string{"shop.>"}, Duplicates: window})
	sink := openSink(t, cluster.URL(), jetstream.Options{})
	last := uint64(0)
	send := func(what string, stored bool, message *store.OutboxMessage) {
		t.Helper()
		if err := sink.Send(t.Context(), message); err != nil {
			t.Fatal(err)
		}
		info, err := stream.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if is := info.State.LastSeq > last; is != stored {
			t.Errorf("%s: stored %v, must be %v", what, is, stored)
		}
		last = info.State.LastSeq
	}
	forgotten := func() {
		t.Helper()
		last = forget(t, js, "shop.probe")
	}
	send("the first", true, fresh(5, "shop.a", "k"))
	send("a later one of its key", true, fresh(9, "shop.a", "k"))
	forgotten()
	old := func(position int64, subject, key string) *store.OutboxMessage {
		return aged(fresh(position, subject, key), time.Minute)
	}
	send("the last one again", false, old(9, "shop.a", "k"))
	send("the one before it again", false, old(5, "shop.a", "k"))
	send("an earlier one of another key", true, old(4, "shop.a", "other"))
	forgotten()
	send("which hides what is before it", true, old(9, "shop.a", "k"))
	forgotten()
	send("one of another subject", true, old(9, "shop.b", "k"))
	send("the next one", true, old(10, "shop.a", "k"))
	other := old(3, "shop.a", "k")
	other.Version = 2
	send("one of another version", true, other)
	forgotten()
	forgotten()
	// The database has lost the message, and its event was applied again.
	again := fresh(3, "shop.a", "k")
	again.Version = 2
	send("the last one, put in again", false, again)
	changed := *again
	changed.Data = []byte("{}")
	send("with other data", true, &changed)
	forgotten()
	// The log was replaced, and the event at this position is another one.
	replaced := *again
	replaced.Time = eventTime.Add(-time.Second)
	send("one of another log", true, &replaced)
	forgotten()
	send("which is sent again", false, aged(&replaced, time.Minute))
}

// forget waits until a stream has forgotten the ids that it has. It returns the sequence of its last message.
func forget(t *testing.T, js natsjs.JetStream, subject string) (last uint64) {
	t.Helper()
	id, took := rand.Text(), 0
	testwait.Until(t, "the stream has forgotten", func() bool { // an id that it got later is taken again
		ack, err := js.Publish(t.Context(), subject, nil, natsjs.WithMsgID(id))
		if err != nil {
			t.Fatal(err)
		}
		if !ack.Duplicate {
			took, last = took+1, ack.Sequence
		}
		return took == 2
	})
	return last
}

// TestSink_storesNothingLate cuts a sink off while a message that waited is on its way, has another one send it, and lets
// it arrive when the stream has forgotten its id.
func TestSink_storesNothingLate(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]bool{"the first one": false, "behind another": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster, js := server(t)
			createStream(t, js, natsjs.StreamConfig{Name: "SHOP", Subjects: []string{"shop.>"}, Duplicates: 100 * time.Millisecond})
			old := func(position int64) *store.OutboxMessage { return aged(fresh(position, "shop.a", "k"), time.Hour) }
			other := openSink(t, cluster.URL(), jetstream.Options{})
			send := func(position int64) {
				t.Helper()
				if err := other.Send(t.Context(), old(position)); err != nil {
					t.Fatal(err)
				}
			}
			if before {
				send(4)
			}
			release, held := make(chan struct{}), make(chan struct{})
			var once sync.Once
			proxy := testproxy.New(t, strings.TrimPrefix(cluster.URL(), "nats://"), func(_ net.Conn, fromClient bool, data []byte) bool {
				if fromClient && bytes.Contains(data, []byte("HPUB")) {
					once.Do(func() { close(held) })
					<-release
				}
				return true
			})
			late := openSink(t, "nats://"+proxy.Addr, jetstream.Options{})
			ctx, cancel := context.WithCancel(t.Context())
			sent := make(chan error, 1)
			go func() { sent <- late.Send(ctx, old(5)) }()
			<-held
			cancel()
			if err := <-sent; !errors.Is(err, context.Canceled) {
				t.Errorf("the sink that is cut off has the error %v", err)
			}
			send(5)
			send(6)
			forget(t, js, "shop.probe")
			close(release)
			if err := late.Send(t.Context(), fresh(9, "shop.b", "b")); err != nil { // behind what is late
				t.Fatal(err)
			}
			count := 0
			for _, message := range messagesOf(t, js, "SHOP") {
				if message.Header.Get("Nats-Msg-Id") == "shop.v1.5.0" {
					count++
				}
			}
			if count != 1 {
				t.Errorf("the stream has the message %d times", count)
			}
		})
	}
}

// TestSink_sendsWhatWaitedOnSharedSubjects has many keys that waited send on one subject at once.
func TestSink_sendsWhatWaitedOnSharedSubjects(t *testing.T) {
	t.Parallel()
	const keys, each = 50, 5
	for _, nodes := range []int{1, 3} {
		t.Run(strconv.Itoa(nodes), func(t *testing.T) {
			t.Parallel()
			cluster := natstest.StartCluster(t, nodes)
			js := connect(t, cluster.URL())
			createStream(t, js, natsjs.StreamConfig{Name: "SHOP", Subjects: []string{"shop.>"}, Replicas: nodes})
			sink := openSink(t, cluster.URL(), jetstream.Options{})
			var group sync.WaitGroup
			for key := range int64(keys) {
				group.Go(func() {
					for n := range int64(each) {
						message := aged(fresh(n*keys+key+1, "shop.all", strconv.FormatInt(key, 10)), time.Hour)
						if err := sink.Send(t.Context(), message); err != nil {
							t.Error(err)
						}
					}
				})
			}
			group.Wait()
			if stored := messagesOf(t, js, "SHOP"); len(stored) != keys*each {
				t.Errorf("the stream has %d messages, must have %d", len(stored), keys*each)
			}
		})
	}
}

// TestSink_refusesIdsThatOthersHave in the stream: those of another deployment, and those of another log.
func TestSink_refusesIdsThatOthersHave(t *testing.T) {
	t.Parallel()
	cluster, js := server(t)
	createStream(t, js, natsjs.StreamConfig{Name: "SHOP", Subjects: []string{"shop.>"}})
	one := openSink(t, cluster.URL(), jetstream.Options{Source: "/one"})
	if err := one.Send(t.Context(), fresh(7, "shop.alice", "alice")); err != nil {
		t.Fatal(err)
	}
	later := fresh(7, "shop.bob", "bob")
	later.Time = eventTime.Add(time.Millisecond)
	for name, of := range map[string]struct {
		source  string
		message *store.OutboxMessage
	}{
		"of another source":             {"/two", fresh(7, "shop.bob", "bob")},
		"of another source, looked for": {"/two", aged(fresh(7, "shop.alice", "alice"), time.Hour)},
		"of another event":              {"/one", later},
	} {
		err := openSink(t, cluster.URL(), jetstream.Options{Source: of.source}).Send(t.Context(), of.message)
		var refused *relay.RefusedError
		want := `stream SHOP has another message with the id shop.v1.7.0, from "/one", of an event of "` + eventTime.Format(time.RFC3339Nano)
		if !errors.As(err, &refused) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: the error is %v, must begin with %q", name, err, want)
		}
	}
	for _, again := range []*store.OutboxMessage{fresh(7, "shop.alice", "alice"), aged(fresh(7, "shop.alice", "alice"), time.Hour)} {
		if err := one.Send(t.Context(), again); err != nil {
			t.Errorf("the same again: %v", err)
		}
	}
	other := fresh(6, "shop.alice", "alice") // before one of another deployment, whose key has the same name
	if err := openSink(t, cluster.URL(), jetstream.Options{Source: "/two"}).Send(t.Context(), aged(other, time.Hour)); err != nil {
		t.Error(err)
	}
	if stored := messagesOf(t, js, "SHOP"); len(stored) != 2 {
		t.Errorf("the stream has %d messages", len(stored))
	}
}
