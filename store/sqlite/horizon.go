package sqlite

import (
	"context"

	"github.com/pupwasm/pupwasm/store"
)

// Horizon tells how far it is safe to read. One transaction writes at a time, so positions appear in their order
// and the last one committed is the horizon. It is read where AUTOINCREMENT keeps it, which does not go back when
// events are deleted.
func (s *Store) Horizon(ctx context.Context) (store.Horizon, error) {
	var h store.Horizon
	err := s.read(ctx, func(c *conn) error {
		var err error
		if h.Log, err = c.logID(&s.queries); err != nil {
			return err
		}
		h.Head, err = c.head(&s.queries)
		h.Position = h.Head
		return err
	})
	return h, err
}

// head returns the last position handed out.
func (c *conn) head(q *queries) (head int64, err error) {
	err = c.query(q.horizon, func(row *prepared) error {
		head = row.ColumnInt64(0)
		return nil
	})
	return head, err
}
