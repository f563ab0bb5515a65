package doctor_test

import (
	"slices"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

// sender installs a projection that has sent nothing yet, and puts a message of each key into its outbox.
func sender(t *testing.T, s store.Store, keys ...string) {
	t.Helper()
	projection := &store.Projection{
		Name: "shop", Version: 1, Messages: []store.MessageType{{Name: "paid", Subject: "shop.paid"}},
	}
	catalogue, err := s.Install(t.Context(), projection, 1)
	must(t, err)
	log, err := s.OwnLog(t.Context())
	must(t, err)
	must(t, s.BeginSending(t.Context(), projection, log, 0))
	must(t, s.Heartbeat(t.Context(), store.Worker{
		Name: "a", Projections: []store.Membership{{ProjectionID: projection.ID()}},
	}, time.Hour))
	claims, err := s.Claim(t.Context(), store.ClaimRequest{Projection: projection.ID(), Worker: "a", Limit: 1})
	must(t, err)
	commit := store.Commit{Log: claims[0].Applied.Log}
	for i, key := range keys {
		_, err := s.Append(t.Context(), store.AppendOptions{}, store.StreamAppend{
			Stream: store.Stream{BoundedContext: "C", AggregateType: "T", AggregateID: key}, Events: []store.Event{{Type: "E"}},
		})
		must(t, err)
		commit.Through = int64(i + 1)
		commit.Messages = append(commit.Messages, store.Message{
			MessageID: store.MessageID{Projection: "shop", Version: 1, Position: commit.Through}, Type: "paid", Subject: "shop.paid",
			Key: []byte(key), ContentType: "application/json", Data: []byte("{}"), Time: time.Unix(1, 0),
			Spread: store.Spread(store.PartitionHashOf([]byte(key))),
		})
	}
	must(t, catalogue.Begin(claims[0]).Commit(t.Context(), commit))
}

// claimRelay makes a worker with a lease the relay.
func claimRelay(t *testing.T, s store.Store, name string) store.Worker {
	t.Helper()
	worker := store.Worker{Name: name, Incarnation: "first"}
	must(t, s.Join(t.Context(), worker, time.Hour))
	got, err := s.ClaimRelays(t.Context(), worker, nil, "nats://nats.example")
	must(t, err)
	if !slices.Equal(got, []string{"shop"}) {
		t.Fatalf("%s is the relay of %q", name, got)
	}
	return worker
}

// TestExamine_messagesThatNobodySends tells of them, first as of something that may pass.
func TestExamine_messagesThatNobodySends(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	sender(t, s, "k1", "k2")
	want := func(want ...string) {
		t.Helper()
		if lines, _ := findings(t, s); !slices.Equal(lines, want) {
			t.Errorf("the findings are %q, must be %q", lines, want)
		}
	}
	const soon = " → another host with --publish takes over within seconds: wait, and look again"
	want("warning messages: no host sends the messages of shop; waiting: 2 messages" + soon)
	relay := claimRelay(t, s, "b")
	want()
	must(t, s.Leave(t.Context(), relay))
	must(t, s.Leave(t.Context(), store.Worker{Name: "a"}))
	lines, _ := findings(t, s)
	if !slices.Contains(lines, "problem messages: no host sends the messages of shop; waiting: 2 messages → start hosts with "+
		"--publish shop=URL: messages wait until then, and none is lost") {
		t.Errorf("without a host the findings are %q", lines)
	}
}

// TestExamine_messagesOfAHostThatIsGone names the host.
func TestExamine_messagesOfAHostThatIsGone(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	sender(t, s, "k1")
	must(t, s.Heartbeat(t.Context(), claimRelay(t, s, "b"), time.Nanosecond))
	lines, _ := findings(t, s)
	if want := "warning messages: the host b, which sent the messages of shop, is gone; waiting: 1 message → another host with " +
		"--publish takes over within seconds: wait, and look again"; !slices.Contains(lines, want) {
		t.Errorf("the findings are %q, must have %q", lines, want)
	}
}

// TestExamine_messagesThatFailed tells keys that are tried again from those that are not.
func TestExamine_messagesThatFailed(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	sender(t, s, "k1", "k2")
	claimRelay(t, s, "b")
	fail := func(position int64, key string, again time.Duration) {
		t.Helper()
		must(t, s.Undelivered(t.Context(), []store.Undelivered{{
			OutboxID: store.OutboxID{MessageID: store.MessageID{Projection: "shop", Version: 1, Position: position}},
			Key:      []byte(key), Error: "no", RetryAfter: again,
		}}))
	}
	want := func(want string) {
		t.Helper()
		if lines, _ := findings(t, s); !slices.Equal(lines, []string{want}) {
			t.Errorf("the findings are %q, must be %q", lines, want)
		}
	}
	fail(1, "k1", time.Hour)
	want("warning undelivered: messages of 1 key of shop could not be sent, and are tried again automatically → " +
		"'pupwasm messages list shop --state failed' says why")
	fail(2, "k2", -1)
	want("problem undelivered: of 2 keys of shop whose messages could not be sent 1 will not be tried again by itself → " +
		"'pupwasm messages list shop --state failed' says why; 'pupwasm messages resend shop --failed' once the cause is gone, or " +
		"'pupwasm messages skip ID --yes' for one that its receiver never takes")
}
