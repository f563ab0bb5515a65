package storetest

import (
	"github.com/pupwasm/pupwasm/store"
)

var outboxVersionCases = []testCase{
	{"a_candidate_holds_what_the_live_version_has_not_applied", handOverHolds},
	{"a_promotion_hands_over", handOverPromote},
	{"a_rollback_hands_over", handOverRollback},
	{"what_the_version_before_had_parked_is_the_next_ones", handOverParkedBefore},
	{"what_the_next_version_has_parked_was_sent", handOverParkedNext},
	{"what_both_have_parked", handOverParkedBoth},
	{"what_was_not_to_be_sent_is_not_handed_over", handOverNotMine},
	{"a_promotion_before_sending_has_begun_at_a_position", handOverEarly},
	{"a_promotion_of_a_version_that_sends_over_one_that_does_not", handOverSilent},
	{"versions_that_send_nothing", handOverNone},
	{"every_range_of_keys_is_handed_over_by_itself", handOverRanges},
	{"what_was_parked_is_sent_once_by_the_next_versions", handOverException},
	{"another_key_divides_the_events_of_the_next_version", handOverPartition},
	{"a_build_hands_over", handOverBuild},
	{"a_failed_key_waits_across_versions", handOverFailed},
	{"versions_that_take_each_others_place_all_the_time", handOverRace},
}

func handOverHolds(f *fixture) {
	v := f.senders(1, 2)
	v[1].emit("a") // before the first one
	v[1].emit("b")
	f.wantPending("")
	f.wantMessages(store.MessageHeld, "v2.1.0 a; v2.2.0 b")
	v[0].emit("a")
	v[0].emit("b")
	v[0].emit("c")
	v[0].parkAt("k")
	v[1].emit("c") // behind it
	f.wantPending("v1.1.0 a; v1.2.0 b; v1.3.0 c")
	f.wantMessages(store.MessageHeld, "v2.1.0 a; v2.2.0 b")
	v[1].emit("k") // which it has not applied
	f.wantMessages(store.MessageHeld, "v2.1.0 a; v2.2.0 b; v2.4.0 k")
	if got := f.sumsStatus(); got.Held != 3 || got.Pending != 3 {
		f.Errorf("the status is %+v", got)
	}
}

func handOverPromote(f *fixture) {
	v := f.senders(1, 2)
	for _, key := range []string{"a", "b", "a"} {
		v[1].emit(key)
	}
	v[0].emit("a")
	f.promote(2)
	f.wantPending("v1.1.0 a; v2.2.0 b; v2.3.0 a")
	f.wantMessages(store.MessageHeld, "")
	v[0].emit("b") // both go on: this one was sent
	v[1].emit("c")
	v[0].emit("a")
	v[0].emit("c")
	v[0].emit("d")
	f.wantPending("v1.1.0 a; v2.2.0 b; v2.3.0 a; v2.4.0 c")
	f.wantMessages(store.MessageHeld, "v1.5.0 d")
	f.begin(sending(2), 50)
	v[1].emit("d")
	f.wantPending("v1.1.0 a; v2.2.0 b; v2.3.0 a; v2.4.0 c; v2.5.0 d")
}

func handOverRollback(f *fixture) {
	v := f.senders(1, 2)
	v[0].emit("a")
	v[1].emit("a")
	f.promote(2)
	v[1].emit("b")
	for _, key := range []string{"b", "c", "d"} {
		v[0].emit(key)
	}
	v[1].emit("c")
	f.wantPending("v1.1.0 a; v2.2.0 b; v2.3.0 c")
	f.rollback(2, 1)
	f.wantPending("v1.1.0 a; v2.2.0 b; v2.3.0 c; v1.4.0 d")
	f.wantMessages(store.MessageHeld, "")
	v[1].emit("d")
	v[1].emit("e")
	v[0].emit("e")
	f.wantPending("v1.1.0 a; v2.2.0 b; v2.3.0 c; v1.4.0 d; v1.5.0 e")
	f.wantMessages(store.MessageHeld, "v2.5.0 e")
	f.promote(2)
	v[1].emit("f")
	f.wantPending("v1.1.0 a; v2.2.0 b; v2.3.0 c; v1.4.0 d; v1.5.0 e; v2.6.0 f")
}

// retried applies the event of a parked key at the n-th position, with a message.
func (r *runner) retried(key string, n int64) {
	r.Helper()
	_, err := r.retry(store.Retry{Key: []byte(key), Through: r.at(n), Messages: r.messagesAt(n, key)})
	r.must(err)
}

func handOverParkedBefore(f *fixture) {
	v := f.senders(1, 2)
	v[0].parkAt("k")
	v[0].emit("a")
	f.must(v[0].park(v[0].note("k")))
	for _, key := range []string{"k", "a", "k", "k"} {
		v[1].emit(key)
	}
	f.wantMessages(store.MessageHeld, "v2.1.0 k; v2.3.0 k; v2.4.0 k")
	f.promote(2)
	f.wantPending("v2.1.0 k; v1.2.0 a; v2.3.0 k; v2.4.0 k")
	v[0].retried("k", 1)
	v[0].retried("k", 3)
	f.wantMessages("", "v2.1.0 k; v1.2.0 a; v2.3.0 k; v2.4.0 k")
	v[0].emit("k")
	v[0].emit("b")
	f.wantMessages(store.MessageHeld, "v1.5.0 b")
	f.rollback(2, 1)
	f.wantPending("v2.1.0 k; v1.2.0 a; v2.3.0 k; v2.4.0 k; v1.5.0 b")
}

func handOverParkedNext(f *fixture) {
	v := f.senders(1, 2)
	v[1].parkAt("k")
	f.must(v[1].park(v[1].note("k")))
	v[0].emit("k")
	f.promote(2)
	v[1].retried("k", 1)
	v[1].retried("k", 2)
	f.wantPending("v1.1.0 k; v2.2.0 k")
	v[0].emit("k")
	f.wantMessages("", "v1.1.0 k; v2.2.0 k")
}

func handOverParkedBoth(f *fixture) {
	v := f.senders(1, 2, 3)
	for _, r := range v {
		r.parkAt("k")
		r.parkAt("l")
		r.parkAt("m")
	}
	v[1].retried("m", 3)
	f.promote(2)
	f.wantPending("v2.3.0 m")
	v[1].retried("k", 1)
	v[0].retried("k", 1)
	v[0].retried("l", 2)
	v[0].retried("m", 3)
	f.wantPending("v2.1.0 k; v2.3.0 m")
	f.wantMessages(store.MessageHeld, "v1.2.0 l")
	f.rollback(2, 1)
	f.wantPending("v2.1.0 k; v1.2.0 l; v2.3.0 m")
	v[1].retried("l", 2)
	f.promote(3)
	for i, key := range []string{"k", "l", "m"} {
		v[2].retried(key, int64(i)+1)
	}
	f.wantMessages("", "v2.1.0 k; v1.2.0 l; v2.3.0 m")
	v[2].emit("a")
	f.wantPending("v2.1.0 k; v1.2.0 l; v2.3.0 m; v3.4.0 a")
}

// handOverNotMine has the live version park what another had sent before it, and what came before sending began.
func handOverNotMine(f *fixture) {
	first := f.senderOf(sending(1), "worker-1")
	f.begin(first.projection, 1)
	second, third := f.sender(2), f.sender(3)
	first.parkAt("k")
	first.emit("l")
	second.emit("k")
	second.parkAt("l")
	f.promote(2)
	f.wantMessages("", "v1.2.0 l")
	third.emit("k")
	third.emit("l")
	third.emit("a")
	f.promote(3)
	f.wantMessages("", "v1.2.0 l; v3.3.0 a")
}

// handOverEarly promotes while the live version has not come to where sending begins.
func handOverEarly(f *fixture) {
	first := f.senderOf(sending(1), "worker-1")
	f.begin(first.projection, 4)
	second := f.sender(2)
	for range 2 {
		first.emit("a")
	}
	for range 3 {
		second.emit("a")
	}
	f.promote(2)
	f.wantMessages("", "")
	for range 3 {
		second.emit("a")
	}
	f.wantPending("v2.5.0 a; v2.6.0 a")
}

func handOverSilent(f *fixture) {
	first := f.senderOf(sending(1), "worker-1")
	second := f.senderOf(sending(2), "worker-2")
	second.emit("k")
	second.emit("a")
	second.emit("b")
	first.parkAt("k")
	first.emit("a")
	f.promote(2)
	f.wantMessages("", "v2.3.0 b")
	f.begin(second.projection, 50)
	second.emit("c")
	f.wantPending("v2.3.0 b; v2.4.0 c")
}

func handOverNone(f *fixture) {
	f.beside(1, 2)
	f.promote(2)
	f.rollback(2, 1)
	if all, err := f.store.OutboxStatus(f.ctx); err != nil || len(all) > 0 {
		f.Errorf("the status is %+v: %v", all, err)
	}
	if all := f.relays(f.relayWorkers("w1")[0]); len(all) > 0 {
		f.Errorf("all that send are %q", all)
	}
}

// handOverPartition promotes a version that divides by another key: what the one before has sent in a key range that is
// ahead may be sent by both, unless its messages are there still; nothing is left out.
func handOverPartition(f *fixture) {
	first := f.sender(1)
	divided := sending(2)
	divided.Partition = &store.Partition{By: store.PartitionCorrelation}
	second := f.senderOf(divided, "worker-2")
	first.parkAt("k")
	first.emit("a")
	for range 4 {
		second.emit("x")
	}
	first.emit("b")
	f.promote(2)
	f.wantPending("v2.1.0 x; v1.2.0 a; v1.3.0 b; v2.4.0 x")
	second.emit("x")
	f.wantPending("v2.1.0 x; v1.2.0 a; v1.3.0 b; v2.4.0 x; v2.5.0 x")
	first.emit("a")
	first.emit("a")
	first.retried("k", 1)
	f.rollback(2, 1)
	first.emit("a")
	second.emit("x")
	f.wantMessages("", "v2.1.0 x; v1.2.0 a; v1.3.0 b; v2.4.0 x; v2.5.0 x; v1.6.0 a")
}

func handOverBuild(f *fixture) {
	first := f.sender(1)
	first.emit("a")
	_, err := f.store.Rebuild(f.ctx, "sums")
	f.must(err)
	p := sending(1)
	p.Build = 2
	next := f.senderOf(p, "worker-2")
	next.emit("a")
	next.emit("b")
	f.wantMessages("", "v1.1.0 a; v1b2.2.0 b")
	_, err = f.store.Promote(f.ctx, p.ID())
	f.must(err)
	first.emit("b")
	next.emit("c")
	f.wantPending("v1.1.0 a; v1b2.2.0 b; v1b2.3.0 c")
	if id := f.pending()[1].MessageID; id.Version != 1 {
		f.Errorf("the id is %s", id)
	}
	f.must(f.store.Sent(f.ctx, idsOf(f.pending()[1:2]), false))
	f.must(f.store.SkipMessage(f.ctx, f.pending()[1].MessageID))
	f.wantMessages("", "v1.1.0 a")
}

func handOverFailed(f *fixture) {
	v := f.senders(1, 2)
	v[0].emit("a")
	m := f.pending()[0]
	f.undelivered(&m, "down", -1)
	for _, key := range []string{"a", "a", "b"} {
		v[1].emit(key)
	}
	f.promote(2)
	f.wantPending("v2.3.0 b")
	f.wantFailed("v1.1.0 a 1 down")
	f.must(f.store.Sent(f.ctx, []store.OutboxID{m.ID()}, false))
	f.wantPending("v2.2.0 a; v2.3.0 b")
}
