package segments

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pupwasm/pupwasm/internal/backoff"
	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

const (
	// outboxPoll is the shortest interval at which a worker asks how many messages wait, as a rule, and outboxPollMin
	// while commits wait and messages are sent.
	outboxPoll    = time.Second
	outboxPollMin = 20 * time.Millisecond
	// outboxPollShare bounds what this takes to one part in so many of the time: messages are counted.
	outboxPollShare = 20
	// outboxRoomPercent is what is left of the bound when an outbox counts as full no longer. One that a relay keeps just
	// below the bound is so told of once.
	outboxRoomPercent = 90
	// outboxPatience is for how long a worker that runs once waits for a message to be sent, while there is no room for
	// more: there are some tries in it.
	outboxPatience = 30 * time.Second
)

// OutboxFullError says that a projection makes no progress because its messages are not sent.
type OutboxFullError struct {
	Projection string
	Messages   int64  // in its outbox, to be sent or held
	Max        int    // see [Options].OutboxMax
	Reason     string // why they are not sent, and what to do
}

// Error names the projection and what to do.
func (e *OutboxFullError) Error() string {
	return fmt.Sprintf("projection %s waits: %d messages are in its outbox, %d may be, and %s", e.Projection, e.Messages,
		e.Max, e.Reason)
}

// outboxes knows how many messages of the projections of a worker are in the outbox, and has commits wait while there are
// too many.
type outboxes struct {
	worker   *Worker
	soon     chan struct{} // a sign to ask
	patience time.Duration // of a worker that runs once

	mu     sync.Mutex
	known  map[string]store.OutboxStatus // as it was when it was asked for last
	added  map[string]int64              // what this worker has put in since
	failed bool                          // nobody knows more, which was told
	asked  chan struct{}                 // closed when it was asked for again
	full   map[store.ProjectionID]*fullOutbox
}

// fullOutbox is an outbox for which commits wait, or have waited since it was full.
type fullOutbox struct {
	since    time.Time
	sent     time.Time // when there were fewer messages than before, at last
	messages int64     // at last
	max      int
	reason   string
	waiting  int   // commits
	segments []int // of which commits have waited
}

func newOutboxes(w *Worker) *outboxes {
	return &outboxes{
		worker: w, soon: make(chan struct{}, 1), patience: outboxPatience, asked: make(chan struct{}),
		known: map[string]store.OutboxStatus{}, added: map[string]int64{}, full: map[store.ProjectionID]*fullOutbox{},
	}
}

// run asks until ctx ends.
func (o *outboxes) run(ctx context.Context) {
	for pause := outboxPollMin; ctx.Err() == nil; {
		began := clock.Now()
		if o.ask(ctx) {
			pause = outboxPollMin
		}
		rest := outboxPollShare * clock.Since(began)
		timer := time.NewTimer(max(outboxPoll, rest))
		select {
		case <-timer.C:
			pause = outboxPollMin
		case <-o.soon:
			backoff.Sleep(ctx, max(pause, rest)-clock.Since(began))
			pause = min(2*pause, outboxPoll)
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// refresh has it ask soon: nothing is known of a projection, or a commit waits.
func (o *outboxes) refresh() {
	select {
	case o.soon <- struct{}{}:
	default:
	}
}

// put notes that so many messages were committed, which may have been put in.
func (o *outboxes) put(projection string, n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.added[projection] += int64(n)
}

// ask finds out how many messages there are, and reports whether some were put in or sent.
func (o *outboxes) ask(ctx context.Context) (changed bool) {
	var names []string
	for _, r := range o.worker.ready() {
		if r.bounded.Load() {
			names = append(names, r.id.Name)
		}
	}
	if len(names) == 0 {
		return false
	}
	before := o.addedSoFar()
	within, cancel := context.WithTimeout(ctx, o.worker.options.Lease)
	defer cancel()
	names = slices.Compact(names)
	all, err := o.worker.tables.OutboxStatus(within, names...)
	if ctx.Err() != nil {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.asked)
	o.asked = make(chan struct{})
	if err != nil && !o.failed {
		o.worker.logger.Warn().Err(err).Msg("nobody knows how many messages are in the outbox")
	}
	if o.failed = err != nil; o.failed {
		return false
	}
	last := maps.Clone(o.known)
	clear(o.known)
	for _, name := range names {
		o.known[name] = store.OutboxStatus{}
		changed = changed || before[name] != 0
		if o.added[name] -= before[name]; o.added[name] == 0 {
			delete(o.added, name)
		}
	}
	for i := range all {
		status := &all[i]
		was := last[status.Projection]
		changed = changed || inOutbox(&was) != inOutbox(status)
		o.known[status.Projection] = *status
	}
	o.counted()
	return changed
}

// addedSoFar is what was put in of each projection.
func (o *outboxes) addedSoFar() map[string]int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.added)
}

// counted notes how many messages there are by now in outboxes that were full. The lock is held.
func (o *outboxes) counted() {
	for id, full := range o.full {
		status := o.known[id.Name]
		now := inOutbox(&status)
		if now < full.messages {
			full.sent = clock.Now()
		}
		full.messages = now
		if full.waiting == 0 && now < int64(full.max)*outboxRoomPercent/100 {
			o.end(id)
		}
	}
}

// inOutbox is how many messages count.
func inOutbox(status *store.OutboxStatus) int64 { return status.Pending + status.Held }

// outboxRoom is what is known of the outbox of a projection.
type outboxRoom struct {
	store.OutboxStatus
	full  bool            // it was when it was asked for
	room  bool            // further messages may be put in
	asked <-chan struct{} // closed when more is known
}

func (o *outboxes) room(projection string, most int) outboxRoom {
	o.mu.Lock()
	defer o.mu.Unlock()
	status, known := o.known[projection]
	now := outboxRoom{OutboxStatus: status, asked: o.asked, room: most < 0 || !known && o.failed}
	if known {
		now.full = inOutbox(&status) >= int64(most)
		now.room = now.room || inOutbox(&status)+o.added[projection] < int64(most)
	}
	return now
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
		if now.full && !waits {
			waits = true
			o.waits(s, &now.OutboxStatus)
		}
		if waits && s.runner.worker.options.Once && o.isStuck(s, &now.OutboxStatus) {
			now.asked = nil // the worker ends
		}
		o.refresh()
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

// isStuck has a worker that runs once end, if the messages for which a segment waits are not sent.
func (o *outboxes) isStuck(s *segment, status *store.OutboxStatus) bool {
	w, id := o.worker, s.runner.id
	o.mu.Lock()
	quiet := clock.Since(o.full[id].sent)
	o.mu.Unlock()
	reason := whyNotSent(status)
	switch nobody := w.options.Relay == nil && !status.Live; {
	case nobody:
		reason = nobodySends
	case quiet < o.patience:
		return false
	case reason == "":
		reason = fmt.Sprintf("of those that worker %s sends to %s none has arrived for %s", status.Relay, status.Target,
			o.patience)
	}
	w.end(&OutboxFullError{Projection: id.Name, Messages: inOutbox(status), Max: s.outboxMax, Reason: reason})
	return true
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
		full.sent, full.messages = full.since, inOutbox(status)
		o.full[id] = full
		s.runner.logger.Warn().Int64("messages", inOutbox(status)).Int("max", full.max).Msg(full.reason)
		tell(s.runner.options.Observer.OutboxFull, ObservedOutbox{
			Projection: id, Messages: inOutbox(status), Max: full.max,
		})
	}
	if full.waiting == 0 {
		full.sent = clock.Now()
	}
	full.waiting++
	if !slices.Contains(full.segments, s.number) {
		full.segments = append(full.segments, s.number)
		o.worker.membership.refresh()
	}
}

// nobodySends says that there is no relay.
const nobodySends = "nobody sends them: run a host with Options.Relay"

// whyFull says why commits wait, and what to do.
func whyFull(status *store.OutboxStatus, most int) string {
	reason := whyNotSent(status)
	if reason == "" {
		reason = fmt.Sprintf("worker %s sends them to %s, which takes longer", status.Relay, status.Target)
	}
	return fmt.Sprintf("waits, since %d messages may be in its outbox: %s", most, reason)
}

// whyNotSent says why messages are not sent by themselves, and what to do, or nothing.
func whyNotSent(status *store.OutboxStatus) string {
	switch {
	case status.Held > status.Pending:
		return "most are held for a version that readers do not see: promote or retire it"
	case status.Relay == "" || !status.Live:
		return nobodySends
	case status.Exhausted > 0:
		return fmt.Sprintf("worker %s sends them to %s, and %d keys wait until somebody has a message sent again or skips it",
			status.Relay, status.Target, status.Exhausted)
	}
	return ""
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
