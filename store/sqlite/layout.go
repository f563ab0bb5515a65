package sqlite

import (
	"context"
	"fmt"

	"github.com/pupwasm/pupwasm/store"
)

// Reshard changes a projection's layout. See [store.Projections].
func (s backend) Reshard(ctx context.Context, projection store.ProjectionID, change func(*store.Layout) error) error {
	return s.write(ctx, func(c *conn) error {
		stored := layoutOf{conn: c, queries: &s.queries, projection: projection}
		before, err := stored.read()
		if err != nil {
			return err
		}
		after := before.Clone()
		if err := change(after); err != nil {
			return err
		}
		return stored.write(before, after)
	})
}

// layoutOf is the stored layout of a projection, within a transaction that writes: there is no other.
type layoutOf struct {
	conn       *conn
	queries    *queries
	projection store.ProjectionID
}

func (l layoutOf) read() (*store.Layout, error) {
	layout, known := &store.Layout{}, false
	err := l.conn.query(l.queries.layout, func(row *prepared) error {
		layout.Single, layout.Desired, layout.Next, known = row.ColumnBool(0), row.ColumnInt(1), row.ColumnInt(2), true
		return nil
	}, l.projection.Name, l.projection.Number())
	if err != nil {
		return nil, fmt.Errorf("reading the layout: %w", err)
	}
	if !known {
		return nil, store.UnknownProjection(l.projection.Name)
	}
	err = l.conn.query(l.queries.segments, func(row *prepared) error {
		layout.Segments = append(layout.Segments, store.LayoutSegment{
			Segment:  row.ColumnInt(0),
			Range:    store.HashRange{First: uint32(row.ColumnInt64(1)), Last: uint32(row.ColumnInt64(2))},
			Position: row.ColumnInt64(3),
			Failure:  row.ColumnText(4),
			Merge:    store.Merge{Into: row.ColumnInt(5), At: row.ColumnInt64(6)},
			Applied:  row.applied(7),
		})
		return nil
	}, l.projection.Name, l.projection.Number())
	if err != nil {
		return nil, fmt.Errorf("reading the segments: %w", err)
	}
	layout.Sort()
	return layout, nil
}

// write stores what differs.
func (l layoutOf) write(before, after *store.Layout) error {
	id := l.projection
	changed, added, removed := after.Changes(before)
	for _, segment := range removed {
		if _, err := l.conn.exec(l.queries.deleteSegment, id.Name, id.Number(), segment); err != nil {
			return fmt.Errorf("removing segment %d: %w", segment, err)
		}
	}
	for _, p := range changed {
		if _, err := l.conn.exec(l.queries.alterSegment, id.Name, id.Number(), p.Segment,
			int64(p.Range.First), int64(p.Range.Last),
			p.Failure, p.Merge.Into, p.Merge.At,
			p.Applied.Log.ID, int64(p.Applied.Log.Timeline), p.Applied.Position, p.Applied.Event); err != nil {
			return fmt.Errorf("changing segment %d: %w", p.Segment, err)
		}
	}
	for _, p := range added {
		if _, err := l.conn.exec(l.queries.insertSegment, id.Name, id.Number(), p.Segment,
			int64(p.Range.First), int64(p.Range.Last),
			p.Position, p.Failure, p.Merge.Into, p.Merge.At,
			p.Applied.Log.ID, int64(p.Applied.Log.Timeline), p.Applied.Position, p.Applied.Event); err != nil {
			return fmt.Errorf("creating segment %d: %w", p.Segment, err)
		}
	}
	if before.Desired == after.Desired && before.Next == after.Next {
		return nil
	}
	if _, err := l.conn.exec(l.queries.asked, id.Name, id.Number(), after.Desired, after.Next); err != nil {
		return fmt.Errorf("recording the number of segments: %w", err)
	}
	return nil
}
