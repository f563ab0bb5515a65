package storetest

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

var versionCases = []testCase{
	{"a_later_version_is_a_candidate", versionCandidate},
	{"a_later_version_beside_one_of_which_nothing_is_applied", versionBeside},
	{"an_older_version_that_is_not_installed_is_refused", versionOlder},
	{"two_hosts_install_two_versions_at_once", versionsAtOnce},
	{"an_outlook_says_what_install_does", versionOutlook},
	{"a_promotion_shows_the_rows_of_the_candidate", versionPromote},
	{"a_candidate_that_is_behind_is_not_promoted", versionBehind},
	{"every_range_of_streams_counts", versionRanges},
	{"a_candidate_that_has_failed_is_not_promoted", versionFailed},
	{"a_rollback_shows_the_rows_of_the_version_before", versionRollback},
	{"rollbacks_go_back_one_version_at_a_time", versionChain},
	{"columns_that_are_others", versionColumns},
	{"tables_that_are_others", versionTables},
	{"a_commit_under_way_lands_in_its_own_tables", versionUnderWay},
	{"a_host_of_a_version_that_is_not_live_changes_nothing_for_readers", versionInstalledAgain},
	{"a_pause_holds_for_all_versions", versionPaused},
	{"a_version_is_retired", versionRetired},
	{"a_version_is_not_retired", versionNotRetired},
	{"what_a_retired_version_replaced_is_gone_back_to", versionRetiredBetween},
	{"a_reset_deletes_all_versions", versionReset},
	{"a_reader_keeps_its_prepared_statement", versionPrepared},
	{"unknown_versions", versionUnknown},
	{"the_code_of_a_version", versionCode},
	{"readers_see_positions_that_only_grow", versionReaders},
}

// sums is totals("sums") in a version.
func sums(version int) *store.Projection {
	p := totals("sums")
	p.Version = version
	return p
}

func sumsOf(version int) store.ProjectionID {
	return store.ProjectionID{Name: "sums", Version: version}
}

// version returns the status of a version of sums.
func (f *fixture) version(version int) store.ProjectionStatus {
	f.Helper()
	all, err := f.store.Status(f.ctx, "sums")
	f.must(err)
	for _, status := range all {
		if status.Version == version {
			return status
		}
	}
	f.Fatalf("version %d is not installed", version)
	return store.ProjectionStatus{}
}

// wantStages compares the stages of all versions of sums, such as "1 replaced, 2 live".
func (f *fixture) wantStages(want string) {
	f.Helper()
	all, err := f.store.Status(f.ctx, "sums")
	f.must(err)
	stages := store.Stages(all)
	var got []string
	for _, status := range all {
		got = append(got, fmt.Sprintf("%s %s", status.VersionText(), stages[status.ProjectionID]))
		if live := stages[status.ProjectionID] == store.StageLive; live != status.Live {
			f.Errorf("version %d: live is %t in the status", status.Version, status.Live)
		}
		if status.PromotedAt.IsZero() && status.Live || status.InstalledAt.IsZero() {
			f.Errorf("version %d was installed at %s and promoted at %s", status.Version, status.InstalledAt,
				status.PromotedAt)
		}
	}
	if text := strings.Join(got, ", "); text != want {
		f.Errorf("the versions are %q, want %q", text, want)
	}
}

// beside is one worker of each version of sums, at one position, with a row that says which version wrote it.
func (f *fixture) beside(versions ...int) (runners []*runner) {
	f.Helper()
	for _, version := range versions {
		r := f.runningOn(f.store, sums(version), fmt.Sprintf("worker-%d", version))
		r.apply(put("of", int64(version)))
		runners = append(runners, r)
	}
	return runners
}

// promote makes a version of sums live, where that has to work.
func (f *fixture) promote(version int) {
	f.Helper()
	promotion, err := f.store.Promote(f.ctx, sumsOf(version))
	f.must(err)
	if promotion.Projection != "sums" || promotion.To != sumsOf(version) {
		f.Errorf("the promotion is %+v", promotion)
	}
}

// rollback goes back to a version.
func (f *fixture) rollback(from, to int) {
	f.Helper()
	promotion, err := f.store.Rollback(f.ctx, "sums")
	f.must(err)
	if want := (store.Promotion{Projection: "sums", From: sumsOf(from), To: sumsOf(to)}); promotion != want {
		f.Errorf("the rollback is %+v, want %+v", promotion, want)
	}
}

// wantInput checks that an error is one line about a request.
func (f *fixture) wantInput(what string, err error, words ...string) {
	f.Helper()
	var input *store.InputError
	if !errors.As(err, &input) {
		f.Errorf("%s: %v, want an input error", what, err)
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			f.Errorf("%s: %q does not say %q", what, err, word)
		}
	}
}

func versionCandidate(f *fixture) {
	first := f.running(sums(1))
	first.apply(put("a", 1))
	second := f.runningOn(f.store, sums(7), "worker-7")
	if second.claim.Position != f.origin || second.table() != "" {
		f.Errorf("the candidate begins at %d with %q", second.claim.Position, second.table())
	}
	second.apply(put("b", 2))
	first.apply(put("a", 1))
	if first.table() != "a 2" || second.table() != "b 2" || f.view("sums", "total") != "a 2" {
		f.Errorf("the rows are %q and %q, readers see %q", first.table(), second.table(), f.view("sums", "total"))
	}
	f.wantStages("1 live, 7 candidate")
	if a, b := f.version(1).Segments[0].Position, f.version(7).Segments[0].Position; a != f.at(2) || b != f.at(1) {
		f.Errorf("the positions are %d and %d", a, b)
	}
}

func versionBeside(f *fixture) {
	_, err := f.store.Install(f.ctx, sums(1), 1)
	f.must(err)
	for range 2 {
		_, err = f.store.InstallBeside(f.ctx, sums(2), 1)
		f.must(err)
		f.wantStages("1 live, 2 candidate")
	}
	_, err = f.store.Install(f.ctx, sums(1), 1)
	f.must(err)
	f.promote(2) // neither is behind
	f.wantStages("1 replaced, 2 live")
}

func versionOlder(f *fixture) {
	f.used(sums(3))
	f.wantCatalogueError("an older version", sums(2), "version 3 live", "version 2", "a version above 3")
	bare := &store.Projection{Name: "bare", Version: 1}
	r := f.running(bare)
	r.passTo(f.at(1))
	bare = &store.Projection{Name: "bare", Version: 2}
	f.wantCatalogueError("one without tables", bare, "one version at a time", `Store.Reset("bare")`)
	f.wantStages("3 live")
}

func versionsAtOnce(f *fixture) {
	f.used(sums(1))
	for _, err := range concurrently(f.hosts(6), func(i int, host store.Store) error {
		_, err := host.Install(f.ctx, sums(i%3+1), 2)
		return err
	}) {
		f.must(err)
	}
	f.wantStages("1 live, 2 candidate, 3 candidate")
}

func versionPromote(f *fixture) {
	runners := f.beside(1, 2)
	if got := f.view("sums", "total"); got != "of 1" {
		f.Errorf("before the promotion readers see %q", got)
	}
	before := f.version(1).PromotedAt
	f.promote(2)
	if got := f.view("sums", "total"); got != "of 2" {
		f.Errorf("after the promotion readers see %q", got)
	}
	f.wantStages("1 replaced, 2 live")
	if at := f.version(2).PromotedAt; at.Before(before) {
		f.Errorf("it was promoted at %s, the first version at %s", at, before)
	}
	for _, r := range runners { // both go on
		r.apply(put("of", 10))
	}
	if got := f.view("sums", "total"); got != "of 12" || runners[0].table() != "of 11" {
		f.Errorf("readers see %q, the first version has %q", got, runners[0].table())
	}
	promotion, err := f.store.Promote(f.ctx, sumsOf(2))
	f.must(err)
	if promotion != (store.Promotion{Projection: "sums", From: sumsOf(2), To: sumsOf(2)}) {
		f.Errorf("again it is %+v", promotion)
	}
	f.wantStages("1 replaced, 2 live")
	published, err := f.store.Published(f.ctx, "sums")
	f.must(err)
	if published.Version != 2 {
		f.Errorf("published is version %d", published.Version)
	}
}

func versionBehind(f *fixture) {
	runners := f.beside(1, 2)
	runners[0].apply(put("of", 10))
	runners[0].apply(put("of", 10))
	_, err := f.store.Promote(f.ctx, sumsOf(2))
	var behind *store.BehindError
	if !errors.As(err, &behind) || *behind != (store.BehindError{Projection: sumsOf(2), Live: sumsOf(1), Positions: 2}) {
		f.Errorf("one that is behind: %v", err)
	}
	f.wantStages("1 live, 2 candidate")
	if got := f.view("sums", "total"); got != "of 21" {
		f.Errorf("readers see %q", got)
	}
	for range 3 { // ahead is right
		runners[1].apply(put("of", 10))
	}
	f.promote(2)
	_, err = f.store.Rollback(f.ctx, "sums")
	if !errors.As(err, &behind) || behind.Positions != 1 || behind.Projection.Version != 1 {
		f.Errorf("a rollback to one that is behind: %v", err)
	}
	f.wantStages("1 replaced, 2 live")
}

// versionRanges has the live version in three segments and the candidate in two.
func versionRanges(f *fixture) {
	move := func(projection *store.Projection, segments int, positions ...int64) {
		catalogue, err := f.store.Install(f.ctx, projection, segments)
		f.must(err)
		f.must(f.store.Heartbeat(f.ctx, store.Worker{Name: worker}, time.Hour))
		claims, err := f.store.Claim(f.ctx, store.ClaimRequest{Projection: projection.ID(), Worker: worker, Limit: segments})
		f.must(err)
		for i, claim := range claims {
			tx := catalogue.Begin(claim)
			f.must(tx.Commit(f.ctx, store.Commit{Through: f.at(positions[i]), Log: claim.Applied.Log}))
			tx.Rollback()
		}
	}
	f.handOut(f.at(20))
	move(sums(1), 3, 5, 9, 5)
	move(sums(2), 2, 9, 8)
	var behind *store.BehindError
	if _, err := f.store.Promote(f.ctx, sumsOf(2)); !errors.As(err, &behind) || behind.Positions != 1 {
		f.Errorf("the second half is one behind the middle: %v", err)
	}
	move(sums(3), 2, 9, 9)
	f.promote(3)
	f.wantStages("1 replaced, 2 candidate, 3 live")
}

func versionFailed(f *fixture) {
	runners := f.beside(1, 2)
	f.must(f.store.Fail(f.ctx, runners[1].claim, "it hurts"))
	_, err := f.store.Promote(f.ctx, sumsOf(2))
	f.wantInput("one that has failed", err, "version 2 of projection sums", "has failed in segment 0")
	f.wantStages("1 live, 2 candidate")
	_, err = f.store.Recover(f.ctx, sumsOf(2))
	f.must(err)
	f.promote(2)
}

func versionRollback(f *fixture) {
	_, err := f.store.Rollback(f.ctx, "sums")
	f.wantInput("nothing is installed", err, "is not known")
	f.beside(1, 2)
	_, err = f.store.Rollback(f.ctx, "sums")
	f.wantInput("nothing was promoted", err, "version 1 live", "nothing to go back to")
	for range 3 {
		f.promote(2)
		f.wantStages("1 replaced, 2 live")
		f.rollback(2, 1)
		f.wantStages("1 live, 2 candidate")
		if got := f.view("sums", "total"); got != "of 1" {
			f.Errorf("after the rollback readers see %q", got)
		}
	}
}

// versionChain goes 1, 2, 1, 3, 2, and back from there.
func versionChain(f *fixture) {
	f.beside(1, 2, 3)
	f.promote(2)
	f.rollback(2, 1)
	f.promote(3)
	f.wantStages("1 replaced, 2 candidate, 3 live")
	f.promote(2)
	f.wantStages("1 replaced, 2 live, 3 replaced")
	f.rollback(2, 3)
	f.rollback(3, 1)
	f.wantStages("1 live, 2 candidate, 3 candidate")
	_, err := f.store.Rollback(f.ctx, "sums")
	f.wantInput("the first version", err, "nothing to go back to")
	f.promote(2)
	f.promote(3)
	f.promote(1) // is a rollback over both
	f.wantStages("1 live, 2 candidate, 3 candidate")
	if got := f.view("sums", "total"); got != "of 1" {
		f.Errorf("readers see %q", got)
	}
}

// versionUnderWay has a commit of the first version begin before a promotion and end after a rollback, and one between.
func versionUnderWay(f *fixture) {
	runners := f.beside(1, 2)
	first, second := runners[0], runners[1]
	for i, exchange := range []func(){
		func() { f.promote(2); f.rollback(2, 1) },
		func() { f.promote(2) },
	} {
		tx := first.catalogue.Begin(first.claim)
		exchange()
		f.must(tx.Commit(f.ctx, store.Commit{
			Through: first.claim.Position + 1, Steps: first.plan(put("of", 10)), Log: first.claim.Applied.Log,
		}))
		tx.Rollback()
		first.claim.Position++
		if want := fmt.Sprintf("of %d", 11+10*i); first.table() != want || second.table() != fmt.Sprint("of ", 2+i) {
			f.Errorf("the versions have %q and %q", first.table(), second.table())
		}
		second.apply(put("of", 1))
	}
	if got := f.view("sums", "total"); got != "of 4" {
		f.Errorf("readers see %q", got)
	}
}

func versionInstalledAgain(f *fixture) {
	f.beside(1, 2)
	for _, live := range []int{1, 2} {
		f.promote(live)
		for version := 1; version <= 3; version++ {
			_, err := f.Open(f).Install(f.ctx, sums(version), 1)
			f.must(err)
			if got, want := f.view("sums", "total"), fmt.Sprintf("of %d", live); got != want {
				f.Errorf("with version %d live and %d installed, readers see %q", live, version, got)
			}
		}
	}
	f.wantStages("1 replaced, 2 live, 3 candidate")
}

func versionPaused(f *fixture) {
	runners := f.beside(1, 2)
	f.setPaused(true, true)
	_, err := f.store.Install(f.ctx, sums(3), 1)
	f.must(err)
	for version := 1; version <= 3; version++ {
		if status := f.version(version); !status.Paused() {
			f.Errorf("version %d is not paused", version)
		}
	}
	f.promote(2) // rows that stand still can be compared and promoted
	f.setPaused(false, true)
	for version := 1; version <= 3; version++ {
		if status := f.version(version); status.Paused() {
			f.Errorf("version %d is paused", version)
		}
	}
	runners[1].apply(put("of", 1))
}

func versionPrepared(f *fixture) {
	f.beside(1, 2)
	read := f.Prepare(f, "SELECT name, n FROM "+f.Table("sums", "total"))
	for range 3 {
		for version := 1; version <= 2; version++ {
			f.promote(version)
			if got := read(); len(got) != 1 || got[0][1] != fmt.Sprint(version) {
				f.Errorf("with version %d live the reader gets %v", version, got)
			}
		}
	}
}

func versionUnknown(f *fixture) {
	_, err := f.store.Promote(f.ctx, sumsOf(1))
	f.wantInput("nothing is installed", err, "projection sums", "is not known")
	f.beside(1, 2)
	_, err = f.store.Promote(f.ctx, sumsOf(3))
	f.wantInput("one that is not there", err, "projection sums has no version 3: it has 1, 2")
	f.wantStages("1 live, 2 candidate")
}
