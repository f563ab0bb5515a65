package segments

import (
	"context"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

// UsedBytes is what counts in a worker's memory budget, for tests.
func UsedBytes(w *Worker) int { return w.shared.Memory.Used() }

// SetHoldMax shortens how long a worker leaves a projection held, before Run.
func SetHoldMax(w *Worker, limit time.Duration) { w.holdMax = limit }

// SetOutboxPatience shortens how long a worker that runs once waits for a message to be sent, before Run.
func SetOutboxPatience(w *Worker, limit time.Duration) { w.outboxes.patience = limit }

// Hold holds versions of a projection, as a comparison does that does not get to its end.
func Hold(ctx context.Context, tables store.Tables, ids [2]store.ProjectionID) error {
	return hold(ctx, tables, ids)
}
