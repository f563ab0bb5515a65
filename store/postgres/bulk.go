package postgres

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm/store"
)

// bulkEventsMin is the number of events from which COPY is worth two more round trips.
const bulkEventsMin = 200

// AppendBulk adds many events by COPY, in a transaction of its own. See [store.BulkAppender].
//
// It takes three round trips: BEGIN and the locks of the streams, which return their versions; COPY; the positions and
// COMMIT. The isolation level is fixed, since above READ COMMITTED the versions would be those from before the locks.
func (s *Store) AppendBulk(ctx context.Context, options store.AppendOptions,
	appends ...store.StreamAppend,
) ([]store.Appended, error) {
	count, empty, err := store.ValidateAppends(appends, s.options.PayloadBytesMax)
	if err != nil || empty {
		return nil, err
	}
	if count < bulkEventsMin {
		return s.Append(ctx, options, appends...)
	}
	l := &load{queries: &s.queries, appends: appends, result: make([]store.Appended, count)}
	l.args = newAppendArguments(appends, count, options.SkipDuplicates, l.result)
	conn, err := s.acquire(ctx)
	if err != nil {
		return nil, translate(err)
	}
	defer conn.Release()
	if err := l.run(ctx, conn.Conn(), options); err != nil {
		// A connection in the middle of a transaction is closed by the pool, when this takes too long or fails.
		rollback, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackMax)
		defer cancel()
		_, _ = conn.Exec(rollback, "ROLLBACK", pgx.QueryExecModeSimpleProtocol)
		return nil, err
	}
	return l.result, nil
}

const rollbackMax = time.Second

// load is one call of AppendBulk.
type load struct {
	queries *queries
	appends []store.StreamAppend
	args    *appendArguments
	result  []store.Appended

	heads  []int64 // the last version of each stream; then counts up
	stored []bool  // for each event, whether it is left out; empty when nobody asks
	head   int64   // the last position handed out before the load
	at     time.Time

	sent   []int // the indices of the events that are not left out
	copied int   // how many of them COPY has taken
}

// run loads in a transaction, which may still be open after an error.
func (l *load) run(ctx context.Context, conn *pgx.Conn, options store.AppendOptions) error {
	if err := l.begin(ctx, conn, options); err != nil {
		return l.args.translate(err, l.appends)
	}
	if err := l.number(); err != nil {
		return err
	}
	if _, err := conn.PgConn().CopyFrom(ctx, &copyReader{appendRow: l.next}, l.queries.load); err != nil {
		return l.args.translate(err, l.appends)
	}
	if err := l.end(ctx, conn); err != nil {
		return l.args.translate(err, l.appends)
	}
	return nil
}

func (l *load) begin(ctx context.Context, conn *pgx.Conn, options store.AppendOptions) error {
	ids := [][16]byte{}
	if options.SkipDuplicates {
		ids = l.args.ids
	}
	batch := &pgx.Batch{}
	batch.Queue("BEGIN ISOLATION LEVEL READ COMMITTED")
	batch.Queue(l.queries.beginLoad, l.args.contexts, l.args.types, l.args.aggregates,
		ids).QueryRow(func(row pgx.Row) error {
		return row.Scan(&l.heads, &l.stored, &l.head, &l.at)
	})
	return conn.SendBatch(ctx, batch).Close()
}

// number leaves out what is stored, checks the expected versions, and gives every event its version.
func (l *load) number() error {
	var conflicts store.VersionConflicts
	a := l.args
	for i, stream := range a.stream {
		if len(l.stored) > 0 && l.stored[i] {
			continue
		}
		head := &l.heads[max(stream, -stream)-1]
		if a.expected[i] >= 0 && a.expected[i] != *head {
			conflicts = append(conflicts, a.conflict(i, *head, l.appends))
		}
		if stream < 0 {
			continue // a condition
		}
		*head++
		l.result[a.places[i]].AggregateVersion = *head
		l.sent = append(l.sent, i)
	}
	return conflicts.Err()
}

// end asks for the positions, which are in the order of the rows, and commits.
func (l *load) end(ctx context.Context, conn *pgx.Conn) error {
	var positions []int64
	batch := &pgx.Batch{}
	batch.Queue(l.queries.loaded, l.head, len(l.sent)).QueryRow(func(row pgx.Row) error { return row.Scan(&positions) })
	batch.Queue("COMMIT")
	if err := conn.SendBatch(ctx, batch).Close(); err != nil {
		return err
	}
	for n, i := range l.sent {
		l.result[l.args.places[i]].Position = positions[n]
	}
	return nil
}

// copyColumns is the number of columns in queries.load.
const copyColumns = 14

// next appends the next row, as long as there are more.
func (l *load) next(dst []byte) (row []byte, more bool) {
	if l.copied == len(l.sent) {
		return dst, false
	}
	l.copied++
	return l.appendRow(dst, l.sent[l.copied-1]), true
}

// appendRow appends the row of the event at an index of the arrays, in the order of the columns in queries.load.
func (l *load) appendRow(dst []byte, i int) []byte {
	a := l.args
	stream := a.stream[i] - 1
	created := l.at
	if a.created[i] != nil {
		created = *a.created[i]
	}
	dst = binary.BigEndian.AppendUint16(dst, copyColumns)
	dst = copyText(dst, a.contexts[stream])
	dst = copyText(dst, a.types[stream])
	dst = copyText(dst, a.aggregates[stream])
	dst = copyInt64(dst, a.hashes[stream])
	dst = copyInt64(dst, l.result[a.places[i]].AggregateVersion)
	dst = copyBytes(dst, a.ids[i][:])
	dst = copyText(dst, a.eventTypes[i])
	dst = binary.BigEndian.AppendUint32(append(dst, 0, 0, 0, 4), uint32(a.versions[i]))
	dst = copyBytes(dst, a.payloads[i])
	dst = append(binary.BigEndian.AppendUint32(dst, uint32(len(a.metadata[i])+1)), 1) // the version of jsonb's format
	dst = append(dst, a.metadata[i]...)
	for _, text := range []*string{a.traces[i], a.correlations[i], a.causation[i]} {
		if text == nil {
			dst = append(dst, 0xff, 0xff, 0xff, 0xff)
			continue
		}
		dst = copyText(dst, *text)
	}
	return binary.BigEndian.AppendUint64(append(dst, 0, 0, 0, 8), timestampToWire(created.UnixMicro()))
}

func copyText(dst []byte, text string) []byte {
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(text))), text...)
}

func copyBytes(dst, value []byte) []byte {
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(value))), value...)
}

func copyInt64(dst []byte, value int64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, 0, 0, 0, 8), uint64(value))
}
