package sqlite

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

// eventColumns are the columns that a read may ask for.
var eventColumns = []struct {
	column store.Columns
	name   string
	set    func(b *store.PageBuilder, event *store.RecordedEvent, row *prepared, at int)
}{
	{store.ColumnBoundedContext, "bounded_context", func(b *store.PageBuilder, e *store.RecordedEvent, row *prepared,
		at int,
	) {
		e.BoundedContext = b.Intern(row.ColumnRawText(at))
	}},
	{store.ColumnAggregateType, "aggregate_type", func(b *store.PageBuilder, e *store.RecordedEvent, row *prepared,
		at int,
	) {
		e.AggregateType = b.Intern(row.ColumnRawText(at))
	}},
	{store.ColumnAggregateID, "aggregate_id", func(_ *store.PageBuilder, e *store.RecordedEvent, row *prepared,
		at int,
	) {
		e.AggregateID = row.ColumnText(at)
	}},
	{store.ColumnEventID, "event_id", func(_ *store.PageBuilder, e *store.RecordedEvent, row *prepared, at int) {
		copy(e.ID[:], row.ColumnRawBlob(at))
	}},
	{store.ColumnEventType, "event_type", func(b *store.PageBuilder, e *store.RecordedEvent, row *prepared, at int) {
		e.Type = b.Intern(row.ColumnRawText(at))
	}},
	{store.ColumnEventVersion, "event_version", func(_ *store.PageBuilder, e *store.RecordedEvent, row *prepared,
		at int,
	) {
		e.Version = int32(row.ColumnInt64(at))
	}},
	{store.ColumnPayload, "payload", func(b *store.PageBuilder, e *store.RecordedEvent, row *prepared, at int) {
		e.Payload = b.Keep(row.ColumnRawBlob(at))
	}},
	{store.ColumnMetadata, "metadata", func(b *store.PageBuilder, e *store.RecordedEvent, row *prepared, at int) {
		e.Metadata = b.Keep(row.ColumnRawText(at))
	}},
	{store.ColumnTraceID, "trace_id", func(_ *store.PageBuilder, e *store.RecordedEvent, row *prepared, at int) {
		e.TraceID = row.ColumnText(at)
	}},
	{store.ColumnCorrelationID, "correlation_id", func(_ *store.PageBuilder, e *store.RecordedEvent, row *prepared,
		at int,
	) {
		e.CorrelationID = row.ColumnText(at)
	}},
	{store.ColumnCausationID, "causation_id", func(_ *store.PageBuilder, e *store.RecordedEvent, row *prepared,
		at int,
	) {
		e.CausationID = row.ColumnText(at)
	}},
	{store.ColumnCreatedAt, "created_at", func(_ *store.PageBuilder, e *store.RecordedEvent, row *prepared, at int) {
		e.CreatedAt = time.UnixMicro(row.ColumnInt64(at)).UTC()
	}},
	{store.ColumnPartitionHash, "partition_hash", func(_ *store.PageBuilder, e *store.RecordedEvent, row *prepared,
		at int,
	) {
		e.PartitionHash = uint32(row.ColumnInt64(at))
	}},
}

// collect runs the statement and gives its rows to the builder.
func collect(statement *prepared, columns store.Columns, builder *store.PageBuilder) error {
	for !builder.Full && statement.Step() {
		event := builder.Row()
		event.Position = statement.ColumnInt64(0)
		event.AggregateVersion = statement.ColumnInt64(1)
		at := 2
		for i := range eventColumns {
			if columns.Has(eventColumns[i].column) {
				eventColumns[i].set(builder, event, statement, at)
				at++
			}
		}
		builder.EndRow()
	}
	return statement.finish()
}

// fill runs a read on the connection and fills the page with its rows.
func (c *conn) fill(page *store.Page, bytesMax int, columns store.Columns, sql string, args []any) error {
	statement, err := c.prepare(sql)
	if err != nil {
		return err
	}
	if err := statement.bindAll(args); err != nil {
		return err
	}
	c.builder.Begin(page, bytesMax)
	defer c.builder.End(page)
	return collect(statement, columns, &c.builder)
}

// Read fills page with events of the subscription. See [store.Reader].
func (s *Store) Read(ctx context.Context, request store.ReadRequest, page *store.Page) error {
	if some, err := request.Start(page); err != nil || !some {
		return err
	}
	sql, args := s.readStatement(request)
	full := false
	err := s.read(ctx, func(c *conn) (err error) {
		if page.Log, err = c.logID(&s.queries); err != nil {
			return err
		}
		err = c.fill(page, request.Bytes, request.Columns, sql, args)
		full = c.builder.Full
		return err
	})
	if err != nil {
		return err
	}
	request.Finish(page, full)
	return nil
}

// readStatement leaves conditions that do not restrict anything out. NOT INDEXED keeps the range of positions the
// way in: without it the planner takes the index that begins with bounded_context, reads all of it and sorts.
func (s *Store) readStatement(request store.ReadRequest) (sql string, args []any) {
	var b strings.Builder
	args = []any{request.After, request.Through, request.Limit}
	b.WriteString(s.selectColumns(request.Columns))
	b.WriteString(" NOT INDEXED WHERE ")
	if request.Positions == nil {
		b.WriteString("global_position > $1 AND global_position <= $2")
	} else { // one look-up a position, however far apart they are
		args = append(args, jsonList(request.Positions))
		b.WriteString("global_position IN (SELECT value FROM json_each($4)) AND +global_position > $1 " +
			"AND +global_position <= $2")
	}
	filter := func(column string, values []string) {
		for i, value := range values {
			args = append(args, value)
			switch i {
			case 0:
				fmt.Fprintf(&b, " AND %s IN ($%d", column, len(args))
			default:
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
	return b.String(), args
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
	b.WriteString(s.queries.events)
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
	sql := s.selectColumns(store.AllColumns) + " " + s.queries.streams.read
	names := []any{stream.BoundedContext, stream.AggregateType, stream.AggregateID}
	var page store.Page
	exists := false
	err := s.read(ctx, func(c *conn) error {
		err := c.fill(&page, 0, store.AllColumns, sql, append(names, first, last))
		if err != nil || len(page.Events) > 0 {
			exists = true
			return err
		}
		return c.query(s.queries.streams.exists, func(*prepared) error {
			exists = true
			return nil
		}, names...)
	})
	switch {
	case err != nil:
		return nil, err
	case !exists:
		return nil, fmt.Errorf("stream %s: %w", stream, store.ErrStreamNotFound)
	}
	return page.Events, nil
}
