package storetest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pupwasm/pupwasm/store"
)

var logIdentityCases = []testCase{
	{"everything_read_is_stamped", logStamp},
	{"what_was_read_of_another_log_is_not_committed", logStale},
	{"a_checkpoint_of_another_log_goes_on_when_it_adopts_this_one", logAdopt},
	{"the_checkpoint_has_the_last_event_up_to_it", logApplied},
	{"an_event_that_is_not_in_the_log_is_not_committed", logForged},
	{"a_log_that_was_replaced_is_found_out", logReplaced},
	{"a_log_that_has_grown_again_is_found_out", logGrown},
	{"the_last_event_survives_splits_and_merges", logLayout},
}

// logID is the identity of the fixture's log.
func (f *fixture) logID() store.LogID {
	f.Helper()
	horizon, err := f.store.Horizon(f.ctx)
	f.must(err)
	return horizon.Log
}

// others are logs that are not this one.
func others(log store.LogID) map[string]store.LogID {
	another, later := log, log
	another.ID[3]++
	later.Timeline++
	return map[string]store.LogID{"none": {}, "another id": another, "another timeline": later}
}

// commitOf moves the claim's checkpoint with a row, by what was read of a log, to an event.
func (r *runner) commitOf(log store.LogID, last store.Appended) error {
	tx := r.catalogue.Begin(r.claim)
	defer tx.Rollback()
	commit := store.Commit{
		Through: r.claim.Position + 1, Steps: r.plan(put("a",
			1)), Log: log, LastPosition: last.Position, LastEvent: last.ID,
	}
	if last.Position > 0 {
		commit.Through = last.Position
	}
	err := tx.Commit(r.ctx, commit)
	if err == nil {
		r.claim.Position = commit.Through
	}
	return err
}

// fault is what is wrong with the stored checkpoint.
func (r *runner) fault() error {
	r.Helper()
	status := r.status(r.projection.Name)
	_, faults, err := store.CheckCheckpoints(r.ctx, r.store, status.Checkpoints()...)
	r.must(err)
	return errors.Join(faults...)
}

// wantFault checks that the stored checkpoint does not fit the log, and that the reason is one line that says how
// to go on.
func (r *runner) wantFault(reason string) {
	r.Helper()
	var log *store.LogError
	err := r.fault()
	if !errors.As(err, &log) || !strings.Contains(err.Error(), reason) || strings.Contains(log.Error(), "\n") ||
		!strings.Contains(err.Error(), "restore the log") || !strings.Contains(err.Error(), "deletes its rows") {
		r.Errorf("the checkpoint gives %v, want %q", err, reason)
	}
}

func logStamp(f *fixture) {
	f.appendTo(stream("a"), 3)
	log := f.logID()
	state, err := f.hosts(1)[0].Locate(f.ctx, 0, f.at(2), f.at(99))
	f.must(err)
	events := f.read()
	if want := []store.UUID{{}, events[1].ID, {}}; state.Log != log || state.Head != f.at(3) ||
		fmt.Sprint(state.Events) != fmt.Sprint(want) {
		f.Errorf("the log is located as %+v", state)
	}
	var page store.Page
	for _, request := range []store.ReadRequest{
		{Through: f.at(3), Limit: 1, Range: store.FullRange()},
		{
			Through: f.at(3), Limit: 9, Range: store.FullRange(),
			Subscription: store.Subscription{EventTypes: []string{"none"}},
		},
	} {
		f.must(f.store.Read(f.ctx, request, &page))
		if page.Log != log {
			f.Errorf("a page of %d events is of %+v, the log is %+v", len(page.Events), page.Log, log)
		}
	}
	if peeker, can := f.store.(store.Peeker); can {
		horizon, err := peeker.Peek(f.ctx, store.ReadRequest{Limit: 9, Range: store.FullRange()}, &page)
		f.must(err)
		if page.Log != log || horizon.Log != log {
			f.Errorf("a peek is of %+v and %+v, the log is %+v", page.Log, horizon.Log, log)
		}
	}
	f.must(f.store.Read(f.ctx, store.ReadRequest{After: f.at(3), Through: f.at(3), Limit: 1, Range: store.FullRange()},
		&page))
	if page.Log != (store.LogID{}) {
		f.Errorf("a page that nothing was read for is of %+v", page.Log)
	}
}

func logStale(f *fixture) {
	r := f.running(totals("sums"))
	r.fill()
	before, position := r.table(), r.position()
	for name, log := range others(f.logID()) {
		if err := r.commitOf(log, store.Appended{}); !errors.Is(err, store.ErrOtherLog) {
			f.Errorf("%s: %v, want ErrOtherLog", name, err)
		}
		if got := r.table(); got != before || r.position() != position {
			f.Errorf("%s: the table is %q at %d, was %q at %d", name, got, r.position(), before, position)
		}
	}
	f.must(r.commitOf(f.logID(), store.Appended{}))
}

func logAdopt(f *fixture) {
	r := f.running(totals("sums"))
	log := f.logID()
	for name, other := range others(log) {
		f.must(f.store.Adopt(f.ctx, r.claim, other))
		if got := f.status("sums").Segments[0].Applied.Log; got != other {
			f.Errorf("%s: the checkpoint is of %+v, want %+v", name, got, other)
		}
		if err := r.commitOf(log, store.Appended{}); !errors.Is(err, store.ErrOtherLog) {
			f.Errorf("%s: %v, want ErrOtherLog", name, err)
		}
		if err := r.fault(); err != nil && r.claim.Position == 0 {
			f.Errorf("%s: a projection that has not begun does not fit: %v", name, err)
		}
		if r.claim.Position > 0 && name == "another id" {
			r.wantFault("the rows were built from log " + other.ID.String() + ", the database has log " +
				log.ID.String())
		} else {
			f.must(r.fault())
		}
		f.must(f.store.Adopt(f.ctx, r.claim, log))
		f.must(r.commitOf(log, store.Appended{}))
	}
	stale := r.claim
	stale.Epoch--
	if err := f.store.Adopt(f.ctx, stale, store.LogID{}); !errors.Is(err, store.ErrFenced) {
		f.Errorf("a stale claim adopts: %v", err)
	}
}

func logApplied(f *fixture) {
	r := f.running(totals("sums"))
	appended := f.appendTo(stream("a"), 2)
	tied := func(to store.Applied) {
		f.Helper()
		if got := f.status("sums").Segments[0].Applied; got != to {
			f.Errorf("at %d the checkpoint has %+v, want %+v", r.claim.Position, got, to)
		}
		f.must(r.fault())
	}
	f.must(r.commitOf(f.logID(), appended[0]))
	tied(store.Applied{Log: f.logID(), Position: appended[0].Position, Event: appended[0].ID})
	f.must(r.commitOf(f.logID(), store.Appended{})) // over an event that is another segment's
	want := store.Applied{Log: f.logID(), Position: appended[1].Position, Event: appended[1].ID}
	tied(want)
	f.must(f.store.Release(f.ctx, r.claim))
	claims := f.claims(f.store, "sums", worker, 1)
	if len(claims) != 1 || claims[0].Applied != want {
		f.Errorf("the claims are %+v, want one with %+v", claims, want)
	}
}

func logForged(f *fixture) {
	r := f.running(totals("sums"))
	last := f.appendTo(stream("a"), 1)[0]
	forged := last
	forged.ID[0]++
	if err := r.commitOf(f.logID(), forged); !errors.Is(err, store.ErrOtherLog) {
		f.Errorf("with another event than the log has: %v", err)
	}
	f.must(r.commitOf(f.logID(), last))
	if got := r.table(); got != "a 1" {
		f.Errorf("the table is %q", got)
	}
}

// logReplaced takes events away and puts others in their place, under the same identity.
func logReplaced(f *fixture) {
	r := f.running(totals("sums"))
	events := f.Table("pupwasm", "events")
	last := f.appendTo(stream("a"), 1)[0]
	f.must(r.commitOf(f.logID(), last))
	next := f.appendTo(stream("b"), 1)[0]
	f.must(r.fault())
	f.Query(f, "DELETE FROM "+events+fmt.Sprint(" WHERE global_position = ", last.Position))
	r.wantFault(fmt.Sprintf("event %s, the last one up to the checkpoint, is no longer in the log at position %d",
		last.ID, last.Position))
	if err := r.commitOf(f.logID(), next); !errors.Is(err, store.ErrOtherLog) {
		f.Errorf("behind an event that is gone: %v", err)
	}
	f.Query(f, "UPDATE "+f.Table("pupwasm", "segments")+fmt.Sprintf(" SET last_position = %d", next.Position))
	r.wantFault(fmt.Sprintf("the log had event %s at position %d, and has event %s there now", last.ID, next.Position,
		next.ID))
	f.Query(f, "UPDATE "+f.Table("pupwasm", "segments")+" SET position = "+fmt.Sprint(f.at(99_999)))
	r.wantFault(fmt.Sprintf("the checkpoint is at position %d, the log ends at %d", f.at(99_999), next.Position))
	if got := r.table(); got != "a 1" {
		f.Errorf("the table is %q", got)
	}
}

// logGrown has the end of the log, which no segment has had an event in, give way to other events.
func logGrown(f *fixture) {
	r := f.running(totals("sums"))
	f.must(r.commitOf(f.logID(), f.appendTo(stream("a"), 1)[0]))
	passed := f.appendTo(stream("b"), 1)[0]
	f.must(r.commitOf(f.logID(), store.Appended{}))
	f.Query(f, "DELETE FROM "+f.Table("pupwasm", "events")+fmt.Sprint(" WHERE global_position = ", passed.Position))
	next := f.appendTo(stream("b"), 1)[0]
	if err := r.commitOf(f.logID(), next); !errors.Is(err, store.ErrOtherLog) {
		f.Errorf("behind an event that was passed and is gone: %v", err)
	}
	r.wantFault(fmt.Sprintf("event %s, the last one up to the checkpoint, is no longer in the log at position %d",
		passed.ID, passed.Position))
}

func logLayout(f *fixture) {
	catalogue := f.installed(2, "w1")
	appended := f.appendTo(stream("a"), 3)
	log := f.logID()
	move := func(claim store.Claim, last store.Appended, through int64) {
		f.Helper()
		tx := catalogue.Begin(claim)
		defer tx.Rollback()
		f.must(tx.Commit(f.ctx, store.Commit{
			Through: through, Log: log, LastPosition: last.Position,
			LastEvent: last.ID,
		}))
	}
	for i, claim := range f.claims(f.store, "sums", "w1", 2) {
		move(claim, appended[i], f.at(3))
	}
	tied := func(segments int) {
		f.Helper()
		status := f.status("sums").Segments
		if len(status) != segments {
			f.Errorf("there are %d segments, want %d", len(status), segments)
		}
		for _, s := range status {
			if s.Applied != (store.Applied{Log: log, Position: appended[2].Position, Event: appended[2].ID}) {
				f.Errorf("segment %d has %+v, want event %+v", s.Segment, s.Applied, appended[2])
			}
		}
	}
	tied(2)
	f.reshard(func(l *store.Layout) error { return l.Resize(4) })
	tied(4)
	f.reshard(func(l *store.Layout) error { return l.Resize(1) })
	tied(1)
	claims := f.claims(f.store, "sums", "w1", 9)
	if len(claims) != 1 || claims[0].Applied.Event != appended[2].ID {
		f.Errorf("the claims are %+v", claims)
	}
}
