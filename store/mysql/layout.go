package mysql

import (
	"context"
	"fmt"
	"strings"

	"github.com/pupwasm/pupwasm/store"
)

// layoutQueries are those of the segments of a projection.
type layoutQueries struct {
	layout        string
	segments      string
	asked         string
	insertSegment string
	alterSegment  string
	deleteSegment string
}

// forUpdate is the end of the queries that lock.
const forUpdate = " FOR UPDATE WAIT 5"

func layoutQueriesFor(in func(string) string) layoutQueries {
	return layoutQueries{
		layout: in(`SELECT whole, segments, next_segment FROM {schema}__projections WHERE name = $1 AND version = $2`) +
			forUpdate,
		// Commits under way are waited for, and what they have written is what is read. One that hangs must not
		// keep the others behind it waiting: the change is tried again.
		segments: in(`SELECT segment, first_hash, last_hash, position, COALESCE(failure, ''), merge_into, merge_at,
			log_id, timeline, last_position, last_event FROM {schema}__segments FORCE INDEX (PRIMARY)
			WHERE projection = $1 AND version = $2 ORDER BY segment`) + forUpdate,
		asked: in(`UPDATE {schema}__projections SET segments = $3, next_segment = $4 WHERE name = $1 AND version = $2`),
		insertSegment: in(`INSERT INTO {schema}__segments (projection, version, segment, first_hash, last_hash, position,
			failure, merge_into, merge_at, log_id, timeline, last_position, last_event, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, NULLIF($7, ''), $8, $9, $10, $11, $12, $13, {now})`),
		alterSegment: in(`UPDATE {schema}__segments SET first_hash = $4, last_hash = $5, failure = NULLIF($6, ''),
			merge_into = $7, merge_at = $8, log_id = $9, timeline = $10, last_position = $11, last_event = $12,
			owner = NULL, epoch = epoch + 1, updated_at = {now}
			WHERE projection = $1 AND version = $2 AND segment = $3`),
		deleteSegment: in(`DELETE FROM {schema}__segments WHERE projection = $1 AND version = $2 AND segment = $3`),
	}
}

// Reshard changes a projection's layout. See [store.Projections].
func (s backend) Reshard(ctx context.Context, projection store.ProjectionID, change func(*store.Layout) error) error {
	return s.write(ctx, func(c *conn) error {
		stored := layoutOf{conn: c, queries: &s.queries.layout, projection: projection}
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

// layoutOf is the stored layout of a projection, within a transaction.
type layoutOf struct {
	conn       *conn
	queries    *layoutQueries
	projection store.ProjectionID
}

// read returns the layout and keeps commits, and other changes, waiting until the transaction ends. Segments are locked
// before the projection, as in commits that park a key.
func (l layoutOf) read() (*store.Layout, error) {
	return l.readBy(l.queries.segments, l.queries.layout)
}

// look is read without a lock: nobody waits.
func (l layoutOf) look() (*store.Layout, error) {
	return l.readBy(strings.TrimSuffix(l.queries.segments, forUpdate), strings.TrimSuffix(l.queries.layout, forUpdate))
}

func (l layoutOf) readBy(ofSegments, ofLayout string) (*store.Layout, error) {
	layout, known := &store.Layout{}, false
	err := l.conn.query(ofSegments, func(r *row) error {
		layout.Segments = append(layout.Segments, store.LayoutSegment{
			Segment:  r.int(0),
			Range:    store.HashRange{First: uint32(r.int64(1)), Last: uint32(r.int64(2))},
			Position: r.int64(3),
			Failure:  r.text(4),
			Merge:    store.Merge{Into: r.int(5), At: r.int64(6)},
			Applied:  r.applied(7),
		})
		return nil
	}, l.projection.Name, l.projection.Number())
	if err != nil {
		return nil, fmt.Errorf("reading the segments: %w", err)
	}
	err = l.conn.query(ofLayout, func(r *row) error {
		layout.Single, layout.Desired, layout.Next, known = r.bool(0), r.int(1), r.int(2), true
		return nil
	}, l.projection.Name, l.projection.Number())
	if err != nil {
		return nil, fmt.Errorf("reading the layout: %w", err)
	}
	if !known {
		return nil, store.UnknownProjection(l.projection.Name)
	}
	layout.Sort()
	return layout, nil
}

// applied reads the columns log_id, timeline, last_position, last_event.
func (r *row) applied(at int) store.Applied {
	return store.Applied{
		Log:      store.LogID{ID: r.uuid(at), Timeline: uint32(r.int64(at + 1))},
		Position: r.int64(at + 2), Event: r.uuid(at + 3),
	}
}

// write stores what differs, in one round trip.
func (l layoutOf) write(before, after *store.Layout) error {
	var texts []string
	add := func(query string, arguments ...any) error {
		text, err := expand(query, append([]any{l.projection.Name, l.projection.Number()}, arguments...))
		texts = append(texts, text)
		return err
	}
	changed, added, removed := after.Changes(before)
	for _, segment := range removed {
		if err := add(l.queries.deleteSegment, segment); err != nil {
			return fmt.Errorf("removing segment %d: %w", segment, err)
		}
	}
	for _, p := range changed {
		if err := add(l.queries.alterSegment, p.Segment, int64(p.Range.First), int64(p.Range.Last), p.Failure,
			p.Merge.Into, p.Merge.At, p.Applied.Log.ID, int64(p.Applied.Log.Timeline), p.Applied.Position,
			p.Applied.Event); err != nil {
			return fmt.Errorf("changing segment %d: %w", p.Segment, err)
		}
	}
	for _, p := range added {
		if err := add(l.queries.insertSegment, p.Segment, int64(p.Range.First), int64(p.Range.Last), p.Position, p.Failure,
			p.Merge.Into, p.Merge.At, p.Applied.Log.ID, int64(p.Applied.Log.Timeline), p.Applied.Position,
			p.Applied.Event); err != nil {
			return fmt.Errorf("creating segment %d: %w", p.Segment, err)
		}
	}
	if before.Desired != after.Desired || before.Next != after.Next {
		if err := add(l.queries.asked, after.Desired, after.Next); err != nil {
			return fmt.Errorf("recording the number of segments: %w", err)
		}
	}
	if len(texts) == 0 {
		return nil
	}
	_, err := l.conn.exec(strings.Join(texts, "; "))
	if err != nil {
		return fmt.Errorf("storing the layout: %w", err)
	}
	return nil
}
