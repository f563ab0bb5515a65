package storetest

import (
	"time"

	"github.com/pupwasm/pupwasm/store"
)

var outboxHeldCases = []testCase{
	{"are_left_alone", heldAlone},
	{"that_nobody_needs_are_deleted", heldDeleted},
	{"of_a_retired_version_go", heldRetired},
	{"of_all_versions_go_with_a_reset", heldReset},
}

// heldAlone does to held messages what a relay or a user does to others.
func heldAlone(f *fixture) {
	v := f.senders(1, 2)
	v[1].emit("a")
	held := f.messages(store.MessageHeld)
	f.must(f.store.Sent(f.ctx, idsOf(held), true))
	f.must(f.store.Sent(f.ctx, idsOf(held), false))
	f.undelivered(&held[0], "down", -1)
	if n, err := f.store.Resend(f.ctx, store.MessagesRequest{}); err != nil || n > 0 {
		f.Errorf("%d are sent again: %v", n, err)
	}
	f.wantInput("a held message is skipped", f.store.SkipMessage(f.ctx, held[0].MessageID))
	more, err := f.store.DeleteSent(f.ctx, "sums", 0)
	f.must(err)
	f.wantMessages("", "v2.1.0 a")
	f.wantMessages(store.MessageHeld, "v2.1.0 a")
	if got := f.sumsStatus(); more || got != (store.OutboxStatus{Projection: "sums", Held: 1}) {
		f.Errorf("there may be more: %t, the status is %+v", more, got)
	}
	f.promote(2)
	f.wantPending("v2.1.0 a")
}

func heldDeleted(f *fixture) {
	v := f.senders(1, 2)
	for _, key := range []string{"a", "k", "b", "c"} {
		v[1].emit(key)
	}
	v[0].emit("a")
	v[0].parkAt("k")
	v[0].emit("b")
	f.must(f.store.Sent(f.ctx, idsOf(f.pending()), false))
	_, err := f.store.DeleteSent(f.ctx, "other", 0)
	f.must(err)
	f.wantMessages("", "v2.1.0 a; v2.2.0 k; v2.3.0 b; v2.4.0 c")
	f.await("held ones are deleted", func() bool {
		_, err := f.store.DeleteSent(f.ctx, "sums", time.Hour)
		f.must(err)
		return len(f.messages(store.MessageHeld)) <= 2
	})
	f.wantMessages("", "v2.2.0 k; v2.4.0 c")
	v[0].retried("k", 2)
	_, err = f.store.DeleteSent(f.ctx, "sums", time.Hour)
	f.must(err)
	f.wantMessages("", "v1.2.0 k; v2.4.0 c")
	f.promote(2)
	f.wantPending("v1.2.0 k; v2.4.0 c")
}

func heldRetired(f *fixture) {
	v := f.senders(1, 2, 3)
	v[1].emit("a")
	v[2].emit("a")
	v[0].emit("a")
	f.must(f.store.Leave(f.ctx, store.Worker{Name: v[2].claim.Worker}))
	f.must(f.store.Retire(f.ctx, sumsOf(3)))
	f.wantMessages("", "v1.1.0 a; v2.1.0 a")
	f.promote(2)
	f.must(f.store.Leave(f.ctx, store.Worker{Name: v[0].claim.Worker}))
	f.must(f.store.Retire(f.ctx, sumsOf(1)))
	f.wantPending("v1.1.0 a")
	again := f.sender(3)
	again.emit("a")
	again.emit("b")
	v[1].emit("b")
	f.wantMessages("", "v1.1.0 a; v2.2.0 b; v3.2.0 b")
	if got := f.deliver(false); got != "v1.1.0 a; v2.2.0 b" {
		f.Errorf("sent is %q", got)
	}
}

func heldReset(f *fixture) {
	v := f.senders(1, 2)
	v[0].emit("a")
	v[1].emit("a")
	v[1].emit("b")
	f.resetSums(v...)
	f.wantMessages("", "v1.1.0 a")
	r := f.sender(2)
	r.emit("a")
	r.emit("b")
	f.wantPending("v1.1.0 a; v2.2.0 b")
}
