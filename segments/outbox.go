package segments

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

const (
	// outboxPoll is the shortest interval at which a worker asks how many messages wait.
	outboxPoll = time.Second
	// outboxPollShare bounds what this takes to one part in so many of the time: messages are counted.
	outboxPollShare = 20
	// outboxRoomPercent is what is left of the bound when an outbox counts as full no longer. One that a relay keeps just
	// below the bound is so told of once.
	outboxRoomPercent = 90
)

// OutboxFullError says that a projection makes no progress because nobody sends its messages.
type OutboxFullError struct {
	Projection string
	Messages   int64 // in its outbox, to be sent or held
	Max        int   // see [Options].OutboxMax
}

// Error names the projection and what to do.
func (e *OutboxFullError) Error() string {
	return fmt.Sprintf("projection %s waits: %d messages are in its outbox, %d may be, and nobody sends them: "+
		"run a host with Options.Relay", e.Projection, e.Messages, e.Max)
}

// outboxes knows how many messages of the projections of a worker are in the outbox, and has commits wait while there are
// too many.
type outboxes struct {
	worker *Worker
	soon   chan struct{} // a sign to ask

	mu     sync.Mutex
	known  map[string]store.OutboxStatus // as it was when it was asked for last
	failed bool                          // nobody knows more, which was told
	asked  chan struct{}                 // closed when it was asked for again
	full   map[store.ProjectionID]*fullOutbox
}

// fullOutbox is an outbox for which commits wait, or have waited since it was full.
type fullOutbox struct {
	since    time.Time
	max      int
	reason   string
	waiting  int   // commits
	segments []int // of which commits have waited
}

func newOutboxes(w *Worker) *outboxes {
	return &outboxes{
		worker: w, soon: make(chan struct{}, 1), asked: make(chan struct{}), known: map[string]store.OutboxStatus{},
		full: map[store.ProjectionID]*fullOutbox{},
	}
}

// run asks until ctx ends.
func (o *outboxes) run(ctx context.Context) {
	for ctx.Err() == nil {
		began := clock.Now()
		o.ask(ctx)
		timer := time.NewTimer(max(outboxPoll, outboxPollShare*clock.Since(began)))
		select {
		case <-timer.C:
		case <-o.soon:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// refresh has it ask at once, for a projection of which nothing is known.
func (o *outboxes) refresh() {
	select {
	case o.soon <- struct{}{}:
	default:
	}
}

// ask finds out how many messages there are.
func (o *outboxes) ask(ctx context.Context) {
	var names []string
	for _, r := range o.worker.ready() {
		if r.bounded.Load() {
			names = append(names, r.id.Name)
		}
	}
	if len(names) == 0 {
		return
	}
	within, cancel := context.WithTimeout(ctx, o.worker.options.Lease)
	defer cancel()
	names = slices.Compact(names)
	all, err := o.worker.tables.OutboxStatus(within, names...)
	if ctx.Err() != nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.asked)
	o.asked = make(chan struct{})
	if err != nil && !o.failed {
		o.worker.logger.Warn().Err(err).Msg("nobody knows how many messages are in the outbox")
	}
	if o.failed = err != nil; o.failed {
		return
	}
	clear(o.known)
	for _, name := range names {
		o.known[name] = store.OutboxStatus{}
	}
	for i := range all {
		o.known[all[i].Projection] = all[i]
	}
	for id, full := range o.full {
		status := o.known[id.Name]
		if full.waiting == 0 && inOutbox(&status) < int64(full.max)*outboxRoomPercent/100 {
			o.end(id)
		}
	}
}

// inOutbox is how many messages count.
func inOutbox(status *store.OutboxStatus) int64 { return status.Pending + status.Held }

// outboxRoom is what is known of the outbox of a projection.
type outboxRoom struct {
	store.OutboxStatus
	known bool
	room  bool            // further messages may be put in
	asked <-chan struct{} // closed when more is known
}

func (o *outboxes) room(projection string, most int) outboxRoom {
	o.mu.Lock()
	defer o.mu.Unlock()
	status, known := o.known[projection]
	room := outboxRoom{OutboxStatus: status, known: known, asked: o.asked, room: most < 0 || !known && o.failed}
	if known {
		room.room = room.room || inOutbox(&status) < int64(most)
	}
	return room
}

// HasRoom reports that messages of the segment may be put into the outbox.
func (s *segment) HasRoom() bool {
	return s.runner.worker.outboxes.room(s.runner.id.Name, s.outboxMax).room
}

// AwaitRoom waits until messages of the segment may be put into the outbox, and fails when ctx ends first.
func (s *segment) AwaitRoom(ctx context.Context) error {
	o, id := s.runner.worker.outboxes, s.runner.id
	for waits := false; ; {
		now := o.room(id.Name, s.outboxMax)
		if now.room && waits {
			o.goesOn(id)
		}
		if now.room {
			return ctx.Err()
		}
		if now.known && !waits {
			waits = true
			o.waits(s, &now.OutboxStatus)
		}
		if w := s.runner.worker; now.known && w.options.Once && w.options.Relay == nil && !now.Live {
			w.end(&OutboxFullError{Projection: id.Name, Messages: inOutbox(&now.OutboxStatus), Max: s.outboxMax})
		}
		select {
		case <-now.asked:
		case <-ctx.Done():
			if waits {
				o.leaves(s)
			}
			return ctx.Err()
		}
	}
}

// outboxMax is the most messages that may be in the outbox, or below 0 for no limit.
func (r *runner) outboxMax() int {
	if len(r.program.Projection().Messages) == 0 {
		return -1
	}
	return r.options.OutboxMax
}

// waits notes that a commit of a segment waits.
func (o *outboxes) waits(s *segment, status *store.OutboxStatus) {
	o.mu.Lock()
	defer o.mu.Unlock()
	id := s.runner.id
	full := o.full[id]
	if full == nil {
		full = &fullOutbox{since: clock.Now(), max: s.outboxMax, reason: whyFull(status, s.outboxMax)}
		o.full[id] = full
		s.runner.logger.Warn().Int64("messages", inOutbox(status)).Int("max", full.max).Msg(full.reason)
		tell(s.runner.options.Observer.OutboxFull, ObservedOutbox{
			Projection: id, Messages: inOutbox(status), Max: full.max,
		})
	}
	full.waiting++
	if !slices.Contains(full.segments, s.number) {
		full.segments = append(full.segments, s.number)
		o.worker.membership.refresh()
	}
}

// whyFull says why commits wait, and what to do.
func whyFull(status *store.OutboxStatus, most int) string {
	waits := fmt.Sprintf("waits, since %d messages may be in its outbox", most)
	switch {
	case status.Held > status.Pending:
		return waits + ": most are held for a version that readers do not see: promote or retire it"
	case status.Relay == "" || !status.Live:
		return waits + ": nobody sends them: run a host with Options.Relay"
	case status.Exhausted > 0:
		return fmt.Sprintf("%s: worker %s sends them to %s, and %d keys wait until somebody has a message sent again or "+
			"skips it", waits, status.Relay, status.Target, status.Exhausted)
	}
	return fmt.Sprintf("%s: worker %s sends them to %s, which takes longer", waits, status.Relay, status.Target)
}

// goesOn notes that a commit has waited.
func (o *outboxes) goesOn(id store.ProjectionID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.full[id].waiting--
}

// leaves notes that a segment does not wait any longer, since it ends.
func (o *outboxes) leaves(s *segment) {
	o.mu.Lock()
	defer o.mu.Unlock()
	full := o.full[s.runner.id]
	full.waiting--
	full.segments = slices.DeleteFunc(full.segments, func(number int) bool { return number == s.number })
	if full.waiting == 0 && len(full.segments) == 0 {
		o.end(s.runner.id)
	}
	o.worker.membership.refresh()
}

// end notes that nothing of a version waits. The lock is held.
func (o *outboxes) end(id store.ProjectionID) {
	full, status := o.full[id], o.known[id.Name]
	delete(o.full, id)
	after := clock.Since(full.since)
	w := o.worker
	w.logger.Info().Str("projection", id.Name).Interface("version", logged(id)).Dur("after", after).
		Msg("no longer waits for room in its outbox")
	tell(w.options.Observer.OutboxRoom, ObservedOutbox{
		Projection: id, Messages: inOutbox(&status), Max: full.max, After: after,
	})
	w.membership.refresh()
}

// troubles are the segments that wait, or have since the outbox was full.
func (o *outboxes) troubles() (all []store.Trouble) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for id, full := range o.full {
		for _, number := range full.segments {
			all = append(all, store.Trouble{Projection: id, Segment: number, Reason: full.reason})
		}
	}
	return all
}
