package segments

import (
	"fmt"
	"sync"
	"time"

	"github.com/pupwasm/pupwasm/segments/internal/pipeline"
)

// limitTries is how often in a row a batch may meet a limit before its projection is to blame, and not a
// machine that is busy.
const limitTries = 3

// repeats counts how often in a row the segments of a projection have met a limit at one position. It outlives
// the claims.
type repeats struct {
	mu sync.Mutex
	at map[int]repeat // by segment
}

type repeat struct {
	position, through int64 // of the batch
	times             int
}

// again counts one more time, and returns how often it was in a row.
func (r *repeats) again(segment int, position, through int64) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.at == nil {
		r.at = map[int]repeat{}
	}
	times := 1
	if before := r.at[segment]; before.position == position {
		times += before.times
	}
	r.at[segment] = repeat{position, through, times}
	return times
}

// pause is how long a batch waits before it is tried again: the longest pause after an error of the database,
// and three times that the next time. A machine that is busy for a while does not make a batch fail that has
// only been slow, and an endless statement leaves the database to others most of the time.
func (r *repeats) pause(segment int, longest time.Duration) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Duration(max(2*r.at[segment].times-1, 1)) * longest
}

// through is how far the batch goes that has met a limit at the position, or 0.
func (r *repeats) through(segment int, position int64) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if before := r.at[segment]; before.position == position {
		return before.through
	}
	return 0
}

// forget starts counting from zero again.
func (r *repeats) forget(segment int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.at, segment)
}

// limitFault is a batch that has met a limit each time that it was tried. It is no transient error any more.
type limitFault struct{ reason string }

// Error says how often it was, and which limit.
func (e *limitFault) Error() string { return e.reason }

// countLimit makes a limit a fault when the same batch has met it too often in a row, and, in a worker that runs once,
// an error that somebody has to fix. Another error in between says that the batch was not at its limit that time; a
// segment that was only asked to end says nothing.
func (s *segment) countLimit(err error) error {
	if !pipeline.IsLimit(err) && !(s.runner.worker.options.Once && lasts(err)) {
		if err != nil {
			s.runner.limits.forget(s.number)
		}
		return err
	}
	if s.runner.limits.again(s.number, s.claim.Position, s.limited) < limitTries {
		return err
	}
	s.runner.limits.forget(s.number)
	return &limitFault{fmt.Sprintf("%d times in a row, %s", limitTries, err)}
}
