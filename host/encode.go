package host

import (
	"fmt"

	"github.com/pupwasm/pupwasm/host/abi"
	"github.com/pupwasm/pupwasm/store"
)

// storeColumn is what a reader has to fetch for a column of a batch. Position and version come always.
var storeColumn = map[abi.Column]store.Columns{
	abi.BoundedContext: store.ColumnBoundedContext,
	abi.AggregateType:  store.ColumnAggregateType,
	abi.AggregateID:    store.ColumnAggregateID,
	abi.EventID:        store.ColumnEventID,
	abi.EventType:      store.ColumnEventType,
	abi.EventVersion:   store.ColumnEventVersion,
	abi.Payload:        store.ColumnPayload,
	abi.Metadata:       store.ColumnMetadata,
	abi.TraceID:        store.ColumnTraceID,
	abi.CorrelationID:  store.ColumnCorrelationID,
	abi.CausationID:    store.ColumnCausationID,
	abi.CreatedAt:      store.ColumnCreatedAt,
	abi.PartitionHash:  store.ColumnPartitionHash,
	abi.PartitionKey:   0, // see prepareChecks
}

// encodeBatch lays events out as a batch of the columns of the module. The result belongs to the encoder.
func (g *Guest) encodeBatch(events []store.RecordedEvent) ([]byte, error) {
	e, columns := &g.encoder, g.module.columns
	e.Begin(abi.BatchHeader{Count: len(events), Segment: uint32(g.segment), LogLevel: guestLogLevel(g.logger)},
		len(columns))
	for _, column := range columns {
		if column == abi.PartitionKey {
			e.Bytes(column, func(i int) []byte { return g.keys[i] })
			continue
		}
		encodeColumn(e, column, events)
	}
	return e.Finish()
}

func encodeColumn(e *abi.BatchEncoder, column abi.Column, events []store.RecordedEvent) {
	switch column {
	case abi.GlobalPosition:
		e.Int64s(column, func(i int) int64 { return events[i].Position })
	case abi.AggregateVersion:
		e.Int64s(column, func(i int) int64 { return events[i].AggregateVersion })
	case abi.BoundedContext:
		e.Repeated(column, func(i int) string { return events[i].BoundedContext })
	case abi.AggregateType:
		e.Repeated(column, func(i int) string { return events[i].AggregateType })
	case abi.AggregateID:
		e.Texts(column, func(i int) string { return events[i].AggregateID })
	case abi.EventID:
		e.UUIDs(column, func(i int) [16]byte { return events[i].ID })
	case abi.EventType:
		e.Repeated(column, func(i int) string { return events[i].Type })
	case abi.EventVersion:
		e.Uint32s(column, func(i int) uint32 { return uint32(events[i].Version) })
	case abi.Payload:
		e.Bytes(column, func(i int) []byte { return events[i].Payload })
	case abi.Metadata:
		e.Bytes(column, func(i int) []byte { return events[i].Metadata })
	case abi.TraceID:
		e.Texts(column, func(i int) string { return events[i].TraceID })
	case abi.CorrelationID:
		e.Texts(column, func(i int) string { return events[i].CorrelationID })
	case abi.CausationID:
		e.Texts(column, func(i int) string { return events[i].CausationID })
	case abi.CreatedAt:
		e.Int64s(column, func(i int) int64 { return events[i].CreatedAt.UnixMicro() })
	case abi.PartitionHash:
		e.Uint32s(column, func(i int) uint32 { return events[i].PartitionHash })
	default:
		panic(fmt.Sprintf("host: column %d was not checked at load", column))
	}
}

// appendRows appends the result of a query as the guest reads it.
func appendRows(dst []byte, rows *store.Rows) []byte {
	count := 0
	if rows.Width > 0 {
		count = len(rows.Values) / rows.Width
	}
	dst = abi.AppendRows(dst, count, rows.Width)
	for _, v := range rows.Values {
		dst = appendValue(dst, v)
	}
	return dst
}

func appendValue(dst []byte, v store.Value) []byte {
	if v.Array {
		dst = abi.AppendArray(dst, abi.Kind(v.Kind), len(v.Elements()))
		for _, element := range v.Elements() {
			dst = appendValue(dst, element)
		}
		return dst
	}
	switch v.Kind {
	case store.KindNull:
		return abi.AppendNull(dst)
	case store.KindBool:
		return abi.AppendBool(dst, v.Bool())
	case store.KindI64:
		return abi.AppendI64(dst, v.Int())
	case store.KindF64:
		return abi.AppendF64(dst, v.Float())
	case store.KindTimestamp:
		return abi.AppendTimestamp(dst, v.Int())
	case store.KindUUID:
		return abi.AppendUUID(dst, [16]byte(v.Bytes()))
	default:
		return abi.AppendBytes(dst, abi.Kind(v.Kind), v.Bytes())
	}
}
