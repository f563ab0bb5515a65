package store

import "context"

// Peeker is implemented by a [Log] that can poll the horizon and read in one round trip, for a host that was
// notified. It saves a third of the time from an event to its row.
type Peeker interface {
	// Peek is Horizon and then Read up to that horizon: it ignores the request's Through. When the horizon is not
	// above the request's After, the page is empty and its Through is After.
	Peek(ctx context.Context, request ReadRequest, page *Page) (Horizon, error)
}
