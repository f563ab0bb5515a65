package sqlite

import (
	"context"

	"github.com/pupwasm/pupwasm/store"
)

// Horizon tells how far it is safe to read. One transaction writes at a time, so positions appear in their order and the
// last one committed is the horizon. It is read where AUTOINCREMENT keeps it, which does not go back when events are deleted.
func (s *Store) Horizon(ctx context.Context) (store.Horizon, error) {
	var h store.Horizon
	err := s.read(ctx, func(c *conn) error {
		return c.query(s.queries.horizon, func(row *prepared) error {
			h.Head = row.ColumnInt64(0)
			h.Position = h.Head
			return nil
		})
	})
	return h, err
}
