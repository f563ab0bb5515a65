package storetest

import (
	"errors"
	"fmt"

	"github.com/pupwasm/pupwasm/store"
)

var apartCases = []testCase{
	{"everything_read_is_stamped", logStamp},
	{"what_was_read_of_another_log_is_not_committed", logStale},
	{"a_checkpoint_of_another_log_goes_on_when_it_adopts_this_one", logAdopt},
	{"the_checkpoint_has_the_last_event_up_to_it", logApplied},
	{"the_last_event_survives_splits_and_merges", logLayout},
	{"a_log_that_was_replaced_is_found_out", apartReplaced},
	{"tables_do_not_mix_their_own_log_with_another", apartMixed},
	{"a_log_in_the_same_database_is_refused", apartSame},
	{"the_tables_own_log_is_left_alone", apartOwnLog},
	{"a_commit_without_events_keeps_the_last_one", apartKeeps},
	{"rows_of_two_logs_are_not_merged", apartMerge},
}

// apartReplaced has the end of the log, which no segment has had an event in, give way to other events.
func apartReplaced(f *fixture) {
	r := f.running(totals("sums"))
	f.must(r.commitOf(f.logID(), f.appendTo(stream("a"), 1)[0]))
	passed := f.appendTo(stream("b"), 1)[0]
	f.must(r.commitOf(f.logID(), store.Appended{}))
	f.must(r.fault())
	f.log.Query(f, "DELETE FROM "+f.log.Table("pupwasm", "events")+fmt.Sprint(" WHERE global_position = ", passed.Position))
	f.appendTo(stream("b"), 1)
	r.wantFault(fmt.Sprintf("event %s, the last one up to the checkpoint, is no longer in the log at position %d",
		passed.ID, passed.Position))
	if got := r.table(); got != "a 2" {
		f.Errorf("the table is %q", got)
	}
}

// apartMixed has a projection whose log is elsewhere go on with the tables' own, and the other way round.
func apartMixed(f *fixture) {
	own := f.store.(*pairStore).own
	r := f.running(totals("sums"))
	f.must(r.commitOf(f.logID(), f.appendTo(stream("a"), 1)[0]))
	catalogue, err := own.Install(f.ctx, totals("sums"), 1)
	f.must(err)
	beside := *r
	beside.catalogue = catalogue
	if err := beside.commitAs(r.claim, put("a", 1)); !errors.Is(err, store.ErrOtherLog) {
		f.Errorf("tables with their own log commit what was read of another: %v", err)
	}
	_, faults, err := store.CheckCheckpoints(f.ctx, own, r.claim.Checkpoint())
	f.must(err)
	if faults[0] == nil {
		f.Error("the checkpoint fits the tables' own log")
	}
	if got := r.table(); got != "a 1" {
		f.Errorf("the table is %q", got)
	}
}

// apartSame gives the log of the tables' own database as one elsewhere.
func apartSame(f *fixture) {
	own := f.store.(*pairStore).own
	r := f.running(totals("sums"))
	log, err := own.OwnLog(f.ctx)
	f.must(err)
	if log == f.logID() || log.ID == (store.UUID{}) {
		f.Errorf("the tables' own log is %v, the other one %v", log, f.logID())
	}
	if err := f.store.Adopt(f.ctx, r.claim, log); !errors.Is(err, store.ErrSameDatabase) {
		f.Errorf("Adopt: %v", err)
	}
	f.must(own.Adopt(f.ctx, r.claim, log)) // as if the host had run on one database so far
	if err := r.commitOf(log, store.Appended{}); !errors.Is(err, store.ErrSameDatabase) {
		f.Errorf("Commit: %v", err)
	}
	if got := r.table(); got != "" {
		f.Errorf("the table is %q", got)
	}
}

// apartOwnLog checks that nothing is written to the log beside the tables.
func apartOwnLog(f *fixture) {
	r := f.running(totals("sums"))
	r.fill()
	horizon, err := f.store.(*pairStore).own.Horizon(f.ctx)
	f.must(err)
	if horizon.Head != 0 {
		f.Errorf("the tables' own log ends at %d", horizon.Head)
	}
}

// apartKeeps commits as a reader that has found no event up to the checkpoint.
func apartKeeps(f *fixture) {
	r := f.running(totals("sums"))
	last := f.appendTo(stream("a"), 1)[0]
	f.must(r.commitOf(f.logID(), last))
	tx := r.catalogue.(*pairCatalogue).Catalogue.Begin(r.claim)
	defer tx.Rollback()
	f.must(tx.Commit(f.ctx, store.Commit{Through: r.claim.Position + 1, Log: f.logID(), Head: r.claim.Position + 2}))
	s := f.status("sums").Segments[0]
	if s.Applied.Position != last.Position || s.Applied.Event != last.ID {
		f.Errorf("the checkpoint has %+v, want %+v", s.Applied, last)
	}
	if s.BehindSince.IsZero() {
		f.Error("a checkpoint below the end of the log is not behind")
	}
}

// apartMerge has two segments apply different logs and meet.
func apartMerge(f *fixture) {
	f.installed(2, worker)
	catalogue, err := f.store.Install(f.ctx, totals("sums"), 2)
	f.must(err)
	another := f.logID()
	another.ID[0]++
	for i, claim := range f.claims(f.store, "sums", worker, 2) {
		if i == 1 {
			f.must(f.store.Adopt(f.ctx, claim, another))
			claim.Applied.Log = another
		}
		tx := catalogue.Begin(claim)
		f.must(tx.Commit(f.ctx, store.Commit{Through: f.at(int64(5 - i)), Log: claim.Applied.Log}))
		tx.Rollback()
	}
	f.reshard(func(l *store.Layout) error { return l.Merge(0, 1) })
	claims := f.claims(f.store, "sums", worker, 2)
	f.wantSegments(claims, 1)
	tx := catalogue.Begin(claims[0])
	defer tx.Rollback()
	f.must(tx.Commit(f.ctx, store.Commit{Through: f.at(5), Log: another}))
	f.reshard(func(l *store.Layout) error { l.CompleteMerges(); return nil })
	if got := len(f.status("sums").Segments); got != 2 {
		f.Errorf("%d segments are left, want 2", got)
	}
}
