package mysql

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

// createdAt is the time of an event in microseconds since 1970-01-01 UTC, which drivers read alike.
const createdAt = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', created_at)"

// eventColumns are the columns that a read may ask for.
var eventColumns = []struct {
	column store.Columns
	name   string
	set    func(b *store.PageBuilder, event *store.RecordedEvent, value []byte)
}{
	{store.ColumnBoundedContext, "bounded_context", func(b *store.PageBuilder, e *store.RecordedEvent, v []byte) {
		e.BoundedContext = b.Intern(v)
	}},
	{store.ColumnAggregateType, "aggregate_type", func(b *store.PageBuilder, e *store.RecordedEvent, v []byte) {
		e.AggregateType = b.Intern(v)
	}},
	{store.ColumnAggregateID, "aggregate_id", func(b *store.PageBuilder, e *store.RecordedEvent, v []byte) {
		e.AggregateID = b.Text(v)
	}},
	{store.ColumnEventID, "event_id", func(_ *store.PageBuilder, e *store.RecordedEvent, v []byte) {
		copy(e.ID[:], v)
	}},
	{store.ColumnEventType, "event_type", func(b *store.PageBuilder, e *store.RecordedEvent, v []byte) {
		e.Type = b.Intern(v)
	}},
	{store.ColumnEventVersion, "event_version", nil},
	{store.ColumnPayload, "payload", func(b *store.PageBuilder, e *store.RecordedEvent, v []byte) {
		e.Payload = b.Keep(v)
	}},
	{store.ColumnMetadata, "metadata", func(b *store.PageBuilder, e *store.RecordedEvent, v []byte) {
		e.Metadata = b.Keep(v)
	}},
	{store.ColumnTraceID, "trace_id", func(b *store.PageBuilder, e *store.RecordedEvent, v []byte) {
		e.TraceID = b.Text(v)
	}},
	{store.ColumnCorrelationID, "correlation_id", func(b *store.PageBuilder, e *store.RecordedEvent, v []byte) {
		e.CorrelationID = b.Text(v)
	}},
	{store.ColumnCausationID, "causation_id", func(b *store.PageBuilder, e *store.RecordedEvent, v []byte) {
		e.CausationID = b.Text(v)
	}},
	{store.ColumnCreatedAt, createdAt, nil},
	{store.ColumnPartitionHash, "partition_hash", nil},
}

// collect gives a row to the builder.
func collect(r *row, columns store.Columns, builder *store.PageBuilder) {
	if builder.Full {
		return // the rest of the result has to be read to be rid of it
	}
	event := builder.Row()
	event.Position, event.AggregateVersion = r.int64(0), r.int64(1)
	at := 2
	for i := range eventColumns {
		column := &eventColumns[i]
		if !columns.Has(column.column) {
			continue
		}
		switch column.column {
		case store.ColumnEventVersion:
			event.Version = int32(r.int64(at))
		case store.ColumnCreatedAt:
			event.CreatedAt = time.UnixMicro(r.int64(at)).UTC()
		case store.ColumnPartitionHash:
			event.PartitionHash = uint32(r.int64(at))
		default:
			if !r.null(at) {
				column.set(builder, event, r.bytes(at))
			}
		}
		at++
	}
	builder.EndRow()
}

// Read fills page with events of the subscription. See [store.Reader].
func (s *Store) Read(ctx context.Context, request store.ReadRequest, page *store.Page) error {
	if some, err := request.Start(page); err != nil || !some {
		return err
	}
	text, err := s.readStatement(request)
	if err != nil {
		return err
	}
	var builder store.PageBuilder
	err = s.read(ctx, func(c *conn) error {
		known := false
		builder.Begin(page, request.Bytes)
		defer builder.End(page)
		err := c.results(s.queries.log.id+"; "+text, func(result int, r *row) error {
			if result == 0 {
				page.Log.ID, known = r.uuid(0), true
			} else {
				collect(r, request.Columns, &builder)
			}
			return nil
		})
		if err == nil && !known {
			err = errNoLogID
		}
		return err
	})
	if err != nil {
		return err
	}
	request.Finish(page, builder.Full)
	return nil
}

// readStatement leaves conditions that do not restrict anything out. FORCE INDEX keeps the positions the way in: the
// planner would take the index that begins with bounded_context, read all of it and sort.
func (s *Store) readStatement(request store.ReadRequest) (string, error) {
	var b strings.Builder
	args := []any{request.After, request.Through, request.Limit}
	b.WriteString(s.selectColumns(request.Columns))
	b.WriteString(" FORCE INDEX (PRIMARY) WHERE global_position > $1 AND global_position <= $2")
	if request.Positions != nil {
		// One look-up a position, however far apart they are. None is 0.
		b.WriteString(" AND global_position IN (0")
		for _, position := range request.Positions {
			b.WriteString(", " + strconv.FormatInt(position, 10))
		}
		b.WriteByte(')')
	}
	filter := func(column string, values []string) {
		for i, value := range values {
			args = append(args, value)
			if i == 0 {
				fmt.Fprintf(&b, " AND %s IN ($%d", column, len(args))
			} else {
				fmt.Fprintf(&b, ", $%d", len(args))
			}
		}
		if len(values) > 0 {
			b.WriteByte(')')
		}
	}
	filter("bounded_context", request.Subscription.BoundedContexts)
	filter("aggregate_type", request.Subscription.AggregateTypes)
	filter("event_type", request.Subscription.EventTypes)
	if request.Range != store.FullRange() {
		args = append(args, int64(request.Range.First), int64(request.Range.Last))
		fmt.Fprintf(&b, " AND (partition_hash * %d & 4294967295) BETWEEN $%d AND $%d", store.SpreadFactor, len(args)-1,
			len(args))
	}
	b.WriteString(" ORDER BY global_position LIMIT $3")
	return expand(b.String(), args)
}

func (s *Store) selectColumns(columns store.Columns) string {
	var b strings.Builder
	b.WriteString("SELECT global_position, aggregate_version")
	for i := range eventColumns {
		if columns.Has(eventColumns[i].column) {
			b.WriteString(", ")
			b.WriteString(eventColumns[i].name)
		}
	}
	b.WriteString(" FROM ")
	b.WriteString(s.queries.streams.events)
	return b.String()
}

// ReadStream returns the events of one stream. See [store.Reader].
func (s *Store) ReadStream(ctx context.Context, stream store.Stream, first, last int64) ([]store.RecordedEvent, error) {
	if err := stream.Validate(); err != nil {
		return nil, err
	}
	if last == 0 {
		last = 1<<63 - 1
	}
	text := s.selectColumns(store.AllColumns) + " " + s.queries.streams.read
	var page store.Page
	exists := false
	err := s.read(ctx, func(c *conn) error {
		var builder store.PageBuilder
		builder.Begin(&page, 0)
		err := c.query(text, func(r *row) error {
			exists = true
			collect(r, store.AllColumns, &builder)
			return nil
		}, stream.BoundedContext, stream.AggregateType, stream.AggregateID, first, last)
		builder.End(&page)
		if err != nil || exists {
			return err
		}
		return c.query(s.queries.streams.exists, func(*row) error {
			exists = true
			return nil
		}, stream.BoundedContext, stream.AggregateType, stream.AggregateID)
	})
	switch {
	case err != nil:
		return nil, err
	case !exists:
		return nil, fmt.Errorf("stream %s: %w", stream, store.ErrStreamNotFound)
	}
	return page.Events, nil
}
