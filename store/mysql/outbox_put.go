package mysql

import (
	"strconv"

	"github.com/pupwasm/pupwasm/store"
)

// putQueries put the messages of a transaction into the outbox, at its end.
type putQueries struct {
	version string
	head    string
	tail    string
}

func putQueriesFor(in func(string) string) putQueries {
	return putQueries{
		// The lock keeps the version as it is until the transaction has ended: who promotes waits for it, and sees what
		// it holds. How far the live version is, is read before what it has parked, below: an event that is applied in
		// between counts as applied.
		version: in(`SET @pupwasm_at = 0;
			SELECT p.live INTO @pupwasm_live FROM {schema}__projections AS p WHERE p.name = $1 AND p.version = $2
				LOCK IN SHARE MODE;
			SELECT l.version, (SELECT MIN(s.position) FROM {schema}__segments AS s
					WHERE s.projection = l.name AND s.version = l.version) INTO @pupwasm_version, @pupwasm_applied
				FROM {schema}__projections AS l WHERE l.live_name = $1`),
		head: in(`INSERT INTO {schema}__outbox (projection, position, n, version, type, subject, "key", spread,
			content_type, data, trace_parent, event_at, size, put_at, held)
			WITH m (position, n, type, subject, k, spread, content_type, data, trace_parent, event_at, size) AS (VALUES `),
		tail: in(`) SELECT $1, m.position, m.n, $2, m.type, m.subject, m.k, m.spread, m.content_type, m.data,
				m.trace_parent, m.event_at, m.size, {now}, NOT @pupwasm_live FROM m
			WHERE IF(@pupwasm_live,
				EXISTS (SELECT 1 FROM {schema}__outbox_sent AS t WHERE t.projection = $1
					AND m.spread BETWEEN t.first_hash AND t.last_hash AND m.position > t.position)
				OR EXISTS (SELECT 1 FROM {schema}__outbox_unsent AS u WHERE u.projection = $1 AND u.position = m.position),
				m.position > @pupwasm_applied
				OR EXISTS (SELECT 1 FROM {schema}__parked_events AS e WHERE e.projection = $1
					AND e.version = @pupwasm_version AND e.position = m.position))
			ON DUPLICATE KEY UPDATE n = VALUES(n); `),
	}
}

// write adds the statements of steps, and then those of messages.
func (b *batch) write(steps []store.Step, messages []store.Message) error {
	if err := b.steps(steps); err != nil {
		return err
	}
	return b.messages(messages)
}

// largeMessage is the size of messages that have a statement, and a text, of their own. They are written as hex.
const largeMessage = chunkBytes / 4

// messages adds the statements that put messages into the outbox, behind all that the module has a part in. A message
// that is there stays as it is.
func (b *batch) messages(all []store.Message) error {
	if len(all) == 0 {
		return nil
	}
	b.unbound()
	b.ours = true
	of, q := b.tx.claim.Projection, &b.tx.catalogue.store.queries.outbox.put
	if err := b.add(q.version, of.Name, of.Number()); err != nil {
		return err
	}
	tail, err := expand(q.tail, []any{of.Name, of.Number()})
	for next := 0; next < len(all) && err == nil; {
		if len(b.text) > textBytes || all[next].Size() > largeMessage {
			if err := b.send(); err != nil {
				return err
			}
		}
		open := len(b.text)
		b.text = append(b.text, q.head...)
		for first := next; next < len(all) && len(b.text)-open < chunkBytes; next++ {
			if next > first {
				if all[next].Size() > largeMessage {
					break
				}
				b.text = append(b.text, ',')
			}
			b.text = appendMessage(b.text, &all[next])
		}
		b.text = append(b.text, tail...)
	}
	return err
}

// appendMessage writes a message as a row. All texts are bytes: so they have one type in all rows.
func appendMessage(out []byte, m *store.Message) []byte {
	number := func(n int64) { out = strconv.AppendInt(append(out, ','), n, 10) }
	text := func(t string) { out = appendBytes(append(out, ','), []byte(t)) }
	out = strconv.AppendInt(append(out, '('), m.Position, 10)
	number(int64(m.Index))
	text(m.Type)
	text(m.Subject)
	out = appendBytes(append(out, ','), m.Key)
	number(int64(m.Spread))
	text(m.ContentType)
	out = appendBytes(append(out, ','), m.Data)
	text(m.TraceParent)
	number(m.Time.UnixMicro())
	number(int64(m.Size()))
	return append(out, ')')
}
