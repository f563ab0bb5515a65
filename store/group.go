package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// ErrAppenderClosed says that an append came after Close. Nothing was appended.
var ErrAppenderClosed = errors.New("the appender is closed")

// GroupOptions bounds the groups of a [GroupAppender]. The zero value is ready to use.
type GroupOptions struct {
	// EventsMax bounds the events of a transaction. One append may have more, and goes alone then. Defaults to 1,000.
	EventsMax int
	// BytesMax bounds the payloads and metadata of a transaction, likewise. Defaults to 4 MiB.
	BytesMax int
	// CommitsMax bounds the transactions under way at once. With 1 groups are largest, which is best for SQLite, whose writer is
	// the only one; with 2 the next group is at work while one waits for the disk. Defaults to 2.
	CommitsMax int
	// PayloadBytesMax is the limit on the payload of one event, at most that of the store. Defaults to 16 MiB.
	PayloadBytesMax int
}

func (o *GroupOptions) withDefaults() {
	if o.EventsMax == 0 {
		o.EventsMax = 1000
	}
	if o.BytesMax == 0 {
		o.BytesMax = 4 << 20
	}
	if o.CommitsMax == 0 {
		o.CommitsMax = 2
	}
	if o.PayloadBytesMax == 0 {
		o.PayloadBytesMax = PayloadBytesMax
	}
}

func (o *GroupOptions) validate() error {
	for _, limit := range []struct {
		name  string
		value int
	}{{"EventsMax", o.EventsMax}, {"BytesMax", o.BytesMax}, {"CommitsMax", o.CommitsMax}, {"PayloadBytesMax", o.PayloadBytesMax}} {
		if limit.value < 1 {
			return fmt.Errorf("%s must be at least 1, is %d", limit.name, limit.value)
		}
	}
	return nil
}

// GroupAppender appends for many callers in few transactions, so that they share the wait for the disk. While commits are
// under way the next group gathers; nothing waits for a time to pass, so that a single caller is as fast as without.
//
//	caller ─┐
//	caller ─┼─► queue ─► group ─► one transaction ─┬─ result for each
//	caller ─┘              ▲                       │
//	                       └── those left over ◄───┴─ conflict or duplicate: an error for whom it concerns
//
// Each caller has the result, and the error, that it would have had alone: all of its events are appended or none. What
// cannot be told apart within a group is appended again, each call in a transaction of its own.
//
// It does not survive a lost connection better than the store does: [ErrTransient] is for all of a group, and nothing can be
// said of any of them. It is safe for concurrent use. It keeps no goroutine while nobody appends.
type GroupAppender struct {
	to      Appender
	options GroupOptions

	mutex     sync.Mutex
	queue     []*groupMember // in the order of arrival
	committed *sync.Cond     // committing has changed
	working   int            // goroutines that commit
	closed    bool
}

var _ Appender = (*GroupAppender)(nil)

// groupMember is one call of Append.
type groupMember struct {
	ctx     context.Context
	options AppendOptions
	appends []StreamAppend
	events  int
	bytes   int

	group    *appendGroup // nil while the call is queued
	appended []Appended
	err      error
	done     chan struct{} // closes when appended and err are set
}

// appendGroup is the calls that are being appended together.
type appendGroup struct {
	waiting int // callers whose context has not ended
	cancel  context.CancelFunc
}

// NewGroupAppender makes an appender over a store. The store is the caller's, and must stay open until Close has returned.
//
// # Errors
//
// An option out of its limits.
func NewGroupAppender(to Appender, options GroupOptions) (*GroupAppender, error) {
	options.withDefaults()
	if err := options.validate(); err != nil {
		return nil, err
	}
	g := &GroupAppender{to: to, options: options}
	g.committed = sync.NewCond(&g.mutex)
	return g, nil
}

// Append adds the events, in a transaction that other calls may share. See [Appender] for result and errors; besides them
// there is [ErrAppenderClosed].
//
// A caller whose context ends stops waiting and gets the context's error. While its call was queued nothing is appended. When it
// was already under way, as the text then says, it may be appended or not, and the events, payloads and metadata must not be
// changed afterwards; the transaction is given up when nobody waits for it any more.
//
// A caller that waits for each of its calls has its events in the order of the calls. Of calls that overlap any can be first.
func (g *GroupAppender) Append(ctx context.Context, options AppendOptions, appends ...StreamAppend) ([]Appended, error) {
	count, err := ValidateAppends(appends, g.options.PayloadBytesMax)
	if err != nil || count == 0 && !HasConditions(appends) {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m := &groupMember{ctx: ctx, options: options, appends: appends, events: count, bytes: bytesOf(appends), done: make(chan struct{})}
	if err := g.enqueue(m); err != nil {
		return nil, err
	}
	select {
	case <-m.done:
		return m.appended, m.err
	case <-ctx.Done():
		return g.leave(m)
	}
}

// Queued tells how many calls wait for a transaction that has not begun.
func (g *GroupAppender) Queued() int {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return len(g.queue)
}

// Close refuses further appends, waits for those that are under way or queued, and returns.
func (g *GroupAppender) Close() {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.closed = true
	for g.working > 0 {
		g.committed.Wait()
	}
}

func bytesOf(appends []StreamAppend) (bytes int) {
	for i := range appends {
		for j := range appends[i].Events {
			bytes += len(appends[i].Events[j].Payload) + len(appends[i].Events[j].Metadata)
		}
	}
	return bytes
}

func (g *GroupAppender) enqueue(m *groupMember) error {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if g.closed {
		return ErrAppenderClosed
	}
	g.queue = append(g.queue, m)
	if g.working < g.options.CommitsMax {
		g.working++
		go g.work()
	}
	return nil
}

// leave ends the wait of a caller whose context is over.
func (g *GroupAppender) leave(m *groupMember) ([]Appended, error) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	select {
	case <-m.done: // both came at once
		return m.appended, m.err
	default:
	}
	if m.group == nil {
		g.queue = slices.DeleteFunc(g.queue, func(queued *groupMember) bool { return queued == m })
		return nil, m.ctx.Err()
	}
	m.group.waiting--
	if m.group.waiting == 0 {
		m.group.cancel()
	}
	return nil, fmt.Errorf("waiting for an append that is under way: %w", m.ctx.Err())
}

// work commits groups until nobody is queued.
func (g *GroupAppender) work() {
	for {
		ctx, cancel := context.WithCancel(context.Background())
		members := g.take(cancel)
		if len(members) > 0 {
			g.commit(ctx, members)
		}
		cancel()
		if len(members) == 0 {
			return
		}
	}
}

// take makes a group of the calls at the front of the queue. Without any the worker has ended.
func (g *GroupAppender) take(cancel context.CancelFunc) []*groupMember {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	n, events, bytes := 0, 0, 0
	for ; n < len(g.queue); n++ {
		m := g.queue[n]
		events += m.events
		bytes += m.bytes
		if n > 0 && (m.options != g.queue[0].options || events > g.options.EventsMax || bytes > g.options.BytesMax) {
			break
		}
	}
	if n == 0 {
		g.working--
		g.committed.Broadcast()
		return nil
	}
	members := slices.Clone(g.queue[:n])
	g.queue = slices.Delete(g.queue, 0, n)
	group := &appendGroup{waiting: n, cancel: cancel}
	for _, m := range members {
		m.group = group
	}
	return members
}

// attemptsMax is how often a group is tried without those that have failed, before each call goes alone.
const attemptsMax = 3

// commit appends a group and gives every member its result.
func (g *GroupAppender) commit(ctx context.Context, members []*groupMember) {
	var apart []*groupMember
	for attempt := 0; len(members) > 1 && attempt < attemptsMax; attempt++ {
		appended, err := g.to.Append(ctx, members[0].options, together(members)...)
		if err == nil {
			for _, m := range members {
				g.finish(m, appended[:m.events:m.events], nil)
				appended = appended[m.events:]
			}
			members = nil
			break
		}
		verdict := judge(members, err)
		var rest []*groupMember
		for i, m := range members {
			switch {
			case verdict[i].err != nil:
				g.finish(m, nil, verdict[i].err)
			case verdict[i].apart:
				apart = append(apart, m)
			default:
				rest = append(rest, m)
			}
		}
		members = rest
	}
	for _, m := range slices.Concat(members, apart) {
		appended, err := g.to.Append(m.ctx, m.options, m.appends...)
		g.finish(m, appended, err)
	}
}

func together(members []*groupMember) []StreamAppend {
	var all []StreamAppend
	for _, m := range members {
		all = append(all, m.appends...)
	}
	return all
}

// finish is called under the mutex that leave holds, so that a caller whose context ends at the same time gets one of the two.
func (g *GroupAppender) finish(m *groupMember, appended []Appended, err error) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	m.appended, m.err = appended, err
	close(m.done)
}
