package postgres

import (
	"context"

	"github.com/pupwasm/pupwasm/store"
)

// Horizon tells how far it is safe to read. It is one statement in a transaction of its own: the read that follows has to
// take its snapshot after it.
func (s *Store) Horizon(ctx context.Context) (store.Horizon, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var h store.Horizon
	err := s.control.QueryRow(ctx, s.queries.horizon).Scan(&h.Head, &h.Position, &h.Holder)
	return h, translate(err)
}
