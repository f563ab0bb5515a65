package host

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/pupwasm/pupwasm/internal/clock"
)

// turns bounds how many guests run at once. Code of guests cannot be interrupted before its slice of fuel
// ends, so one processor is kept free of it, for the host's scheduler and collector and everything else. A
// turn lasts until the guest leaves its code, at the end of a slice at the latest. A guest that waits for
// something, as for the answer to a query, has none.
//
// Guests whose call has taken little time so far go first, in the order in which they came: a batch that is
// short does not wait for those that loop. One turn in a while goes to the others all the same.
type turns struct {
	count   int
	mu      sync.Mutex
	free    int
	waiting [classes][]chan struct{}
	passed  int // turns that others were passed over for
}

// The classes of guests that wait.
const (
	brief = iota
	lengthy
	classes
)

const (
	// lengthyAfter is the running time of a call from which on it is lengthy.
	lengthyAfter = time.Millisecond
	// passedMax is how many turns in a row go to brief calls while lengthy ones wait.
	passedMax = 8
)

// processors are the turns of all guests of the process.
var processors = newTurns(runtime.GOMAXPROCS(0) - 1)

func newTurns(count int) *turns {
	count = max(count, 1)
	return &turns{count: count, free: count}
}

// try takes a turn if there is one.
func (t *turns) try() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.free == 0 {
		return false
	}
	t.free--
	return true
}

// await waits for a turn until ctx ends.
func (t *turns) await(ctx context.Context, class int) error {
	t.mu.Lock()
	if t.free > 0 {
		t.free--
		t.mu.Unlock()
		return nil
	}
	given := make(chan struct{})
	t.waiting[class] = append(t.waiting[class], given)
	t.mu.Unlock()
	select {
	case <-given:
		return nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	at := slices.Index(t.waiting[class], given)
	if at >= 0 {
		t.waiting[class] = slices.Delete(t.waiting[class], at, at+1)
	}
	t.mu.Unlock()
	if at < 0 { // it came at the same moment
		t.give()
	}
	return context.Cause(ctx)
}

// give gives a turn back, to the guest that is next.
func (t *turns) give() {
	t.mu.Lock()
	defer t.mu.Unlock()
	class := t.next()
	if len(t.waiting[class]) == 0 {
		t.free++
		return
	}
	close(t.waiting[class][0])
	t.waiting[class] = t.waiting[class][1:]
}

// next is the class that has the next turn.
func (t *turns) next() int {
	if len(t.waiting[brief]) == 0 || len(t.waiting[lengthy]) > 0 && t.passed >= passedMax {
		t.passed = 0
		return lengthy
	}
	if len(t.waiting[lengthy]) > 0 {
		t.passed++
	}
	return brief
}

// enter takes the guest's turn. Waiting does not count as its time.
func (g *Guest) enter() error {
	if !processors.try() {
		class := brief
		if g.ran > lengthyAfter {
			class = lengthy
		}
		g.deadline.pause()
		err := processors.await(g.deadline.ctx, class)
		g.deadline.resume()
		if err != nil {
			return err
		}
	}
	g.running, g.entered = true, clock.Now()
	return nil
}

// leave gives the guest's turn back, if it has one.
func (g *Guest) leave() {
	if g.running {
		g.running = false
		g.ran += clock.Since(g.entered)
		processors.give()
	}
}

// yield lets others have their turn. What ends a call while it waits for the next one, ends it here.
func (g *Guest) yield() {
	g.leave()
	if err := g.enter(); err != nil {
		panic(g.abort(err))
	}
}

// withoutTurn runs a function that may wait, without a turn. Its time does not count as the guest's.
func (g *Guest) withoutTurn(wait func()) {
	g.leave()
	g.deadline.pause()
	defer func() {
		g.deadline.resume()
		g.yield()
	}()
	wait()
}
