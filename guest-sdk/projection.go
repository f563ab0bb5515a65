package pup

import "github.com/pupwasm/pupwasm/guest-sdk/internal/entry"

// Projection is what a module implements. It is registered once, by [Register].
type Projection struct {
	// Name names the projection and the schema in which it is read: a lower-case letter, then letters, digits and
	// single underscores, 30 at most, and not like v1. Beside another store's schema than the default, the name
	// of the schema begins with that.
	Name string
	// Version is 1 to 99999999. A change that gives other rows for the same events is a new version. So is every
	// change of tables and ordering, once an event is applied, except for indexes and views: the host refuses it
	// under the same version.
	Version int
	// Description is free text for people.
	Description string
	// Subscription says which events the projection sees. Defaults to all.
	Subscription Subscription
	// Ordering says which events must be applied one after the other. Defaults to OrderStream.
	Ordering Ordering
	// Partition says by what the events are divided among workers, and so which rows one worker owns: see the
	// package's comment. It has no meaning with OrderGlobal. Defaults to ByStream.
	Partition Partition
	// Fields are what the projection reads of events besides their position and version; others are neither
	// fetched nor copied, and reading them panics. Defaults to AggregateID, EventType, Payload and CreatedAt.
	Fields []Field
	// Tables are the projection's tables, with the writes and queries that were declared on them. The host refuses
	// a module that has declared writes or queries on a table that is not listed. A projection that only sends messages
	// has none.
	Tables []*Table
	// Views are named queries over the tables, for readers. They may change under one version.
	Views []View
	// Statements are the writes that were declared by NewStatement.
	Statements []*Write
	// Queries are the queries that were declared by NewQuery.
	Queries []*Query
	// Messages are what the projection sends. They may change under one version.
	Messages []*Message
	// OnError is what the host does with an event that the projection fails at, which its operator may override.
	// Defaults to Park, or to Stop with OrderGlobal, where Park has no meaning.
	OnError ErrorPolicy
	// Limits is what the projection asks for. Defaults to the host's limits.
	Limits Limits
	// Handle turns a batch into changes. It must depend on nothing but the batch and the projection's queries: see the
	// package's comment on state. An error applies nothing of the batch.
	Handle func(b *Batch, out *Mutations) error
}

// Subscription selects events. An empty list selects all.
type Subscription struct {
	BoundedContexts []string // the contexts of the events
	AggregateTypes  []string // the types of their streams
	EventTypes      []string // their own types
}

// View is a named query over the projection's tables. The host creates it beside the tables, and replaces it
// when its query changes. The projection's own statements cannot use it.
type View struct {
	Name string // like that of a table
	SQL  SQL    // one SELECT
}

// Ordering says which events of a projection must be applied one after the other.
type Ordering string

// The orderings. OrderStream keeps the events of one partition key in order, which is one stream (aggregate) unless
// [Projection].Partition says otherwise, so that keys can be divided among workers.
// OrderGlobal keeps all events in order, which only one worker at a time can do.
const (
	OrderStream Ordering = "stream"
	OrderGlobal Ordering = "global"
)

// ErrorPolicy says what the host does with an event that a projection fails at.
type ErrorPolicy string

// The policies. Park keeps back the event and all later ones of its partition key, and goes on with other keys;
// what waits is applied, in order, when it succeeds. Stop stops the segment. Skip leaves out the event for good and
// records that.
const (
	Park ErrorPolicy = "park"
	Stop ErrorPolicy = "stop"
	Skip ErrorPolicy = "skip"
)

// Limits is what a projection asks of the host, which may grant less. Zero means the host's default.
type Limits struct {
	MemoryMiB   int // of the guest's memory; a power of two is best
	BatchEvents int // maximum events per batch
	BatchMillis int // for handling one batch
}

// registered is the projection of this module.
var registered *module

// module is a projection and the buffers that are used for all of its batches. None of them carries anything
// from one batch to the next.
type module struct {
	projection  Projection
	description []byte
	batch       Batch
	replyBuffer []byte
}

// Register makes p the projection of this module. It is called once, from an init function. (In a native test a
// later call replaces the projection.)
func Register(p Projection) {
	if p.Handle == nil {
		misuse("projection " + p.Name + " has no Handle")
	}
	if p.Fields == nil {
		p.Fields = defaultFields
	}
	if p.Ordering == "" {
		p.Ordering = OrderStream
	}
	writes, queries := 0, 0
	for _, t := range p.Tables {
		writes = number(t.writes, writes)
		queries = numberQueries(t.queries, queries)
	}
	writes = number(p.Statements, writes)
	numberQueries(p.Queries, queries)
	for i, m := range p.Messages {
		m.index = writes + i
	}
	registered = &module{projection: p, replyBuffer: replyBuffer}
	entry.Describe = registered.describe
	entry.Apply = registered.apply
}

// number gives writes their indexes in the catalogue, in order of declaration.
func number(writes []*Write, next int) int {
	for _, w := range writes {
		w.index = next
		next++
	}
	return next
}

func numberQueries(queries []*Query, next int) int {
	for _, q := range queries {
		q.index = next
		next++
	}
	return next
}

func (m *module) describe() []byte {
	if m.description == nil {
		m.description = appendDescription(nil, &m.projection)
	}
	return m.description
}

func (m *module) apply(block []byte) []byte {
	b, out := &m.batch, newMutations(m.replyBuffer, len(block))
	out.onRow = entry.OnRow
	reply := m.handle(block, b, out)
	m.replyBuffer = out.row.buffer
	return reply
}

func (m *module) handle(block []byte, b *Batch, out *Mutations) []byte {
	if problem := b.decode(block); problem != "" {
		return out.finishError(&Error{Event: noEvent, Message: problem})
	}
	lowestLevel = b.logLevel
	err := m.projection.Handle(b, out)
	b.noteReader()
	out.close()
	if failure := earliest(b.failure, out.row.failure, b.attribute(err)); failure != nil {
		return out.finishError(failure)
	}
	return out.finish()
}

// earliest returns the failure of the first event: a later one may be no more than its consequence.
func earliest(failures ...*Error) *Error {
	var first *Error
	for _, f := range failures {
		if f != nil && (first == nil || f.Event != noEvent && (first.Event == noEvent || f.Event < first.Event)) {
			first = f
		}
	}
	return first
}

// attribute turns what Handle returned into what goes to the host.
func (b *Batch) attribute(err error) *Error {
	if err == nil {
		return nil
	}
	known := findError(err)
	if known == nil {
		return &Error{Event: b.at, Message: err.Error()}
	}
	return &Error{Event: known.Event, Code: known.Code, Message: err.Error()}
}
