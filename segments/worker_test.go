package segments_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
)

// quick are the options of a worker whose test waits for what takes its time in production.
func quick() segments.Options {
	return segments.Options{
		OnError:  store.ErrorStop,
		PollOnly: true, Lease: 2 * time.Second, Heartbeat: 100 * time.Millisecond, Rebalance: 50 * time.Millisecond,
		Poll: 2 * time.Millisecond, PollMax: 50 * time.Millisecond, RetryMin: 5 * time.Millisecond, RetryMax: 100 * time.Millisecond,
	}
}

// working is a worker that runs.
type working struct {
	*segments.Worker
	stopping context.CancelFunc
	done     sync.WaitGroup
	ended    chan struct{}
}

// startWorker runs a worker until the test ends, or stop is called.
func startWorker(t *testing.T, s store.Store, options segments.Options, modules ...*host.Module) *working {
	t.Helper()
	return startWorkerOn(t, s, s, options, modules...)
}

func startWorkerOn(
	t *testing.T, log store.Log, tables store.Tables, options segments.Options, modules ...*host.Module,
) *working {
	t.Helper()
	worker, err := segments.New(log, tables, options)
	if err != nil {
		t.Fatal(err)
	}
	for _, module := range modules {
		worker.Set(module)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &working{Worker: worker, stopping: cancel, ended: make(chan struct{})}
	w.done.Go(func() {
		defer close(w.ended)
		if err := worker.Run(ctx); err != nil {
			t.Errorf("Run returns %v", err)
		}
	})
	t.Cleanup(w.stop)
	return w
}

// stop ends the worker as a signal does, and waits for it.
func (w *working) stop() {
	w.stopping()
	w.done.Wait()
}

// runs fails the test when the worker has ended by itself.
func (w *working) runs(t *testing.T) {
	t.Helper()
	select {
	case <-w.ended:
		t.Error("the worker has ended by itself")
	default:
	}
}

// appendTo appends and returns the last position.
func appendTo(t *testing.T, s store.Store, streams ...store.StreamAppend) int64 {
	t.Helper()
	results, err := s.Append(t.Context(), store.AppendOptions{}, streams...)
	if err != nil {
		t.Fatal(err)
	}
	return results[len(results)-1].Position
}

// applied waits until a projection is at a position.
func applied(t *testing.T, s store.Store, projection string, position int64) {
	t.Helper()
	appliedOn(t, s, s, projection, position)
}

func appliedOn(t *testing.T, log store.Log, tables store.Tables, projection string, position int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testwait.Patience)
	defer cancel()
	wait := segments.Wait{Projection: projection, Position: position, Grace: testwait.Patience}
	if err := wait.For(ctx, log, tables); err != nil {
		t.Fatalf("%s is not at %d: %v", projection, position, err)
	}
}

// finesOf are payments of one cent to so many fines, which fall into different segments.
func finesOf(n int) []store.StreamAppend {
	all := make([]store.StreamAppend, n)
	for i := range all {
		all[i] = payments(fmt.Sprintf("F%d", i), 1)
	}
	return all
}
