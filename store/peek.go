package store

import "context"

// Peeker is what a store offers beside [Store] when it can look at the horizon and read behind it in one round
// trip, for a host that was told that something is there. It is worth a third of the time from an event to its
// row.
type Peeker interface {
	// Peek is Horizon and then Read, through what the horizon turns out to be: the request's Through is not used.
	// When the horizon is not beyond the request's After, the page is empty and goes up to After.
	Peek(ctx context.Context, request ReadRequest, page *Page) (Horizon, error)
}
