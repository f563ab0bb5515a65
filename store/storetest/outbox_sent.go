package storetest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

func outboxSent(f *fixture) {
	r := f.sender(1)
	for _, key := range []string{"a", "b", "a"} {
		r.emit(key)
	}
	ids := idsOf(f.pending())
	f.must(f.store.Sent(f.ctx, ids[:2], false))
	f.wantPending("v1.3.0 a")
	f.wantMessages("", "v1.3.0 a")
	f.must(f.store.Sent(f.ctx, ids[:2], false)) // once more
	f.must(f.store.Sent(f.ctx, nil, false))
	stranger := ids[2]
	stranger.Index++
	build := ids[2]
	build.Build = 2
	f.must(f.store.Sent(f.ctx, []store.OutboxID{stranger, build}, false))
	f.wantPending("v1.3.0 a")
	f.must(f.store.Sent(f.ctx, ids, false))
	f.wantMessages("", "")
}

func outboxKept(f *fixture) {
	r := f.sender(1)
	for _, key := range []string{"a", "b", "a"} {
		r.emit(key)
	}
	ids := idsOf(f.pending())
	f.must(f.store.Sent(f.ctx, ids[:2], true))
	f.wantPending("v1.3.0 a")
	f.wantMessages(store.MessageSent, "v1.1.0 a; v1.2.0 b")
	kept := f.messages(store.MessageSent)
	for i := range kept {
		if m := &kept[i]; m.SentAt.Before(m.PutAt) || time.Since(m.SentAt).Abs() > time.Hour {
			f.Errorf("message %d was put in at %s and sent at %s", i, m.PutAt, m.SentAt)
		}
	}
	f.must(f.store.Sent(f.ctx, ids[:2], true)) // once more
	if again := f.messages(store.MessageSent); len(again) != 2 || !again[0].SentAt.Equal(kept[0].SentAt) {
		f.Errorf("sent again, it is %+v, was %+v", again, kept)
	}
	f.wantPending("v1.3.0 a")
}

func outboxDeleteSent(f *fixture) {
	r := f.sender(1)
	for range 3 {
		r.emit("a")
	}
	f.must(f.store.Sent(f.ctx, idsOf(f.pending())[:2], true))
	more, err := f.store.DeleteSent(f.ctx, "sums", time.Hour)
	f.must(err)
	if more {
		f.Error("there may be more, where nothing is to be deleted")
	}
	f.wantMessages("", "v1.1.0 a; v1.2.0 a; v1.3.0 a")
	_, err = f.store.DeleteSent(f.ctx, "other", 0)
	f.must(err)
	f.wantMessages("", "v1.1.0 a; v1.2.0 a; v1.3.0 a")
	f.await("what was sent is deleted", func() bool {
		_, err := f.store.DeleteSent(f.ctx, "sums", 0)
		f.must(err)
		return len(f.messages(store.MessageSent)) == 0
	})
	f.wantMessages("", "v1.3.0 a")
}

// undelivered notes that a message could not be sent.
func (f *fixture) undelivered(m *store.OutboxMessage, reason string, again time.Duration) {
	f.Helper()
	f.must(f.store.Undelivered(f.ctx, []store.Undelivered{
		{OutboxID: m.ID(), Key: m.Key, Error: reason, RetryAfter: again},
	}))
}

// wantFailed compares the messages that could not be sent, such as "v1.1.0 a 2 down".
func (f *fixture) wantFailed(want ...string) {
	f.Helper()
	var got []string
	for _, m := range f.messages(store.MessageFailed) {
		got = append(got, fmt.Sprintf("%s %d %s", f.name(&m), m.Attempts, m.Error))
	}
	if !slices.Equal(got, want) {
		f.Errorf("failed are %q, want %q", got, want)
	}
}

func outboxUndelivered(f *fixture) {
	r := f.sender(1)
	for _, key := range []string{"a", "b", "a", "c"} {
		r.emit(key)
	}
	other := f.senderOf(totals("other"), "other") // its key is another one
	f.begin(other.projection, 0)
	other.emit("a")
	others, err := f.store.Pending(f.ctx, "other", 1, 1)
	f.must(err)
	f.undelivered(&others[0], "down", -1)
	f.wantPending("v1.1.0 a; v1.2.0 b; v1.3.0 a; v1.4.0 c")
	first := f.pending()[0]
	f.undelivered(&first, "down", time.Hour)
	f.wantPending("v1.2.0 b; v1.4.0 c")
	f.wantFailed("v1.1.0 a 1 down")
	f.wantMessages(store.MessagePending, "v1.2.0 b; v1.3.0 a; v1.4.0 c")
	r.emit("a")
	f.wantPending("v1.2.0 b; v1.4.0 c")
	f.undelivered(&first, "down still, ёлка", -1)
	f.wantFailed("v1.1.0 a 2 down still, ёлка")
	if m := f.messages(store.MessageFailed)[0]; !m.NextAttempt.IsZero() || !m.SentAt.IsZero() {
		f.Errorf("the message is %+v", m)
	}
	f.must(f.store.Sent(f.ctx, []store.OutboxID{first.ID()}, true)) // as a relay does that was slow
	f.wantPending("v1.2.0 b; v1.3.0 a; v1.4.0 c; v1.5.0 a")
	f.wantFailed()
	third := f.pending()[1]
	f.undelivered(&third, "another", time.Hour)
	f.wantFailed("v1.3.0 a 1 another")
	if m := f.messages(store.MessageFailed)[0]; time.Until(m.NextAttempt) > 2*time.Hour || m.NextAttempt.IsZero() {
		f.Errorf("the message is %+v", m)
	}
	f.wantPending("v1.2.0 b; v1.4.0 c")
	f.must(f.store.Sent(f.ctx, []store.OutboxID{third.ID()}, false))
	f.wantPending("v1.2.0 b; v1.4.0 c; v1.5.0 a")
	f.must(f.store.Undelivered(f.ctx, nil))
}

func outboxDue(f *fixture) {
	r := f.sender(1)
	for _, key := range []string{"a", "b", "a"} {
		r.emit(key)
	}
	first := f.pending()[0]
	f.undelivered(&first, "down", 0)
	f.await("its time comes", func() bool { return f.nameAll(f.pending()) == "v1.1.0 a; v1.2.0 b" })
	pending := f.pending()
	if m := pending[0]; m.Attempts != 1 || m.Error != "down" || m.NextAttempt.IsZero() || m.State != store.MessageFailed {
		f.Errorf("the message is %+v", m)
	}
	f.undelivered(&first, "down", time.Hour)
	f.wantPending("v1.2.0 b")
	f.wantFailed("v1.1.0 a 2 down")
	f.must(f.store.Sent(f.ctx, []store.OutboxID{first.ID()}, false))
	f.wantPending("v1.2.0 b; v1.3.0 a")
	m := f.pending()[1]
	if m.Attempts != 0 || m.Error != "" || !m.NextAttempt.IsZero() || m.State != store.MessagePending {
		f.Errorf("the one behind it is %+v", m)
	}
}

// outboxUndeliveredGone has a relay note failures of messages that somebody has sent or skipped meanwhile.
func outboxUndeliveredGone(f *fixture) {
	r := f.sender(1)
	for range 3 {
		r.emit("a")
	}
	all := f.pending()
	f.must(f.store.Sent(f.ctx, []store.OutboxID{all[0].ID()}, true))
	f.must(f.store.SkipMessage(f.ctx, all[1].MessageID))
	f.undelivered(&all[0], "down", -1)
	f.undelivered(&all[1], "down", -1)
	f.wantFailed()
	f.wantPending("v1.3.0 a")
	f.wantMessages(store.MessageSent, "v1.1.0 a")
}

func outboxKeys(f *fixture) {
	r := f.sender(1)
	keys := []string{"a", "A", "a ", "a\x00", "", "á", "\xff", "\xff\x00", "1", "01"}
	r.emit(keys...)
	r.emit(keys...)
	all := f.pending()
	if len(all) != 2*len(keys) {
		f.Fatalf("%d are pending", len(all))
	}
	for i, key := range keys {
		f.undelivered(&all[i], "down", -1)
		// Of those that failed before, the first one is due.
		if left := f.pending(); len(left) != 2*(len(keys)-1)-i || slices.ContainsFunc(left, func(m store.OutboxMessage) bool {
			return string(m.Key) == key
		}) {
			f.Errorf("while key %q waits, pending is %q", key, f.nameAll(left))
		}
		listed, err := f.store.Messages(f.ctx, store.MessagesRequest{Key: []byte(key)})
		f.must(err)
		if len(listed) != 2 || string(listed[0].Key) != key || string(listed[1].Key) != key {
			f.Errorf("of key %q there is %q", key, f.nameAll(listed))
		}
		if n, err := f.store.Resend(f.ctx, store.MessagesRequest{Key: []byte(key)}); err != nil || n != 1 {
			f.Errorf("of key %q %d are sent again: %v", key, n, err)
		}
	}
	left := f.pending()
	if len(left) != len(keys) {
		f.Errorf("at the end pending is %q", f.nameAll(left))
	}
	f.must(f.store.Sent(f.ctx, idsOf(left), false))
	if left := f.pending(); len(left) != len(keys) {
		f.Errorf("behind them pending is %q", f.nameAll(left))
	}
}

func outboxResend(f *fixture) {
	r := f.sender(1)
	for _, key := range []string{"a", "b", "c", "a", "b"} {
		r.emit(key)
	}
	all := f.pending()
	f.undelivered(&all[0], "down", -1)
	f.undelivered(&all[1], "down", time.Hour)
	f.must(f.store.Sent(f.ctx, []store.OutboxID{all[2].ID()}, true))
	f.wantPending("")
	resend := func(request store.MessagesRequest, want int) {
		f.Helper()
		if n, err := f.store.Resend(f.ctx, request); err != nil || n != want {
			f.Errorf("%+v: %d are sent again, want %d: %v", request, n, want, err)
		}
	}
	resend(store.MessagesRequest{Projection: "other"}, 0)
	resend(store.MessagesRequest{Projection: "sums", State: store.MessagePending}, 0)
	resend(store.MessagesRequest{Projection: "sums", Key: []byte("a"), State: store.MessageSent}, 0)
	resend(store.MessagesRequest{ID: &all[3].MessageID}, 0) // waits for another
	resend(store.MessagesRequest{ID: &all[0].MessageID}, 1)
	f.wantPending("v1.1.0 a")
	if m := f.pending()[0]; m.Attempts != 1 || m.Error != "down" {
		f.Errorf("the message is %+v", m)
	}
	resend(store.MessagesRequest{Projection: "sums", State: store.MessageSent}, 1)
	f.wantPending("v1.1.0 a; v1.3.0 c")
	if m := f.pending()[1]; !m.SentAt.IsZero() || m.State != store.MessagePending {
		f.Errorf("the message is %+v", m)
	}
	f.must(f.store.Sent(f.ctx, []store.OutboxID{all[0].ID(), all[2].ID(), all[3].ID()}, true))
	resend(store.MessagesRequest{}, 4)
	f.wantPending("v1.1.0 a; v1.2.0 b; v1.3.0 c; v1.4.0 a")
}

func outboxSkip(f *fixture) {
	r := f.sender(1)
	for _, key := range []string{"a", "b", "a"} {
		r.emit(key)
	}
	all := f.pending()
	f.undelivered(&all[0], "down", -1)
	f.must(f.store.SkipMessage(f.ctx, all[0].MessageID))
	f.wantPending("v1.2.0 b; v1.3.0 a")
	f.must(f.store.SkipMessage(f.ctx, all[2].MessageID)) // one that has not failed
	f.wantPending("v1.2.0 b")
	f.must(f.store.Sent(f.ctx, []store.OutboxID{all[1].ID()}, true))
	var input *store.InputError
	for _, m := range all { // skipped, sent and skipped
		if err := f.store.SkipMessage(f.ctx, m.MessageID); !errors.As(err, &input) {
			f.Errorf("message %s is skipped again: %v", m.MessageID, err)
		}
	}
	f.wantMessages("", "v1.2.0 b")
}

func outboxList(f *fixture) {
	r, other := f.sender(1), f.runningOn(f.store, totals("other"), "other")
	f.begin(other.projection, 0)
	other.emit("a")
	for range 3 {
		r.emit("a", "b")
	}
	list := func(request store.MessagesRequest) []store.OutboxMessage {
		f.Helper()
		all, err := f.store.Messages(f.ctx, request)
		f.must(err)
		return all
	}
	all := list(store.MessagesRequest{})
	if got := f.nameAll(all); got != "v1.1.0 a; v1.1.0 a; v1.1.1 b; v1.2.0 a; v1.2.1 b; v1.3.0 a; v1.3.1 b" ||
		all[0].Projection != "other" || all[1].Projection != "sums" {
		f.Fatalf("all are %q", got)
	}
	for i := range all {
		for limit := range 3 {
			want := all[i+1:]
			if limit > 0 {
				want = want[:min(limit, len(want))]
			}
			if got := list(store.MessagesRequest{After: all[i].ID(), Limit: limit}); f.nameAll(got) != f.nameAll(want) {
				f.Errorf("the first %d behind %d are %q, want %q", limit, i, f.nameAll(got), f.nameAll(want))
			}
		}
		id := all[i].MessageID
		if got := list(store.MessagesRequest{ID: &id}); len(got) != 1 || got[0].ID() != all[i].ID() {
			f.Errorf("message %s is %q", id, f.nameAll(got))
		}
	}
	for want, request := range map[string]store.MessagesRequest{
		"v1.1.1 b; v1.2.1 b; v1.3.1 b": {Projection: "sums", Key: []byte("b")},
		"v1.2.1 b; v1.3.1 b":           {Key: []byte("b"), After: all[3].ID()},
		"v1.2.1 b":                     {Key: []byte("b"), After: all[3].ID(), Limit: 1},
		"v1.1.0 a":                     {Projection: "other", State: store.MessagePending},
		"":                             {Projection: "sums", State: store.MessageSent},
	} {
		if got := f.nameAll(list(request)); got != want {
			f.Errorf("%+v gives %q, want %q", request, got, want)
		}
	}
	none := store.MessageID{Projection: "sums", Version: 2, Position: f.at(1)}
	if got := list(store.MessagesRequest{ID: &none}); len(got) > 0 {
		f.Errorf("of a version that is not there: %q", f.nameAll(got))
	}
}

// sumsStatus is the status of the outbox of sums.
func (f *fixture) sumsStatus() store.OutboxStatus {
	f.Helper()
	all, err := f.store.OutboxStatus(f.ctx, "sums")
	f.must(err)
	if len(all) != 1 || all[0].Projection != "sums" {
		f.Fatalf("the status is %+v", all)
	}
	return all[0]
}

func outboxStatus(f *fixture) {
	r := f.sender(1)
	if got := f.sumsStatus(); got != (store.OutboxStatus{Projection: "sums"}) {
		f.Errorf("before there is a message, the status is %+v", got)
	}
	for _, key := range []string{"a", "b", "c", "a", "d"} {
		r.emit(key)
	}
	all := f.pending()
	f.must(f.store.Sent(f.ctx, []store.OutboxID{all[4].ID()}, true))
	f.undelivered(&all[0], "down", -1)
	f.undelivered(&all[1], "down", time.Hour)
	got := f.sumsStatus()
	if !got.Oldest.Equal(all[0].PutAt) {
		f.Errorf("the oldest was put in at %s, it is %s", got.Oldest, all[0].PutAt)
	}
	got.Oldest = time.Time{}
	want := store.OutboxStatus{Projection: "sums", Pending: 4, Kept: 1, FailedKeys: 2, Exhausted: 1}
	if got != want {
		f.Errorf("the status is %+v, want %+v", got, want)
	}
	f.must(f.store.Sent(f.ctx, idsOf(all), true))
	if got := f.sumsStatus(); got != (store.OutboxStatus{Projection: "sums", Kept: 5}) {
		f.Errorf("when all is sent, the status is %+v", got)
	}
}

func outboxStatusNone(f *fixture) {
	f.sender(1)
	other := f.runningOn(f.store, totals("other"), "other")
	f.begin(other.projection, 0)
	f.running(totals("silent"))
	both, err := f.store.OutboxStatus(f.ctx)
	f.must(err)
	if len(both) != 2 || both[0].Projection != "other" || both[1].Projection != "sums" {
		f.Errorf("the status is %+v", both)
	}
	if none, err := f.store.OutboxStatus(f.ctx, "silent", "nothing"); err != nil || len(none) > 0 {
		f.Errorf("of what never sent, the status is %+v: %v", none, err)
	}
}
