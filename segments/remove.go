package segments

import (
	"context"

	"github.com/pupwasm/pupwasm/store"
)

// Remove stops a version of a projection at a batch boundary and waits until its segments are released. Other versions
// go on.
func (w *Worker) Remove(projection store.ProjectionID) {
	w.mu.Lock()
	runners := w.runnersOf(projection)
	for _, r := range runners {
		delete(w.runners, r.id)
	}
	given := w.given[projection]
	delete(w.given, projection)
	_, refused := w.refused[projection]
	delete(w.refused, projection)
	w.shared.Connections.Divide(len(w.runners))
	started := w.running != nil
	w.mu.Unlock()
	if refused {
		w.membership.refresh()
	}
	for _, r := range runners {
		r.stop()
	}
	for _, r := range runners {
		w.await(r, started)
	}
	if given != nil {
		given.program.Close(context.Background())
	}
}

// await waits until a runner that was stopped has released everything.
func (w *Worker) await(r *runner, started bool) {
	if !started {
		r.close()
		return
	}
	<-r.done
	w.mu.Lock()
	w.gone[r.id] = true
	w.mu.Unlock()
	w.membership.refresh()
}

// removed returns the projections that were removed and are not set again.
func (w *Worker) removed() (ids []store.ProjectionID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id := range w.gone {
		if _, again := w.runners[id]; !again {
			ids = append(ids, id)
		}
	}
	return ids
}

func (w *Worker) vacated(projection store.ProjectionID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.gone, projection)
}
