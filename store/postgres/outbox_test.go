package postgres_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// newSender is a rig whose projection sends what is behind the first position.
func newSender(t testing.TB, db pgtest.Database, dsn string, options postgres.Options) *rig {
	t.Helper()
	r := newRig(t, db, dsn, options)
	must(t, r.store.BeginSending(t.Context(), sums(), r.claim.Applied.Log, 0))
	return r
}

// send commits the next position with messages.
func (r *rig) send(messages []store.Message, mutations ...store.Mutation) {
	r.Helper()
	tx := r.catalogue.Begin(r.claim)
	defer tx.Rollback()
	must(r, tx.Commit(r.Context(), store.Commit{
		Through: r.claim.Position + 1, Steps: r.folder.Fold(mutations), Log: r.claim.Applied.Log, Messages: messages,
	}))
	r.claim.Position++
}

// TestCommit_messagesTakeNoRoundTrip has messages go out with the fence and the rows, and none where there are none.
func TestCommit_messagesTakeNoRoundTrip(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	p := newProxy(t, db)
	r := newSender(t, db, p.dsn, postgres.Options{ConnectionsMax: 1, Lazy: true})
	for i, count := range []int{0, 1, 3, 100} {
		if got := p.RoundTrips(func() { r.send(messagesAt(r.claim.Position+1, count), add("a", 1)) }); got != 1 {
			t.Errorf("a commit with %d messages takes %d round trips, want 1", count, got)
		}
		wantRows(t, db, fmt.Sprint("SELECT count(*) FROM pupwasm.outbox WHERE position = ", i+1), fmt.Sprint(count))
	}
}

// TestCommit_manyMessages has more, and larger ones, than one statement takes.
func TestCommit_manyMessages(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	r := newSender(t, db, db.DSN, postgres.Options{Lazy: true})
	const count = 5000
	messages := messagesAt(1, count)
	for i := range 12 {
		messages[i*400].Data = bytes.Repeat([]byte{byte(i)}, store.MessageBytesMax)
	}
	r.send(messages)
	all, err := r.store.Messages(t.Context(), store.MessagesRequest{})
	must(t, err)
	if len(all) != count {
		t.Fatalf("there are %d messages, want %d", len(all), count)
	}
	for i := range all {
		if all[i].Index != i || !bytes.Equal(all[i].Data, messages[i].Data) || !bytes.Equal(all[i].Key, messages[i].Key) {
			t.Fatalf("message %d is %d, with %d bytes", i, all[i].Index, len(all[i].Data))
		}
	}
}

// TestPending_putsAside has many messages wait for one that failed, in front of those of other keys: they are read no
// more, and are sent in order afterwards, with later ones of their key behind them.
func TestPending_putsAside(t *testing.T) {
	t.Parallel()
	const waiting = 3000
	db := pgtest.New(t)
	s, ctx := open(t, db), t.Context()
	fillOutbox(t, db, 0, waiting, 1)
	pending := func(limit int) []store.OutboxMessage {
		t.Helper()
		all, err := s.Pending(ctx, "sums", limit, 1<<30)
		must(t, err)
		return all
	}
	first := pending(1)[0]
	must(t, s.Undelivered(ctx, []store.Undelivered{{OutboxID: first.ID(), Key: first.Key, RetryAfter: -1}}))
	if all := pending(10); len(all) > 0 {
		t.Fatalf("%d messages of a key that waits may be sent", len(all))
	}
	const front = "SELECT count(*) FROM pupwasm.outbox WHERE NOT behind"
	wantRows(t, db, front, "0")
	fillOutbox(t, db, waiting, 20, 10) // of ten keys, one of them the same
	if all := pending(100); len(all) != 18 || all[0].Position != waiting+1 || string(all[0].Key) != "customer-1" {
		t.Fatalf("%d messages may be sent, the first is %s", len(all), all[0].MessageID)
	}
	wantRows(t, db, front, "20") // few are left where they are
	must(t, s.SkipMessage(ctx, first.MessageID))
	position := int64(1)
	for position < waiting+20 {
		all := pending(700)
		ids := make([]store.OutboxID, len(all))
		for i := range all {
			if position++; all[i].Position != position || all[i].State != store.MessagePending {
				t.Fatalf("message %d is %s: %s", position, all[i].MessageID, all[i].State)
			}
			ids[i] = all[i].ID()
		}
		must(t, s.Sent(ctx, ids, false))
	}
	wantRows(t, db, "SELECT (SELECT count(*) FROM pupwasm.outbox), (SELECT count(*) FROM pupwasm.outbox_failures)", "0 0")
}

// TestUndelivered_whateverAReceiverSays has a text that PostgreSQL would not take.
func TestUndelivered_whateverAReceiverSays(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	fillOutbox(t, db, 0, 1, 1)
	all, err := s.Pending(t.Context(), "sums", 1, 1)
	must(t, err)
	must(t, s.Undelivered(t.Context(), []store.Undelivered{
		{OutboxID: all[0].ID(), Error: "a\x00b\nc\xff" + strings.Repeat("!", 1<<20), RetryAfter: -1},
	}))
	failed, err := s.Messages(t.Context(), store.MessagesRequest{State: store.MessageFailed})
	must(t, err)
	if len(failed) != 1 || !strings.HasPrefix(failed[0].Error, "a b c�!") || len(failed[0].Error) > 1<<14 {
		t.Errorf("%d have failed, with %.40q of %d bytes", len(failed), failed[0].Error, len(failed[0].Error))
	}
}

// TestResend_keepsTheOrderOfAKey has messages be sent again that come before one for which their key waits.
func TestResend_keepsTheOrderOfAKey(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s, ctx := open(t, db), t.Context()
	execute(t, db.Connect(t), "INSERT INTO pupwasm.outbox_sent VALUES "+
		"('sums', 0, 4294967295, 0, gen_random_uuid(), '', true)")
	fillOutbox(t, db, 0, 5, 1)
	all, err := s.Pending(ctx, "sums", 9, 1<<20)
	must(t, err)
	must(t, s.Sent(ctx, []store.OutboxID{all[0].ID(), all[1].ID()}, true))
	must(t, s.Undelivered(ctx, []store.Undelivered{{OutboxID: all[2].ID(), RetryAfter: time.Hour}}))
	n, err := s.Resend(ctx, store.MessagesRequest{State: store.MessageSent})
	must(t, err)
	again, err := s.Pending(ctx, "sums", 9, 1<<20)
	must(t, err)
	if n != 2 || len(again) > 0 {
		t.Errorf("%d are sent again, and %d of a key that waits may be sent", n, len(again))
	}
	_, err = s.Resend(ctx, store.MessagesRequest{State: store.MessageFailed})
	must(t, err)
	for limit := 1; limit <= 5; limit++ {
		again, err := s.Pending(ctx, "sums", limit, 1<<20)
		must(t, err)
		want := min(limit, 3) // up to the one that failed
		if len(again) != want || again[0].Position != 1 || again[want-1].Position != int64(want) {
			t.Errorf("the first %d of %d is %s", limit, len(again), again[0].MessageID)
		}
	}
	must(t, s.Sent(ctx, []store.OutboxID{all[0].ID(), all[1].ID(), all[2].ID()}, false))
	again, err = s.Pending(ctx, "sums", 9, 1<<20)
	must(t, err)
	if len(again) != 2 || again[0].Position != 4 || again[1].Position != 5 {
		t.Errorf("behind it there are %d", len(again))
	}
}

// TestDeleteSent_someAtATime has more of each kind than one call deletes.
func TestDeleteSent_someAtATime(t *testing.T) {
	t.Parallel()
	const count = 6000
	db := pgtest.New(t)
	s := open(t, db)
	newSenders(t, db, s, 1, 2)
	fillOutbox(t, db, 0, 2*count, 1)
	execute(t, db.Connect(t), fmt.Sprintf(`UPDATE pupwasm.outbox SET sent_at = now() - interval '1 hour'
		WHERE position <= %d; UPDATE pupwasm.outbox SET version = 2, held = true WHERE position > %[1]d; UPDATE pupwasm.segments SET position = %d
		WHERE version = 1`, count, 2*count-1))
	for i, want := range []struct {
		more bool
		left string
	}{{true, "2000"}, {false, "1"}, {false, "1"}} {
		more, err := s.DeleteSent(t.Context(), "sums", time.Minute)
		must(t, err)
		if more != want.more {
			t.Errorf("call %d: there may be more: %t", i, more)
		}
		wantRows(t, db, "SELECT count(*) FROM pupwasm.outbox", want.left)
	}
}
