package segments

import (
	"context"
	"time"

	"github.com/pupwasm/pupwasm/internal/clock"
)

// lag lets a checkpoint stay behind what its segment has read, where none of it was for the segment. Each event at the head
// passes all segments and concerns one: if each of them committed at once that it has passed, their transactions would
// compete with the one that matters, and make its event wait.
//
// A checkpoint that is behind is always right. What lags goes along with the next batch that has events, or by itself soon.
type lag struct {
	through   int64     // up to where there was nothing for the segment; 0 when the checkpoint does not lag
	log       int       // in the log of which server, see head.log
	due       time.Time // when the checkpoint follows
	committed time.Time // when it was last moved
}

const (
	// lagMin is how long a checkpoint lags after a rest: the batch that has the event has committed by then.
	lagMin = 10 * time.Millisecond
	// lagMax is the interval at which it follows while events come all the time.
	lagMax = 100 * time.Millisecond
)

// from is where the segment reads on.
func (s *segment) from() int64 { return max(s.claim.Position, s.lag.through) }

// next waits until there is something to read, or until the checkpoint is to follow, and returns how far to read, of which log.
func (s *segment) next(ctx context.Context) (through int64, log int, err error) {
	head := s.runner.worker.head
	if s.lag.through > 0 {
		within, cancel := context.WithDeadline(ctx, s.lag.due)
		through, log, err = head.after(within, s.lag.through)
		cancel()
		switch {
		case err != nil && ctx.Err() == nil:
			return s.lag.through, s.lag.log, nil
		case err != nil || log == s.lag.log:
			return through, log, err
		}
		s.lag.through = 0 // what was read is of a log that is no more
	}
	return head.after(ctx, s.claim.Position)
}

// mayLag tells that nothing was read up to a position for which a commit is to be made now.
func (s *segment) mayLag(through int64) bool {
	now := clock.Now()
	if s.lag.through == 0 {
		s.lag.due = now.Add(lagMin)
		if next := s.lag.committed.Add(lagMax); next.After(s.lag.due) {
			s.lag.due = next
		}
	}
	if s.claim.Barrier > 0 || s.runner.worker.options.Once || !now.Before(s.lag.due) {
		return false // somebody waits for the checkpoint, or it is due
	}
	s.lag.through, s.lag.log = through, s.server
	return true
}
