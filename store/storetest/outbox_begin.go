package storetest

import (
	"errors"
	"slices"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

var outboxBeginCases = []testCase{
	{"before_it_begins_nothing_is_put", beginNot},
	{"it_begins_behind_a_position", beginAfter},
	{"it_begins_once", beginAgain},
	{"a_version_that_is_not_live_does_not_begin", beginCandidate},
	{"another_log_begins_anew", beginOtherLog},
	{"a_log_that_was_restored_begins_anew", beginForget},
	{"a_reset_keeps_what_was_sent", beginReset},
	{"a_reset_keeps_what_was_parked", beginResetParked},
	{"a_reset_of_what_had_not_caught_up", beginResetEarly},
	{"a_reset_of_what_never_sent", beginResetSilent},
	{"another_key_divides_the_events_after_a_reset", beginPartition},
	{"a_retry_in_the_live_version_puts", beginRetry},
}

func beginNot(f *fixture) {
	r := f.senderOf(sending(1), worker)
	r.emit("a")
	r.parkAt("k")
	_, err := r.retry(store.Retry{Key: []byte("k"), Through: f.at(2), Messages: r.messagesAt(2, "k")})
	f.must(err)
	f.wantMessages("", "")
}

func beginAfter(f *fixture) {
	r := f.senderOf(sending(1), worker)
	f.begin(r.projection, 2)
	for range 4 {
		r.emit("a")
	}
	f.wantPending("v1.3.0 a; v1.4.0 a")
	r.parkAt("k") // at 5
	_, err := r.retry(store.Retry{Key: []byte("k"), Through: f.at(5), Messages: r.messagesAt(5, "k")})
	f.must(err)
	f.wantPending("v1.3.0 a; v1.4.0 a; v1.5.0 k")
}

func beginAgain(f *fixture) {
	r := f.sender(1)
	r.emit("a")
	f.begin(r.projection, 50)
	r.emit("a")
	f.wantPending("v1.1.0 a; v1.2.0 a")
	var input *store.InputError
	for _, p := range []*store.Projection{sending(2), totals("nothing")} {
		if err := f.store.BeginSending(f.ctx, p, f.logID(), 0); !errors.As(err, &input) {
			f.Errorf("%s version %d, which is not installed, begins: %v", p.Name, p.Version, err)
		}
	}
}

func beginCandidate(f *fixture) {
	first := f.senderOf(sending(1), "worker-1")
	f.senderOf(sending(2), "worker-2")
	f.begin(sending(2), 0)
	first.emit("a")
	f.wantMessages("", "")
	f.begin(sending(1), 0)
	first.emit("a")
	f.wantPending("v1.2.0 a")
}

// beginOtherLog has messages of the log before with ids that those of another one will have.
func beginOtherLog(f *fixture) {
	r := f.sender(1)
	r.emit("a")
	f.deliver(true)
	r.emit("b")
	another := f.logID()
	another.ID[0]++
	f.must(f.store.BeginSending(f.ctx, r.projection, another, f.at(50))) // it has applied events of the one before
	r.emit("c")
	f.resetSums(r)
	_, err := f.store.Install(f.ctx, sending(1), 1)
	f.must(err)
	var unsent *store.StaleMessagesError
	if err := f.store.BeginSending(f.ctx, r.projection, another, f.at(3)); !errors.As(err, &unsent) {
		f.Errorf("messages of another log wait, and it begins: %v", err)
	}
	f.wantMessages("", "v1.1.0 a; v1.2.0 b; v1.3.0 c")
	f.deliver(true)
	f.must(f.store.BeginSending(f.ctx, r.projection, another, f.at(3)))
	f.must(f.store.BeginSending(f.ctx, r.projection, another, f.at(50))) // once
	r = f.runningOn(f.store, sending(1), worker)
	for range 5 {
		r.emit("x")
	}
	f.wantMessages("", "v1.4.0 x; v1.5.0 x")
}

// beginForget has the log restored to an earlier time.
func beginForget(f *fixture) {
	r := f.sender(1)
	f.wantSentBefore(f.at(0), store.Applied{})
	r.emit("a")
	f.must(f.store.ForgetSent(f.ctx, r.projection)) // it has applied what was sent
	r.emit("b")
	f.resetSums(r)
	state, err := f.store.Locate(f.ctx, f.at(2))
	f.must(err)
	last := store.Applied{Position: f.at(2), Event: state.Events[0]}
	f.wantSentBefore(f.at(2), last)
	_, err = f.store.Install(f.ctx, sending(1), 1)
	f.must(err)
	_, err = f.store.InstallBeside(f.ctx, sending(2), 1)
	f.must(err)
	f.must(f.store.ForgetSent(f.ctx, sending(2))) // it is not live
	f.wantSentBefore(f.at(2), last)
	var unsent *store.StaleMessagesError
	if err := f.store.ForgetSent(f.ctx, r.projection); !errors.As(err, &unsent) {
		f.Errorf("messages wait, and what was sent is forgotten: %v", err)
	}
	f.deliver(true)
	f.must(f.store.ForgetSent(f.ctx, r.projection))
	f.wantMessages("", "")
	f.begin(r.projection, 1)
	f.wantSentBefore(f.at(1), store.Applied{})
	r = f.runningOn(f.store, sending(1), worker)
	for range 3 {
		r.emit("x")
	}
	f.wantPending("v1.2.0 x; v1.3.0 x")
	var input *store.InputError
	if err := f.store.ForgetSent(f.ctx, totals("nothing")); !errors.As(err, &input) {
		f.Errorf("a projection that is not installed: %v", err)
	}
}

// wantSentBefore looks at what is not to be sent, which is the same for all hashes.
func (f *fixture) wantSentBefore(position int64, last store.Applied) {
	f.Helper()
	before, err := f.store.SentBefore(f.ctx, "sums")
	f.must(err)
	want := []store.SentRange{{Range: store.FullRange(), Position: position, Last: last}}
	if before.Log != f.logID().ID || !slices.Equal(before.Ranges, want) {
		f.Errorf("sent before is %+v, want %+v", before, want)
	}
}

func beginReset(f *fixture) {
	r := f.sender(1)
	r.emit("a")
	f.deliver(false)
	r.emit("b")
	f.deliver(true)
	r.emit("c")
	f.resetSums(r)
	f.wantPending("v1.3.0 c")
	f.wantMessages("", "v1.2.0 b; v1.3.0 c")
	if got := f.sumsStatus(); got.Pending != 1 || got.Kept != 1 {
		f.Errorf("while no version is installed, the status is %+v", got)
	}
	r = f.senderOf(sending(2), worker) // another version goes on too
	f.begin(r.projection, 50)
	for range 4 {
		r.emit("x")
	}
	f.wantPending("v1.3.0 c; v2.4.0 x")
	f.resetSums(r)
	r = f.senderOf(sending(2), worker)
	f.begin(r.projection, 50)
	for range 5 {
		r.emit("x")
	}
	f.wantPending("v1.3.0 c; v2.4.0 x; v2.5.0 x")
}

func beginResetParked(f *fixture) {
	r := f.senderOf(sending(1), worker)
	f.begin(r.projection, 1)
	r.parkAt("k") // which is not its own to send
	f.must(r.park(r.note("k")))
	r.emit("a")
	r.parkAt("l")
	f.deliver(false)
	f.resetSums(r)
	r = f.senderOf(sending(1), worker)
	f.begin(r.projection, 0)
	for _, key := range []string{"k", "k", "a"} {
		r.emit(key)
	}
	f.wantPending("v1.2.0 k")
	r.parkAt("l")
	_, err := r.retry(store.Retry{Key: []byte("l"), Through: f.at(4), Messages: r.messagesAt(4, "l")})
	f.must(err)
	r.emit("b")
	f.wantPending("v1.2.0 k; v1.4.0 l; v1.5.0 b")
}

// beginResetEarly resets a version that has not come to where sending goes on, twice.
func beginResetEarly(f *fixture) {
	r := f.senderOf(sending(1), worker)
	f.begin(r.projection, 1)
	r.emit("a")
	r.emit("a")
	r.parkAt("k")
	r.parkAt("l")
	r.emit("a")
	if got := f.deliver(false); got != "v1.2.0 a; v1.5.0 a" {
		f.Errorf("sent is %q", got)
	}
	f.resetSums(r)
	for _, last := range []int64{2, 3} {
		r = f.senderOf(sending(1), worker)
		f.begin(r.projection, 0)
		for r.next() <= last {
			r.emit("k")
		}
		f.resetSums(r)
	}
	if got := f.deliver(false); got != "v1.3.0 k" {
		f.Errorf("sent is %q", got)
	}
	r = f.senderOf(sending(1), worker)
	f.begin(r.projection, 0)
	for _, key := range []string{"a", "a", "k", "l", "a", "a"} {
		r.emit(key)
	}
	f.wantPending("v1.4.0 l; v1.6.0 a")
}

func beginResetSilent(f *fixture) {
	r := f.senderOf(sending(1), worker)
	r.emit("a")
	f.resetSums(r)
	r = f.senderOf(sending(1), worker)
	f.begin(r.projection, 0)
	r.emit("a")
	f.wantPending("v1.1.0 a")
}

// beginPartition has two segments, which are apart, give way to another division.
func beginPartition(f *fixture) {
	catalogue, err := f.store.Install(f.ctx, sending(1), 2)
	f.must(err)
	f.begin(sending(1), 0)
	f.handOut(f.at(100))
	f.must(f.store.Heartbeat(f.ctx, store.Worker{Name: worker}, time.Hour))
	for i, claim := range f.claims(f.store, "sums", worker, 2) {
		tx := catalogue.Begin(claim)
		f.must(tx.Commit(f.ctx, store.Commit{Through: f.at(2 + int64(i)), Log: claim.Applied.Log}))
		tx.Rollback()
	}
	f.must(f.store.Leave(f.ctx, store.Worker{Name: worker}))
	f.must(f.store.Reset(f.ctx, "sums"))
	divided := sending(1)
	divided.Partition = &store.Partition{By: store.PartitionCorrelation}
	r := f.senderOf(divided, worker)
	f.begin(r.projection, 0)
	for range 3 {
		r.emit("0", "1", "2", "3", "4", "5", "6", "7") // somewhere among all keys
	}
	f.wantPending("v1.3.0 0; v1.3.1 1; v1.3.2 2; v1.3.3 3; v1.3.4 4; v1.3.5 5; v1.3.6 6; v1.3.7 7")
}

func beginRetry(f *fixture) {
	r := f.sender(1)
	r.parkAt("k")
	r.emit("a")
	f.must(r.park(r.note("k")))
	f.must(r.park(r.note("k")))
	f.wantPending("v1.2.0 a")
	unparked, err := r.retry(store.Retry{
		Key: []byte("k"), Through: f.at(3), Messages: append(r.messagesAt(1, "k"), r.messagesAt(3, "k")...),
		Fault: &store.ParkedFault{Position: f.at(4), Error: "wrong", Attempts: 1, RetryAfter: -1, Code: "code1"},
	})
	f.must(err)
	if unparked {
		f.Error("the key is parked no longer")
	}
	f.wantPending("v1.1.0 k; v1.2.0 a; v1.3.0 k")
	_, err = r.retry(store.Retry{Key: []byte("k"), Through: f.at(4), Messages: r.messagesAt(4, "k")})
	f.must(err)
	f.wantPending("v1.1.0 k; v1.2.0 a; v1.3.0 k; v1.4.0 k")
}
