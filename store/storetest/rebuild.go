package storetest

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

var rebuildCases = []testCase{
	{"it_is_asked_for_and_begun", rebuildBegun},
	{"a_build_takes_the_place_of_the_one_before", rebuildPromoted},
	{"who_asks_at_once_gets_one_build", rebuildAtOnce},
	{"a_build_that_nobody_has_asked_for_is_refused", rebuildUnasked},
	{"it_is_taken_back", rebuildRetired},
	{"what_cannot_be_rebuilt", rebuildRefused},
	{"another_declaration_is_refused", rebuildDeclaration},
	{"a_promotion_forgets_what_was_asked_for", rebuildForgotten},
	{"a_reset_deletes_all_builds", rebuildReset},
	{"parked_keys_and_code_are_those_of_a_build", rebuildParked},
	{"a_worker_of_one_build_does_not_run_another", rebuildWorkers},
	{"a_later_version_is_beside_builds", rebuildLater},
	{"the_numbers_of_builds_end", rebuildNumbers},
}

// sumsBuild is sums in a build of a version, and its identity.
func sumsBuild(version, build int) (*store.Projection, store.ProjectionID) {
	p := sums(version)
	p.Build = build
	return p, p.ID()
}

// rebuilds has Rebuild return a build, and compares what the status tells of it.
func (f *fixture) rebuilds(version, build, asked int) {
	f.Helper()
	_, want := sumsBuild(version, build)
	id, err := f.store.Rebuild(f.ctx, "sums")
	f.must(err)
	if id != want {
		f.Errorf("the build is %s, want %s", id.VersionText(), want.VersionText())
	}
	f.wantAsked(asked)
}

// wantAsked compares which build of the live version the status says is asked for.
func (f *fixture) wantAsked(asked int) {
	f.Helper()
	all, err := f.store.Status(f.ctx, "sums")
	f.must(err)
	for i := range all {
		if want := asked; all[i].Live && all[i].Rebuild != want || !all[i].Live && all[i].Rebuild != 0 {
			f.Errorf("of version %s build %d is asked for, want %d", all[i].VersionText(), all[i].Rebuild, want)
		}
	}
}

// building runs a build that is asked for, in which one row says how much it has applied.
func (f *fixture) building(version, build int, worker string) *runner {
	f.Helper()
	p, _ := sumsBuild(version, build)
	return f.runningOn(f.store, p, worker)
}

func rebuildBegun(f *fixture) {
	first := f.running(sums(1))
	first.apply(put("a", 1))
	f.Query(f, "UPDATE "+f.stored("sums", "total")+" SET n = 99") // by hand
	f.wantAsked(0)
	f.rebuilds(1, 2, 2)
	f.rebuilds(1, 2, 2) // is the same
	f.wantStages("1 live")
	next := f.building(1, 2, "worker-2")
	f.wantAsked(0)
	f.wantStages("1 live, 1b2 candidate")
	if next.claim.Position != f.origin || next.table() != "" {
		f.Errorf("the build begins at %d with %q", next.claim.Position, next.table())
	}
	f.rebuilds(1, 2, 0) // is under way
	next.apply(put("a", 1))
	first.apply(put("a", 1))
	if first.table() != "a 100" || next.table() != "a 1" || f.view("sums", "total") != "a 100" {
		f.Errorf("the rows are %q and %q, readers see %q", first.table(), next.table(), f.view("sums", "total"))
	}
	again, _ := sumsBuild(1, 2)
	_, err := f.store.InstallBeside(f.ctx, again, 1)
	f.must(err)
	f.wantStages("1 live, 1b2 candidate")
}

func rebuildPromoted(f *fixture) {
	first := f.running(sums(1))
	first.apply(put("a", 1))
	f.Query(f, "UPDATE "+f.stored("sums", "total")+" SET n = 99")
	f.rebuilds(1, 2, 2)
	_, id := sumsBuild(1, 2)
	next := f.building(1, 2, "worker-2")
	var behind *store.BehindError
	if _, err := f.store.Promote(f.ctx, id); !errors.As(err, &behind) || behind.Projection != id || behind.Live != sumsOf(1) ||
		!strings.Contains(err.Error(), "version 1b2") {
		f.Errorf("a promotion of a build that is behind: %v", err)
	}
	next.apply(put("a", 1))
	comparison, err := f.store.Compare(f.ctx, sumsOf(1), id, 1, func() {})
	f.must(err)
	if comparison.Versions != [2]store.ProjectionID{sumsOf(1), id} || comparison.Tables[0].Changed != 1 {
		f.Errorf("the comparison is %+v", comparison)
	}
	promotion, err := f.store.Promote(f.ctx, id)
	f.must(err)
	if want := (store.Promotion{Projection: "sums", From: sumsOf(1), To: id}); promotion != want {
		f.Errorf("the promotion is %+v, want %+v", promotion, want)
	}
	f.wantStages("1 replaced, 1b2 live")
	if got := f.view("sums", "total"); got != "a 1" {
		f.Errorf("readers see %q", got)
	}
	published, err := f.store.Published(f.ctx, "sums")
	f.must(err)
	if published.ID() != id {
		f.Errorf("published is %+v", published.ID())
	}
	first.apply(put("b", 1)) // both go on
	next.apply(put("b", 1))
	rolled, err := f.store.Rollback(f.ctx, "sums")
	f.must(err)
	if want := (store.Promotion{Projection: "sums", From: id, To: sumsOf(1)}); rolled != want {
		f.Errorf("the rollback is %+v, want %+v", rolled, want)
	}
	f.wantStages("1 live, 1b2 candidate")
	f.rebuilds(1, 2, 0) // it is there still
	_, err = f.store.Promote(f.ctx, id)
	f.must(err)
	f.must(f.store.Retire(f.ctx, sumsOf(1)))
	f.wantStages("1b2 live")
	f.wantCatalogueError("the first build does not come back", sums(1), `projection "sums": has version 1 as 1b2`)
	f.rebuilds(1, 3, 3)
	f.building(1, 3, "worker-3").apply(put("a", 1), put("b", 1))
	f.wantStages("1b2 live, 1b3 candidate")
}

func rebuildAtOnce(f *fixture) {
	f.used(sums(1))
	_, want := sumsBuild(1, 2)
	for _, err := range concurrently(f.hosts(4), func(_ int, host store.Store) error {
		if id, err := host.Rebuild(f.ctx, "sums"); err != nil || id != want {
			return fmt.Errorf("the build is %+v: %w", id, err)
		}
		p, _ := sumsBuild(1, 2)
		_, err := host.InstallBeside(f.ctx, p, 1)
		return err
	}) {
		f.must(err)
	}
	f.wantStages("1 live, 1b2 candidate")
	f.wantAsked(0)
}

func rebuildUnasked(f *fixture) {
	unasked, _ := sumsBuild(1, 2)
	f.used(sums(1))
	f.wantCatalogueError("nobody has asked", unasked, `projection "sums": has no version 1b2`, "nobody has asked for it")
	f.rebuilds(1, 2, 2)
	for _, other := range [][2]int{{1, 3}, {2, 2}} {
		p, _ := sumsBuild(other[0], other[1])
		f.wantCatalogueError("somebody has asked for another", p, "nobody has asked for it")
	}
	f.wantStages("1 live")
	f.wantAsked(2)
	_, err := f.store.Install(f.ctx, totals("other"), 1) // of which nothing is applied, so that a later version replaces it
	f.must(err)
	other := totals("other")
	other.Version, other.Build = 2, 2
	f.wantCatalogueError("a later version in another build", other, "nobody has asked for it")
}

func rebuildRetired(f *fixture) {
	f.used(sums(1))
	p, id := sumsBuild(1, 2)
	f.rebuilds(1, 2, 2)
	f.must(f.store.Retire(f.ctx, id))
	f.wantAsked(0)
	f.wantCatalogueError("it was taken back", p, "nobody has asked for it")
	f.wantInput("it was taken back", f.store.Retire(f.ctx, id), "has no version 1b2: it has 1")
	f.rebuilds(1, 2, 2)
	next := f.building(1, 2, "worker-2")
	next.apply(put("a", 1))
	f.must(f.store.Retire(f.ctx, id)) // also while a worker runs it, which does not begin it again
	f.wantStages("1 live")
	if f.exists(f.Table(store.PlaceOf(store.DefaultSchema, id).Tables, "total")) || !f.exists(f.stored("sums", "total")) {
		f.Error("the tables of the build are there, or those of the other are gone")
	}
	if err := next.commit(put("a", 1)); !errors.Is(err, store.ErrFenced) {
		f.Errorf("a commit of a build that is gone: %v", err)
	}
	f.wantCatalogueError("it is gone", p, "nobody has asked for it")
}

func rebuildRefused(f *fixture) {
	_, err := f.store.Rebuild(f.ctx, "sums")
	f.wantInput("nothing is installed", err, "projection sums", "is not known")
	_, err = f.store.Install(f.ctx, &store.Projection{Name: "bare", Version: 1}, 1)
	f.must(err)
	_, err = f.store.Rebuild(f.ctx, "bare")
	f.wantInput("one without tables", err, "projection bare", "no tables of its own")
}

func rebuildDeclaration(f *fixture) {
	f.used(sums(1))
	f.rebuilds(1, 2, 2)
	p, _ := sumsBuild(1, 2)
	p.Tables[0].Columns = append(p.Tables[0].Columns, store.Column{Name: "more", Type: typed("text")})
	f.wantCatalogueError("another declaration", p, `column "more" is new`)
	f.wantStages("1 live")
	f.wantAsked(2)
	p, _ = sumsBuild(1, 2)
	p.Tables[0].Columns = append(p.Tables[0].Columns, later("more", "text")) // what may change in place
	_, err := f.store.InstallBeside(f.ctx, p, 1)
	f.must(err)
}

func rebuildForgotten(f *fixture) {
	f.beside(1, 2)
	f.rebuilds(1, 2, 2)
	f.promote(2)
	f.wantAsked(0)
	p, _ := sumsBuild(1, 2)
	f.wantCatalogueError("of a version that is not live", p, "nobody has asked for it")
	f.rebuilds(2, 2, 2)
}

func rebuildReset(f *fixture) {
	first := f.running(sums(1))
	first.apply(put("a", 1))
	f.rebuilds(1, 2, 2)
	next := f.building(1, 2, "worker-2")
	f.must(f.store.Release(f.ctx, first.claim))
	f.wantInput("while a build runs", f.store.Reset(f.ctx, "sums"), "is run by worker worker-2")
	f.must(f.store.Release(f.ctx, next.claim))
	f.must(f.store.Reset(f.ctx, "sums"))
	_, id := sumsBuild(1, 2)
	if f.exists(f.Table(store.PlaceOf(store.DefaultSchema, id).Tables, "total")) || f.exists(f.stored("sums", "total")) {
		f.Error("a table is there")
	}
	p, _ := sumsBuild(1, 2)
	f.wantCatalogueError("a host was about to begin it", p, "nobody has asked for it")
	f.used(sums(1))
	f.wantStages("1 live")
	f.wantAsked(0)
}

func rebuildParked(f *fixture) {
	first := f.running(sums(1))
	first.parkAt("x")
	f.rebuilds(1, 2, 2)
	_, id := sumsBuild(1, 2)
	next := f.building(1, 2, "worker-2")
	next.parkAt("y")
	all, err := f.store.Parked(f.ctx, store.ParkedRequest{Range: store.FullRange()})
	f.must(err)
	var got []string
	for _, k := range all {
		got = append(got, k.Projection.VersionText()+" "+string(k.Key))
	}
	if text := strings.Join(got, ", "); text != "1 x, 1b2 y" {
		f.Errorf("parked are %q", text)
	}
	rest, err := f.store.Parked(f.ctx, store.ParkedRequest{Range: store.FullRange(), After: all[0].ParkedID, Limit: 1})
	f.must(err)
	if len(rest) != 1 || rest[0].Projection != id {
		f.Errorf("the second page has %+v", rest)
	}
	of, err := f.store.Parked(f.ctx, store.ParkedRequest{Range: store.FullRange(), Projection: sumsOf(1)})
	f.must(err)
	if len(of) != 1 || string(of[0].Key) != "x" {
		f.Errorf("of the first build are parked %+v", of)
	}
	f.must(f.store.Order(f.ctx, rest[0].ParkedID, store.ActionSkip))
	unparked, err := next.retry(store.Retry{Key: []byte("y"), Through: f.at(1), Orders: 1, Skipped: []store.SkippedEvent{
		{Key: []byte("y"), Position: f.at(1), Event: store.UUID{1}, Error: "wrong"},
	}})
	f.must(err)
	skipped, err := f.store.Skipped(f.ctx, id, 0, 10)
	f.must(err)
	if !unparked || len(skipped) != 1 {
		f.Errorf("after a retry it is parked still, or %+v are skipped", skipped)
	}
	_, err = f.store.SetCode(f.ctx, id, store.Code{Digest: "b"})
	f.must(err)
	if code, err := f.store.Code(f.ctx, sumsOf(1)); err != nil || code.Digest != "" {
		f.Errorf("the code of the first build is %q: %v", code.Digest, err)
	}
}

// rebuildWorkers is about what a version that is later than the live one must not be retired by.
func rebuildWorkers(f *fixture) {
	f.beside(1, 2)
	f.promote(2)
	f.rebuilds(2, 2, 2)
	_, id := sumsBuild(2, 2)
	next := f.building(2, 2, "worker-3")
	next.apply(put("of", 2))
	f.rollback(2, 1)
	f.must(f.store.Release(f.ctx, next.claim))
	f.must(f.store.Heartbeat(f.ctx, store.Worker{
		Name: "worker-3", Projections: []store.Membership{{ProjectionID: sumsOf(2)}},
	}, time.Hour))
	f.must(f.store.Retire(f.ctx, id)) // it runs the other build alone
	f.wantStages("1 live, 2 candidate")
}

func rebuildLater(f *fixture) {
	first := f.running(sums(1))
	first.apply(put("of", 1))
	f.rebuilds(1, 2, 2)
	_, id := sumsBuild(1, 2)
	f.building(1, 2, "worker-2").apply(put("of", 2))
	_, err := f.store.Promote(f.ctx, id)
	f.must(err)
	second := f.runningOn(f.store, sums(2), "worker-3")
	second.apply(put("of", 3))
	f.wantStages("1 replaced, 1b2 live, 2 candidate")
	f.promote(2)
	f.wantStages("1 replaced, 1b2 replaced, 2 live")
	rolled, err := f.store.Rollback(f.ctx, "sums")
	f.must(err)
	if rolled.To != id {
		f.Errorf("the rollback is %+v", rolled)
	}
	f.promote(2)
	f.must(f.store.Retire(f.ctx, id))
	f.wantStages("1 replaced, 2 live")
	f.rollback(2, 1)
}

func rebuildNumbers(f *fixture) {
	r := f.running(sums(99_999_999))
	r.apply(put("a", 1))
	f.rebuilds(99_999_999, 2, 2)
	table := "pupwasm__projections"
	if f.dialect == store.DialectPostgres {
		table = "pupwasm.projections"
	}
	p, id := sumsBuild(99_999_999, 2)
	_, err := f.store.InstallBeside(f.ctx, p, 1)
	f.must(err)
	_, err = f.store.Promote(f.ctx, id)
	if err == nil {
		f.Error("it begins at the first event, and is promoted")
	}
	f.Query(f, "UPDATE "+table+" SET version = 99999999999 WHERE live") // build 999
	last := store.ProjectionID{Name: "sums", Version: 99_999_999, Build: 999}
	all, err := f.store.Status(f.ctx, "sums")
	f.must(err)
	if len(all) != 2 || all[1].ProjectionID != last {
		f.Errorf("the status is %+v", all)
	}
	f.must(f.store.Retire(f.ctx, id))
	f.rebuilds(99_999_999, 2, 2)
}
