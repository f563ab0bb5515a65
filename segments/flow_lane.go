package segments

import (
	"context"
	"sync"
)

// underWay counts the windows that were sent. They share a connection, and so a lane.
type underWay struct {
	mu      sync.Mutex
	windows int
}

// enterLane counts a window in, and takes the lane for the first one. One goroutine enters.
func (f *flow) enterLane(ctx context.Context) error {
	if f.underWay.joined() {
		return nil
	}
	if err := f.runner.worker.lanes.enter(ctx, f.runner); err != nil {
		return err
	}
	f.underWay.add(1)
	return nil
}

// leaveLane counts a window out, and gives the lane back behind the last one.
func (f *flow) leaveLane() {
	if f.underWay.add(-1) == 0 {
		f.runner.worker.lanes.leave(f.runner)
	}
}

// joined counts one more in, unless there is none.
func (u *underWay) joined() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.windows == 0 {
		return false
	}
	u.windows++
	return true
}

func (u *underWay) add(n int) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.windows += n
	return u.windows
}
