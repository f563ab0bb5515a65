package mysql

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

// outboxQueries are those of messages. Who locks rows of several tables begins with segments and the projection, and
// goes on with the outbox, in order of its key, and then failures. What is only looked at is read by statements of its
// own: a change locks what it reads beside, but for INSERT … SELECT.
type outboxQueries struct {
	put      putQueries
	senders  senderQueries
	relays   relayQueries
	pending  pendingQueries
	messages messageQueries
}

// The states of a message in the outbox.
const (
	stateFree  = iota // to be sent
	stateHeld         // of a version that is not live
	stateSent         // kept
	stateAside        // to be sent, and put aside: see Pending
)

func outboxQueriesFor(in func(string) string) outboxQueries {
	fill := strings.NewReplacer(
		"{free}", strconv.Itoa(stateFree), "{held}", strconv.Itoa(stateHeld), "{sent}", strconv.Itoa(stateSent),
		"{aside}", strconv.Itoa(stateAside), "{by_state}", "FORCE INDEX ({schema}__outbox_states)",
		// A number is version + build * this.
		"{builds}", strconv.FormatInt(buildStep, 10),
		// Rows k of identities, where WITH cannot be, and t their messages.
		"{these}", "(SELECT NULL AS projection, NULL AS position, NULL AS n, NULL AS version FROM DUAL WHERE FALSE "+
			"UNION ALL VALUES $1) AS k",
		"{of_these}", "t.projection = k.projection AND t.position = k.position AND t.n = k.n AND t.version = k.version",
	)
	filled := func(text string) string { return in(fill.Replace(text)) }
	return outboxQueries{
		put:      putQueriesFor(filled),
		senders:  senderQueriesFor(filled),
		relays:   relayQueriesFor(filled),
		pending:  pendingQueriesFor(filled),
		messages: messageQueriesFor(filled),
	}
}

// buildStep is how far the numbers of two builds of a version are apart.
var buildStep = store.ProjectionID{Build: 1}.Number()

// sortedIDs are identities in the order in which their rows are locked.
func sortedIDs(ids []store.OutboxID) []store.OutboxID {
	ids = slices.Clone(ids)
	slices.SortFunc(ids, compareOutboxIDs)
	return ids
}

func compareOutboxIDs(a, b store.OutboxID) int {
	return cmp.Or(strings.Compare(a.Projection, b.Projection), cmp.Compare(a.Position, b.Position),
		cmp.Compare(a.Index, b.Index), cmp.Compare(numberOf(a), numberOf(b)))
}

// tuplesOf are the rows of identities.
func tuplesOf(ids []store.OutboxID) tuples {
	rows := make(tuples, len(ids))
	for i, id := range ids {
		rows[i] = []any{id.Projection, id.Position, id.Index, numberOf(id)}
	}
	return rows
}

// numberOf is the version and the build of a message as the database has them.
func numberOf(id store.OutboxID) int64 {
	return store.ProjectionID{Version: id.Version, Build: id.Build}.Number()
}

// outboxID reads the columns position, n, version.
func (r *row) outboxID(projection string, at int) store.OutboxID {
	of := store.NumberedID(projection, r.int64(at+2))
	return store.OutboxID{Build: of.Build, MessageID: store.MessageID{
		Projection: projection, Version: of.Version, Position: r.int64(at), Index: r.int(at + 1),
	}}
}

// messageColumns are those of a message o and of its failure f, for outboxMessage. failureOf joins them.
const (
	messageColumns = `o.projection, o.position, o.n, o.version, o.type, o.subject, o."key", o.spread, o.content_type,
		o.data, o.trace_parent, o.event_at, o.put_at, o.state, COALESCE(o.sent_at, 0), COALESCE(f.attempts, 0),
		COALESCE(f.error, ''), COALESCE(f.next_attempt_at, 0)`
	failureOf = `{schema}__outbox_failures AS f FORCE INDEX (PRIMARY)
		ON f.projection = o.projection AND f."key" = o."key" AND f.position = o.position AND f.n = o.n AND f.version = o.version AND f.attempts > 0`
)

func (r *row) outboxMessage() store.OutboxMessage {
	id := r.outboxID(r.text(0), 1)
	m := store.OutboxMessage{
		Message: store.Message{
			MessageID: id.MessageID, Type: r.text(4), Subject: r.text(5), Key: blob(r.bytes(6)), Spread: uint32(r.int64(7)),
			ContentType: r.text(8), Data: blob(r.bytes(9)), TraceParent: r.text(10), Time: time.UnixMicro(r.int64(11)).UTC(),
		},
		Build: id.Build, PutAt: microsecond(r.int64(12)), SentAt: microsecond(r.int64(14)),
		Attempts: r.int(15), Error: r.text(16), NextAttempt: microsecond(r.int64(17)),
	}
	switch state := r.int(13); {
	case state == stateHeld:
		m.State = store.MessageHeld
	case state == stateSent:
		m.State = store.MessageSent
	case m.Attempts > 0:
		m.State = store.MessageFailed
	default:
		m.State = store.MessagePending
	}
	return m
}
