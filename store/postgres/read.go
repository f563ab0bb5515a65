package postgres

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pupwasm/pupwasm/store"
)

// eventColumns are the columns that a read may ask for, in the order of the table.
var eventColumns = []struct {
	column store.Columns
	name   string
	set    func(b *store.PageBuilder, event *store.RecordedEvent, value []byte)
}{
	{store.ColumnBoundedContext, "bounded_context", func(b *store.PageBuilder, e *store.RecordedEvent,
		v []byte,
	) {
		e.BoundedContext = b.Intern(v)
	}},
	{store.ColumnAggregateType, "aggregate_type", func(b *store.PageBuilder, e *store.RecordedEvent,
		v []byte,
	) {
		e.AggregateType = b.Intern(v)
	}},
	{store.ColumnAggregateID, "aggregate_id", func(b *store.PageBuilder, e *store.RecordedEvent,
		v []byte,
	) {
		e.AggregateID = b.Text(v)
	}},
	{store.ColumnEventID, "event_id", func(_ *store.PageBuilder, e *store.RecordedEvent,
		v []byte,
	) {
		e.ID = store.UUID(v)
	}},
	{store.ColumnEventType, "event_type", func(b *store.PageBuilder, e *store.RecordedEvent,
		v []byte,
	) {
		e.Type = b.Intern(v)
	}},
	{store.ColumnEventVersion, "event_version", func(_ *store.PageBuilder, e *store.RecordedEvent, v []byte) {
		e.Version = int32(binary.BigEndian.Uint32(v))
	}},
	{store.ColumnPayload, "payload", func(b *store.PageBuilder, e *store.RecordedEvent,
		v []byte,
	) {
		e.Payload = b.Keep(v)
	}},
	// Binary jsonb is a version byte and the text.
	{store.ColumnMetadata, "metadata", func(b *store.PageBuilder, e *store.RecordedEvent,
		v []byte,
	) {
		e.Metadata = b.Keep(v[1:])
	}},
	{store.ColumnTraceID, "trace_id", func(b *store.PageBuilder, e *store.RecordedEvent,
		v []byte,
	) {
		e.TraceID = b.Text(v)
	}},
	{store.ColumnCorrelationID, "correlation_id", func(b *store.PageBuilder, e *store.RecordedEvent,
		v []byte,
	) {
		e.CorrelationID = b.Text(v)
	}},
	{store.ColumnCausationID, "causation_id", func(b *store.PageBuilder, e *store.RecordedEvent,
		v []byte,
	) {
		e.CausationID = b.Text(v)
	}},
	{store.ColumnCreatedAt, "created_at", func(_ *store.PageBuilder, e *store.RecordedEvent,
		v []byte,
	) {
		e.CreatedAt = timeFromWire(v)
	}},
	{store.ColumnPartitionHash, "partition_hash", func(_ *store.PageBuilder, e *store.RecordedEvent, v []byte) {
		e.PartitionHash = uint32(binary.BigEndian.Uint64(v))
	}},
}

// collect gives the rows of a result to the builder.
func collect(rows *pgconn.ResultReader, columns store.Columns, builder *store.PageBuilder) error {
	for rows.NextRow() {
		values := rows.Values()
		if builder.Full {
			continue // the rest of the result has to be read to be rid of it
		}
		event := builder.Row()
		event.Position = int64(binary.BigEndian.Uint64(values[0]))
		event.AggregateVersion = int64(binary.BigEndian.Uint64(values[1]))
		next := 2
		for i := range eventColumns {
			if columns.Has(eventColumns[i].column) {
				if values[next] != nil {
					eventColumns[i].set(builder, event, values[next])
				}
				next++
			}
		}
		builder.EndRow()
	}
	_, err := rows.Close()
	return err
}

// Read fills page with events of the subscription. See [store.Reader].
func (s *Store) Read(ctx context.Context, request store.ReadRequest, page *store.Page) error {
	if some, err := request.Start(page); err != nil || !some {
		return err
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	read, params := s.readStatement(request)
	full, err := s.readInOrder(ctx, read, params, request.Columns, page, request.Bytes)
	if err != nil {
		return err
	}
	request.Finish(page, full)
	return nil
}

// readInOrder runs a read in one round trip, and tells whether the limit of bytes ended the page. The two
// statements are one transaction, which ends with the pipeline.
func (s *Store) readInOrder(
	ctx context.Context, read *statement, params *parameters, columns store.Columns, page *store.Page, bytesMax int,
) (full bool, err error) {
	read.cache()
	conn, err := s.acquire(ctx)
	if err != nil {
		return false, translate(err)
	}
	defer conn.Release()
	err = retryUncached(func() error {
		var builder store.PageBuilder
		builder.Begin(page, bytesMax)
		defer builder.End(page)
		p := s.startPipeline(ctx, conn)
		p.send(&s.ordering, nil)
		p.send(read, params.values())
		err := p.finish(func(of *statementResult) error {
			if of.statement != read {
				return readStamp(of.reader, &page.Log)
			}
			return collect(of.reader, columns, &builder)
		})
		full = builder.Full
		return err
	})
	return full, err
}

// readStatement leaves out conditions that restrict nothing.
func (s *Store) readStatement(request store.ReadRequest) (*statement, *parameters) {
	read, params := &statement{}, &parameters{}
	parameter := func(t store.Type, v store.Value) string {
		read.params = append(read.params, t)
		params.add(t, v)
		return fmt.Sprintf("$%d", len(read.params))
	}
	position := func(v int64) string { return parameter(store.Type{Kind: store.KindI64}, store.I64(v)) }
	var b strings.Builder
	from := s.queries.events
	if request.Positions != nil {
		// one look-up a position, however far apart they are
		from = fmt.Sprintf("unnest(%s) AS p (position) CROSS JOIN LATERAL (SELECT * FROM %s "+
			"WHERE global_position = p.position LIMIT 1) AS e",
			parameter(i64s, list(store.KindI64, request.Positions, func(p *int64) store.Value { return store.I64(*p) })), from)
	}
	b.WriteString(selectColumns(request.Columns, from))
	fmt.Fprintf(&b, " WHERE global_position > %s AND global_position <= %s", position(request.After),
		position(request.Through))
	filter := func(column string, names []string) {
		if len(names) > 0 {
			values := make([]store.Value, len(names))
			for i, name := range names {
				values[i] = store.Text(name)
			}
			fmt.Fprintf(&b, " AND %s = ANY (%s)", column, parameter(store.Type{Kind: store.KindText, Array: true},
				store.ArrayOf(store.KindText, values)))
		}
	}
	filter("bounded_context", request.Subscription.BoundedContexts)
	filter("aggregate_type", request.Subscription.AggregateTypes)
	filter("event_type", request.Subscription.EventTypes)
	if request.Range != store.FullRange() {
		fmt.Fprintf(&b, " AND (partition_hash * %d & 4294967295) BETWEEN %s AND %s", store.SpreadFactor,
			position(int64(request.Range.First)), position(int64(request.Range.Last)))
	}
	fmt.Fprintf(&b, " ORDER BY global_position LIMIT %s", position(int64(request.Limit)))
	read.sql = b.String()
	return read, params
}

func selectColumns(columns store.Columns, from string) string {
	var b strings.Builder
	b.WriteString("SELECT global_position, aggregate_version")
	for i := range eventColumns {
		if columns.Has(eventColumns[i].column) {
			b.WriteString(", ")
			b.WriteString(eventColumns[i].name)
		}
	}
	b.WriteString(" FROM ")
	b.WriteString(from)
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
	read := &statement{sql: selectColumns(store.AllColumns, s.queries.events) + " " + s.queries.streams.read, params: streamParams}
	params := &parameters{}
	for i, v := range []store.Value{
		store.Text(stream.BoundedContext), store.Text(stream.AggregateType), store.Text(stream.AggregateID),
		store.I64(first), store.I64(last),
	} {
		params.add(streamParams[i], v)
	}
	var page store.Page
	if _, err := s.readInOrder(ctx, read, params, store.AllColumns, &page, 0); err != nil || len(page.Events) > 0 {
		return page.Events, err
	}
	var exists bool
	err := s.pool.QueryRow(ctx, s.queries.streams.exists, stream.BoundedContext, stream.AggregateType,
		stream.AggregateID).Scan(&exists)
	if err != nil {
		return nil, translate(err)
	}
	if !exists {
		return nil, fmt.Errorf("stream %s: %w", stream, store.ErrStreamNotFound)
	}
	return nil, nil
}

var streamParams = []store.Type{
	{Kind: store.KindText},
	{Kind: store.KindText},
	{Kind: store.KindText},
	{Kind: store.KindI64},
	{Kind: store.KindI64},
}
