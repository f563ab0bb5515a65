package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"pgregory.net/rapid"

	"github.com/pupwasm/pupwasm/store"
)

var groupCases = []testCase{
	{"callers_share_transactions", groupShares},
	{"a_group_is_bounded", groupBounds},
	{"each_caller_has_its_own_conflict", groupConflicts},
	{"conflicts_within_a_group_are_those_of_calls_in_turn", groupConflictsWithin},
	{"each_caller_has_its_own_duplicate", groupDuplicates},
	{"each_caller_has_its_own_bad_input", groupInput},
	{"options_are_not_mixed", groupOptions},
	{"a_queued_call_whose_context_ends_appends_nothing", groupLeaveQueued},
	{"a_call_under_way_whose_context_ends_is_left_to_the_others", groupLeaveUnderWay},
	{"a_group_that_nobody_waits_for_is_given_up", groupAbandoned},
	{"a_transient_failure_is_for_all_and_is_not_repeated", groupTransient},
	{"closing_drains", groupClose},
	{"any_grouping_gives_each_caller_what_it_gets_alone", groupAnyHistory},
	{"many_callers", groupStress},
}

// groupAppender appends through a group that has no other caller.
func groupAppender(f *fixture) appendFunc { return f.group(f.store, store.GroupOptions{}).Append }

func (f *fixture) group(to store.Appender, options store.GroupOptions) *store.GroupAppender {
	f.Helper()
	g, err := store.NewGroupAppender(to, options)
	f.must(err)
	f.Cleanup(g.Close)
	return g
}

// gate lets calls of Append through one by one, so that a test decides what gathers meanwhile.
type gate struct {
	store.Appender
	entered chan int   // how many appends a call has, when it arrives
	open    chan error // lets it go on, or fails it
}

func newGate(to store.Appender) *gate {
	return &gate{Appender: to, entered: make(chan int), open: make(chan error)}
}

func (g *gate) Append(ctx context.Context, options store.AppendOptions, appends ...store.StreamAppend) ([]store.Appended, error) {
	g.entered <- len(appends)
	select {
	case err := <-g.open:
		if err != nil {
			return nil, err
		}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return g.Appender.Append(ctx, options, appends...)
}

// pass lets every call through from now on, and returns a function that ends that and tells the sizes.
func (g *gate) pass() (end func() []int) {
	var sizes []int
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case n := <-g.entered:
				sizes = append(sizes, n)
				g.open <- nil
			case <-stop:
				return
			}
		}
	}()
	return func() []int {
		close(stop)
		<-stopped
		return sizes
	}
}

// call is one caller of a group.
type call struct {
	ctx      context.Context
	options  store.AppendOptions
	appends  []store.StreamAppend
	appended []store.Appended
	err      error
	done     chan struct{}
}

func one(id string, expected store.Expected, events ...store.Event) *call {
	return &call{appends: []store.StreamAppend{{Stream: stream(id), Expected: expected, Events: events}}}
}

// begin makes the calls one after the other, each when the one before is queued: that is, blocked within Append.
func (f *fixture) begin(g *store.GroupAppender, calls ...*call) {
	f.Helper()
	for _, c := range calls {
		if c.ctx == nil {
			c.ctx = f.ctx
		}
		c.done = make(chan struct{})
		before := g.Queued()
		go func() {
			defer close(c.done)
			c.appended, c.err = g.Append(c.ctx, c.options, c.appends...)
		}()
		f.await("the call is queued", func() bool { return g.Queued() > before })
	}
}

// gathered makes calls that all come into one group: they gather while another append is held at the gate. It returns
// the sizes of the transactions that were tried for them.
func (f *fixture) gathered(calls ...*call) []int {
	f.Helper()
	gate := newGate(f.store)
	g := f.group(gate, store.GroupOptions{CommitsMax: 1})
	first := make(chan error)
	go func() {
		_, err := g.Append(f.ctx, store.AppendOptions{}, store.StreamAppend{Stream: stream("first"), Events: events(1)})
		first <- err
	}()
	<-gate.entered
	f.begin(g, calls...)
	gate.open <- nil
	end := gate.pass()
	f.must(<-first)
	for _, c := range calls {
		<-c.done
	}
	return end()
}

func groupShares(f *fixture) {
	var calls []*call
	for i := range 8 {
		calls = append(calls, one(fmt.Sprint("s", i%2), store.Any(), events(1+i%3)...))
	}
	if sizes := f.gathered(calls...); !slices.Equal(sizes, []int{8}) {
		f.Errorf("the transactions have %v calls, want all in one", sizes)
	}
	versions := map[string]int64{}
	for i, c := range calls {
		f.must(c.err)
		if len(c.appended) != 1+i%3 {
			f.Fatalf("call %d has %d results", i, len(c.appended))
		}
		for _, a := range c.appended {
			id := c.appends[0].Stream.AggregateID
			versions[id]++
			if a.AggregateVersion != versions[id] {
				f.Errorf("call %d got version %d, want %d", i, a.AggregateVersion, versions[id])
			}
		}
	}
}

func groupBounds(f *fixture) {
	for _, limit := range []store.GroupOptions{{CommitsMax: 1, EventsMax: 3}, {CommitsMax: 1, BytesMax: 3 * 64}} {
		gate := newGate(f.store)
		g := f.group(gate, limit)
		sized := func(n int) []store.Event {
			all := make([]store.Event, n)
			for i := range all {
				all[i] = store.Event{Type: "x", Payload: make([]byte, 64)}
			}
			return all
		}
		first := one("a", store.Any(), sized(1)...)
		first.ctx, first.done = f.ctx, make(chan struct{})
		go func() {
			defer close(first.done)
			_, first.err = g.Append(f.ctx, store.AppendOptions{}, first.appends...)
		}()
		<-gate.entered
		calls := []*call{one("a", store.Any(), sized(1)...), one("a", store.Any(), sized(2)...), one("a", store.Any(), sized(5)...), one("a", store.Any(), sized(3)...)}
		f.begin(g, calls...)
		gate.open <- nil
		end := gate.pass()
		for _, c := range append(calls, first) {
			<-c.done
			f.must(c.err)
		}
		if sizes := end(); !slices.Equal(sizes, []int{2, 1, 1}) {
			f.Errorf("with %+v the transactions have %v calls, want 2, 1, 1", limit, sizes)
		}
	}
	for _, wrong := range []store.GroupOptions{{EventsMax: -1}, {BytesMax: -1}, {CommitsMax: -1}, {PayloadBytesMax: -1}} {
		if _, err := store.NewGroupAppender(f.store, wrong); err == nil {
			f.Errorf("accepted %+v", wrong)
		}
	}
}

func groupConflicts(f *fixture) {
	f.appendTo(stream("has3"), 3)
	f.appendTo(stream("has1"), 1)
	calls := []*call{
		one("new", store.NoStream(), events(1)...),
		one("has3", store.Exact(2), events(1)...),
		one("has1", store.Exact(1), events(2)...),
		{appends: []store.StreamAppend{{Stream: stream("other"), Events: events(1)}, {Stream: stream("new2"), Expected: store.Exact(7), Events: events(1)}}},
		one("last", store.Any(), events(1)...),
	}
	if sizes := f.gathered(calls...); !slices.Equal(sizes, []int{6, 3}) {
		f.Errorf("the transactions have %v appends, want the group, and those that are well", sizes)
	}
	for i, want := range []*store.VersionConflictError{
		nil, {Stream: stream("has3"), Expected: store.Exact(2), Actual: 3}, nil, {Stream: stream("new2"), Expected: store.Exact(7)}, nil,
	} {
		var conflict *store.VersionConflictError
		switch {
		case want == nil && calls[i].err != nil:
			f.Errorf("call %d: %v", i, calls[i].err)
		case want != nil && (!errors.As(calls[i].err, &conflict) || *conflict != *want):
			f.Errorf("call %d: %v, want %v", i, calls[i].err, want)
		}
	}
	if got := summary(f.read()); got != "has3@1 has3@2 has3@3 has1@1 first@1 new@1 has1@2 has1@3 last@1" {
		f.Errorf("the log is %s", got)
	}
}

func groupConflictsWithin(f *fixture) {
	calls := []*call{
		one("a", store.NoStream(), events(1)...),
		one("a", store.NoStream(), events(1)...), // loses against the one before
		one("b", store.Any(), events(1)...),
		one("a", store.Exact(1), events(1)...),
	}
	f.gathered(calls...)
	var conflict *store.VersionConflictError
	if !errors.As(calls[1].err, &conflict) || *conflict != (store.VersionConflictError{Stream: stream("a"), Actual: 1, Expected: store.NoStream()}) {
		f.Errorf("the second of two that want a new stream: %v", calls[1].err)
	}
	for _, i := range []int{0, 2, 3} {
		f.must(calls[i].err)
	}
	if got := f.versions(stream("a")); !slices.Equal(got, []int64{1, 2}) {
		f.Errorf("the stream has versions %v", got)
	}
}

func groupDuplicates(f *fixture) {
	with := func(id byte) store.Event { return store.Event{ID: store.UUID{id}, Type: "x"} }
	_, err := f.store.Append(f.ctx, store.AppendOptions{}, store.StreamAppend{Stream: stream("s"), Events: []store.Event{with(1)}})
	f.must(err)
	calls := []*call{
		one("a", store.Any(), with(2)),
		one("b", store.Any(), with(1)), // stored
		one("c", store.Any(), with(3)),
		one("d", store.Any(), with(3)), // the id of another call
		one("e", store.Any(), events(1)...),
	}
	f.gathered(calls...)
	for i, id := range []byte{0, 1, 0, 3, 0} {
		var duplicate *store.DuplicateEventError
		if got := errors.As(calls[i].err, &duplicate); got != (id != 0) || got && duplicate.ID != (store.UUID{id}) || !got && calls[i].err != nil {
			f.Errorf("call %d: %v", i, calls[i].err)
		}
	}
	if got := len(f.read()); got != 5 {
		f.Errorf("the log has %d events, want 5", got)
	}
}

func groupInput(f *fixture) {
	nested := `{"a":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`
	bad := one("b", store.Any(), store.Event{Type: "x", Metadata: []byte(nested)}) // too deep for SQLite
	calls := []*call{one("a", store.Any(), events(1)...), bad, one("c", store.Any(), events(1)...)}
	f.gathered(calls...)
	_, alone := f.store.Append(f.ctx, store.AppendOptions{}, bad.appends...)
	if (alone == nil) != (bad.err == nil) || calls[0].err != nil || calls[2].err != nil {
		f.Errorf("got %v, %v, %v; alone it is %v", calls[0].err, bad.err, calls[2].err, alone)
	}
	// What is known beforehand never comes into a group.
	var input *store.InputError
	if _, err := f.group(f.store, store.GroupOptions{PayloadBytesMax: 3}).Append(f.ctx, store.AppendOptions{},
		store.StreamAppend{Stream: stream("a"), Events: []store.Event{{Type: "x", Payload: make([]byte, 4)}}}); !errors.As(err, &input) {
		f.Errorf("a payload above the limit: %v", err)
	}
}

func groupOptions(f *fixture) {
	event := store.Event{ID: store.UUID{1}, Type: "x"}
	var calls []*call
	for i := range 4 {
		c := one("a", store.Any(), event)
		c.options.SkipDuplicates = i < 3
		calls = append(calls, c)
	}
	if sizes := f.gathered(calls...); !slices.Equal(sizes, []int{3, 1}) {
		f.Errorf("the transactions have %v calls, want 3, 1", sizes)
	}
	for i, c := range calls[:3] {
		if c.err != nil || c.appended[0].Skipped() != (i > 0) {
			f.Errorf("call %d: %+v, %v", i, c.appended, c.err)
		}
	}
	var duplicate *store.DuplicateEventError
	if !errors.As(calls[3].err, &duplicate) {
		f.Errorf("without the option: %v", calls[3].err)
	}
}

func groupLeaveQueued(f *fixture) {
	gate := newGate(f.store)
	g := f.group(gate, store.GroupOptions{CommitsMax: 1})
	ctx, cancel := context.WithCancel(f.ctx)
	first := one("a", store.Any(), events(1)...)
	first.done = make(chan struct{})
	go func() {
		defer close(first.done)
		_, first.err = g.Append(f.ctx, store.AppendOptions{}, first.appends...)
	}()
	<-gate.entered
	left := one("b", store.Any(), events(1)...)
	left.ctx = ctx
	f.begin(g, left)
	cancel()
	<-left.done
	if !errors.Is(left.err, context.Canceled) || g.Queued() != 0 {
		f.Errorf("%v, and %d are queued", left.err, g.Queued())
	}
	gate.open <- nil
	<-first.done
	f.must(first.err)
	g.Close()
	if got := summary(f.read()); got != "a@1" {
		f.Errorf("the log is %s", got)
	}
}

// underWay brings two calls into a group that is held at the gate.
func (f *fixture) underWay(gate *gate, g *store.GroupAppender, calls ...*call) {
	f.Helper()
	first := make(chan error)
	go func() {
		_, err := g.Append(f.ctx, store.AppendOptions{}, store.StreamAppend{Stream: stream("first"), Events: events(1)})
		first <- err
	}()
	<-gate.entered
	f.begin(g, calls...)
	gate.open <- nil
	f.must(<-first)
	if n := <-gate.entered; n != len(calls) {
		f.Fatalf("the group has %d calls, want %d", n, len(calls))
	}
}

func groupLeaveUnderWay(f *fixture) {
	gate := newGate(f.store)
	g := f.group(gate, store.GroupOptions{CommitsMax: 1})
	ctx, cancel := context.WithCancel(f.ctx)
	left, stays := one("a", store.Any(), events(1)...), one("b", store.Any(), events(1)...)
	left.ctx = ctx
	f.underWay(gate, g, left, stays)
	cancel()
	<-left.done
	if !errors.Is(left.err, context.Canceled) {
		f.Errorf("the caller that left: %v", left.err)
	}
	gate.open <- nil
	<-stays.done
	f.must(stays.err)
	if got := summary(f.read()); got != "first@1 a@1 b@1" {
		f.Errorf("the log is %s", got)
	}
}

func groupAbandoned(f *fixture) {
	gate := newGate(f.store)
	g := f.group(gate, store.GroupOptions{CommitsMax: 1})
	ctx, cancel := context.WithCancel(f.ctx)
	calls := []*call{one("a", store.Any(), events(1)...), one("b", store.Any(), events(1)...)}
	for _, c := range calls {
		c.ctx = ctx
	}
	f.underWay(gate, g, calls...)
	cancel()
	f.endWith(context.Canceled, calls)
	g.Close() // the gate is still shut: the group's context has ended
	if got := summary(f.read()); got != "first@1" {
		f.Errorf("the log is %s", got)
	}
}

// endWith waits for calls that must all end with an error.
func (f *fixture) endWith(want error, calls []*call) {
	f.Helper()
	for _, c := range calls {
		<-c.done
		if !errors.Is(c.err, want) {
			f.Errorf("got %v", c.err)
		}
	}
}

func groupTransient(f *fixture) {
	gate := newGate(f.store)
	g := f.group(gate, store.GroupOptions{CommitsMax: 1})
	calls := []*call{one("a", store.Any(), events(1)...), one("b", store.Any(), events(1)...)}
	f.underWay(gate, g, calls...)
	gate.open <- fmt.Errorf("%w: the connection is gone", store.ErrTransient)
	f.endWith(store.ErrTransient, calls)
	g.Close()
	if got := summary(f.read()); got != "first@1" {
		f.Errorf("the log is %s", got)
	}
}

func groupClose(f *fixture) {
	gate := newGate(f.store)
	g := f.group(gate, store.GroupOptions{CommitsMax: 1})
	calls := []*call{one("a", store.Any(), events(1)...), one("b", store.Any(), events(1)...)}
	f.underWay(gate, g, calls...)
	queued := one("c", store.Any(), events(1)...)
	f.begin(g, queued)
	closed := make(chan struct{})
	go func() { g.Close(); close(closed) }()
	f.await("closing refuses appends", func() bool {
		ctx, cancel := context.WithCancel(f.ctx)
		defer cancel()
		time.AfterFunc(time.Millisecond, cancel) // until then it may be queued
		_, err := g.Append(ctx, store.AppendOptions{}, store.StreamAppend{Stream: stream("late"), Events: events(1)})
		return errors.Is(err, store.ErrAppenderClosed)
	})
	select {
	case <-closed:
		f.Error("closed before the appends have ended")
	default:
	}
	gate.open <- nil
	end := gate.pass()
	<-closed
	end()
	for _, c := range append(calls, queued) {
		<-c.done
		f.must(c.err)
	}
	if got := summary(f.read()); got != "first@1 a@1 b@1 c@1" {
		f.Errorf("the log is %s", got)
	}
}

// groupAnyHistory compares groups of random calls with the same calls made one after the other, in the order in which the group
// has ordered them: by the positions of those that succeed.
func groupAnyHistory(f *fixture) {
	round := 0
	rapid.Check(f.T, func(t *rapid.T) {
		round++
		name := func(id string) string { return fmt.Sprint(round, "-", id) }
		known := map[string]int64{}
		for _, id := range []string{"x", "y"} {
			n := rapid.IntRange(0, 3).Draw(t, "events of "+id)
			if n > 0 {
				f.appendTo(stream(name(id)), n)
			}
			known[name(id)] = int64(n)
		}
		var calls []*call
		for range rapid.IntRange(2, 8).Draw(t, "calls") {
			c := &call{}
			for range rapid.IntRange(1, 2).Draw(t, "streams") {
				expected := store.ExpectedFromCode(int64(rapid.IntRange(-3, 4).Draw(t, "expected")))
				all := events(rapid.IntRange(1, 2).Draw(t, "events"))
				if rapid.IntRange(0, 3).Draw(t, "id") == 0 {
					all[0].ID = store.UUID{1, byte(round >> 8), byte(round), byte(rapid.IntRange(0, 2).Draw(t, "which"))}
				}
				c.appends = append(c.appends, store.StreamAppend{Stream: stream(name(rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "stream"))), Expected: expected, Events: all})
			}
			calls = append(calls, c)
		}
		f.gathered(calls...)
		checkHistory(f, t, known, calls)
	})
}

// checkHistory runs a model over the calls that succeeded, in the order of their positions, and then over the others, each of
// which has to fail at some point of that history.
func checkHistory(f *fixture, t *rapid.T, versions map[string]int64, calls []*call) {
	ids := map[store.UUID]bool{}
	state := func() (map[string]int64, map[store.UUID]bool) { return cloned(versions), cloned(ids) }
	var well, failed []*call
	for _, c := range calls {
		if c.err == nil {
			well = append(well, c)
		} else {
			failed = append(failed, c)
		}
	}
	slices.SortFunc(well, func(a, b *call) int { return int(a.appended[0].Position - b.appended[0].Position) })
	refused := map[*call]bool{}
	try := func() {
		for _, c := range failed {
			v, seen := state()
			refused[c] = refused[c] || !modelAppend(c, v, seen, nil)
		}
	}
	try()
	for _, c := range well {
		if !modelAppend(c, versions, ids, c.appended) {
			t.Fatalf("%+v was appended as %+v, and must not", c.appends, c.appended)
		}
		try()
	}
	for _, c := range failed {
		var conflict *store.VersionConflictError
		var duplicate *store.DuplicateEventError
		if !refused[c] || !errors.As(c.err, &conflict) && !errors.As(c.err, &duplicate) {
			t.Fatalf("%+v was refused: %v", c.appends, c.err)
		}
	}
	for id, want := range versions {
		if want == 0 {
			continue
		}
		if got := f.versions(stream(id)); int64(len(got)) != want || got[len(got)-1] != want {
			t.Fatalf("stream %s has %v, want %d versions", id, got, want)
		}
	}
}

func cloned[K comparable, V any](m map[K]V) map[K]V {
	c := make(map[K]V, len(m))
	for k, v := range m {
		c[k] = v
	}
	return c
}

// modelAppend is what an append does to the versions of streams and the stored ids. It tells whether it succeeds, with the versions
// that appended says, unless that is nil.
func modelAppend(c *call, versions map[string]int64, ids map[store.UUID]bool, appended []store.Appended) bool {
	n := 0
	for _, a := range c.appends {
		id := a.Stream.AggregateID
		if a.Expected != store.Any() && a.Expected.Code() != versions[id] {
			return false
		}
		for _, e := range a.Events {
			if e.ID != (store.UUID{}) {
				if ids[e.ID] {
					return false
				}
				ids[e.ID] = true
			}
			versions[id]++
			if appended != nil && appended[n].AggregateVersion != versions[id] {
				return false
			}
			n++
		}
	}
	return true
}

// groupStress has callers that count a stream up by optimistic appends, beside others that share streams, and some that leave.
func groupStress(f *fixture) {
	const callers, rounds = 24, 20
	for _, commits := range []int{1, 3} {
		g := f.group(f.store, store.GroupOptions{CommitsMax: commits})
		counter := stream(fmt.Sprint("counter", commits))
		var mutex sync.Mutex
		won := map[int64]int{}
		var group sync.WaitGroup
		for caller := range callers {
			group.Go(func() {
				version := int64(0)
				own := stream(fmt.Sprintf("own-%d-%d", commits, caller))
				for i := range rounds {
					if _, err := g.Append(f.ctx, store.AppendOptions{}, store.StreamAppend{Stream: own, Expected: store.Exact(int64(i)), Events: events(1)}); err != nil {
						f.Errorf("caller %d: %v", caller, err)
						return
					}
					if caller%3 == 0 {
						ctx, cancel := context.WithTimeout(f.ctx, time.Duration(i)*200*time.Microsecond)
						_, _ = g.Append(ctx, store.AppendOptions{}, store.StreamAppend{Stream: stream("left"), Events: events(1)})
						cancel()
						continue
					}
					appended, err := g.Append(f.ctx, store.AppendOptions{}, store.StreamAppend{Stream: counter, Expected: store.Exact(version), Events: events(1)})
					var conflict *store.VersionConflictError
					switch {
					case errors.As(err, &conflict):
						version = conflict.Actual
					case err != nil:
						f.Errorf("caller %d: %v", caller, err)
						return
					default:
						version = appended[0].AggregateVersion
						mutex.Lock()
						won[version]++
						mutex.Unlock()
					}
				}
			})
		}
		group.Wait()
		g.Close()
		for version, winners := range won {
			if winners != 1 {
				f.Errorf("%d callers have appended version %d", winners, version)
			}
		}
		if got := f.versions(counter); len(got) != len(won) {
			f.Errorf("the counter has %d versions, and %d appends have won", len(got), len(won))
		}
		for caller := range callers {
			if got := len(f.versions(stream(fmt.Sprintf("own-%d-%d", commits, caller)))); got != rounds {
				f.Errorf("caller %d has %d events, want %d", caller, got, rounds)
			}
		}
	}
}
