package store

import (
	"context"
	"time"
)

// Outbox keeps the messages of projections until a relay has sent them. A message goes into it in the transaction that
// applies its event ([Commit].Messages, [Retry].Messages), so that there is one exactly when the rows are there.
//
// # Who sends
//
// Of the versions of a projection only the live one sends. What Commit and Retry do with a message of the event at
// position p depends on the version as it is in that transaction:
//
//   - The live version's is put in, to be sent, if the event is the version's to send: it is neither among those that
//     another version had applied when this one became live, nor up to the position where sending began. Otherwise it is
//     dropped, as all are before the first BeginSending or promotion.
//   - That of any other version, a candidate or one that was replaced, is held, if the live version has not applied the
//     event: p is above the checkpoint of one of its segments, or the live version has it parked. Otherwise it is
//     dropped: the live version's messages of it are the ones that count. A relay does not see held messages.
//
// Promote and Rollback hand over in their transaction. Of the next version's held messages, those of events that the
// version before has applied, or that were not its own to send, are deleted, and the others are to be sent. From then on
// its own are: which events the version before had applied, each of its segments up to its checkpoint and without what it
// had parked, is kept. So every event is sent by one version, once, whether or not the one before still runs, and in
// order within a key. Where two versions divide events by different keys, the version before counts as having applied
// everything up to the lowest of its checkpoints only, so that messages of events above that may be sent by both.
//
// Reset keeps the same of the live version, for the next version that is installed: a rebuild sends nothing again, and
// goes on sending behind it. Messages that wait to be sent stay when their version is retired or reset; held ones go.
//
// # Order
//
// Messages of a key are put in in order of position and index, since the events of a partition key are applied in this
// order; Pending returns them in this order, and a relay sends one behind the other. While a message of a key could not be
// sent ([Outbox.Undelivered]), the later ones of the key wait.
type Outbox interface {
	// BeginSending decides from where on the live version of a projection sends, unless that is decided: behind a position
	// of a log. It does nothing for a version that is not live. What was kept of an earlier version, of this log, decides
	// before that, also after a reset. What was kept of another log is forgotten, see ForgetSent. A host calls it before
	// the live version applies events: after a reset that may divide them by another key than what was kept.
	//
	// # Errors
	//
	// [*InputError] when the version is not installed; those of ForgetSent; [ErrTransient].
	BeginSending(ctx context.Context, projection *Projection, log LogID, after int64) error

	// SentBefore returns what is not the live version's to send, without ranges where none has begun to send.
	//
	// # Errors
	//
	// [ErrTransient].
	SentBefore(ctx context.Context, projection string) (SentBefore, error)

	// ForgetSent forgets what is not the live version's to send, and sent messages that are kept: they were about events
	// that the log has no longer. It does nothing for a version that is not live or has applied events.
	//
	// # Errors
	//
	// [*StaleMessagesError]; [*InputError] when the version is not installed; [ErrTransient].
	ForgetSent(ctx context.Context, projection *Projection) error

	// ClaimRelays makes the worker the relay of projections, those that are named or, by nil, all that send, unless
	// another live worker is, and returns those of which it is. It must have a live lease, or it is given none. It keeps
	// them while its lease is renewed, until it leaves. target says where the worker sends them, without secrets, for
	// people.
	//
	// # Errors
	//
	// [ErrTransient].
	ClaimRelays(ctx context.Context, worker Worker, projections []string, target string) ([]string, error)

	// ReleaseRelays gives up projections of which the worker is the relay.
	ReleaseRelays(ctx context.Context, worker Worker, projections []string) error

	// Pending returns the first messages of a projection that may be sent, in order of position and index: those that
	// are not held, not sent, and of no key that waits for a later try. It has at least one when there is one, else as
	// many as fit in the limits, in bytes by [Message.Size]. For each key it has all earlier messages that may be sent.
	// Behind one that failed and is due it has none, and those are half of the limits at most, so that what has not failed
	// is seen, however much has. The caller owns the result.
	//
	// # Errors
	//
	// [ErrTransient], [ErrNotMigrated].
	Pending(ctx context.Context, projection string, messages, bytes int) ([]OutboxMessage, error)

	// Sent notes that messages were sent: they are deleted, or with keep only marked, for DeleteSent. It does nothing for
	// a message that is not there or held.
	Sent(ctx context.Context, messages []OutboxID, keep bool) error

	// Undelivered notes that messages, each the first of its key, could not be sent. Their keys wait. It does nothing for a
	// message that is not to be sent any more.
	Undelivered(ctx context.Context, failures []Undelivered) error

	// DeleteSent deletes messages that were sent longer than keep ago, and held ones that no promotion would send, a
	// bounded number of each, and reports whether there may be more.
	DeleteSent(ctx context.Context, projection string, keep time.Duration) (more bool, err error)

	// OutboxStatus returns the state of the outbox for each projection that has sent or is to send, in order of name, or
	// only for those that are named. The caller owns the result.
	//
	// # Errors
	//
	// [ErrTransient], [ErrNotMigrated].
	OutboxStatus(ctx context.Context, only ...string) ([]OutboxStatus, error)

	// Messages returns messages in order of projection, position, index and build: the first limit behind after. The
	// caller owns the result.
	//
	// # Errors
	//
	// [ErrTransient], [ErrNotMigrated].
	Messages(ctx context.Context, request MessagesRequest) ([]OutboxMessage, error)

	// Resend has messages sent as soon as may be, and returns how many: those that could not be sent are tried again at
	// once, and those that were sent and kept are sent again, with the same id. Held ones are left alone.
	//
	// # Errors
	//
	// [ErrTransient].
	Resend(ctx context.Context, request MessagesRequest) (int, error)

	// SkipMessage deletes a message that is to be sent, for good. The later ones of its key go on.
	//
	// # Errors
	//
	// [*InputError] when there is none with this id to be sent; [ErrTransient].
	SkipMessage(ctx context.Context, id MessageID) error
}

// OutboxID is the identity of a message in the outbox, where builds of a version are told apart.
type OutboxID struct {
	MessageID
	Build int
}

// OutboxMessage is a message in the outbox.
type OutboxMessage struct {
	Message
	Build  int // of the version
	State  MessageState
	PutAt  time.Time // when it was put in
	SentAt time.Time // zero when it was not

	// Of a message that could not be sent: how often, why at last, and when it is tried again; zero when it is not by
	// itself.
	Attempts    int
	Error       string
	NextAttempt time.Time
}

// ID returns the identity in the outbox.
func (m *OutboxMessage) ID() OutboxID { return OutboxID{MessageID: m.MessageID, Build: m.Build} }

// MessageState is what becomes of a message.
type MessageState string

// The states. A message that waits behind one of its key that failed is pending.
const (
	MessagePending MessageState = "pending" // it is to be sent
	MessageFailed  MessageState = "failed"  // it could not be sent, and those of its key wait for it
	MessageSent    MessageState = "sent"    // it was sent, and is kept
	MessageHeld    MessageState = "held"    // its version is not live
)

// Undelivered is a message that could not be sent.
type Undelivered struct {
	OutboxID
	Key   []byte
	Error string
	// RetryAfter is when it is tried again by itself, from now; below 0 it is not.
	RetryAfter time.Duration
}

// MessagesRequest selects messages.
type MessagesRequest struct {
	Projection string       // "" for all
	ID         *MessageID   // nil for all
	Key        []byte       // nil for all
	State      MessageState // "" for all
	After      OutboxID     // only messages behind this one; of Messages only
	Limit      int          // 0 for all; of Messages only
}

// OutboxStatus is the state of the outbox for a projection.
type OutboxStatus struct {
	Projection string
	Pending    int64     // to be sent, with those that failed and those that wait behind them
	Held       int64     // of versions that are not live
	Kept       int64     // sent, and not deleted yet
	Oldest     time.Time // when the oldest that is pending was put in; zero when there is none
	FailedKeys int       // keys of which a message could not be sent
	Exhausted  int       // those of them that are not tried again by themselves
	// Relay is the worker that sends, "" for none, and Target where to. Live reports that its lease has not expired.
	Relay  string
	Target string
	Live   bool
}

// HeldLease is the lease of a worker, for what may go on only while it holds.
type HeldLease interface {
	// Worker is who has it: its name and incarnation.
	Worker() Worker
	// Until is when it is over, unless it is renewed until then.
	Until() time.Time
}
