package pup

import (
	"unsafe"

	"github.com/pupwasm/pupwasm/guest-sdk/internal/host"
)

// Query is the handle of one entry of the catalogue of queries. It is made by [Table.Load] or [NewQuery]. A
// query sees the tables as they were before the batch.
type Query struct {
	origin
	table   *Table
	columns []string
	sql     SQL
	params  []Type
	results []Type
	index   int
	promise
}

// NewQuery declares a query by a SQL statement. It is listed in [Projection].Queries.
//
// A query costs a round trip to the database and keeps the host from reading ahead: run one query per batch,
// with arrays, not one per event.
func NewQuery(name string, sql SQL, params, results []Type) *Query {
	return &Query{origin: origin{"query", name}, sql: sql, params: params, results: results, index: unregistered}
}

// PartitionParam says which parameter of a SQL query, counted from 1, holds the partition key, one or an array
// of them, and promises that the query reads rows of those keys only. The host checks that each is the key of
// an event of the batch. It returns the query.
func (q *Query) PartitionParam(n int) *Query {
	q.partitionParam = n
	return q
}

// Unordered promises that the rows of the projection do not depend on when the query runs, and so not on what
// other workers wrote before. Nothing checks that. It returns the query.
func (q *Query) Unordered() *Query {
	q.unordered = true
	return q
}

// Args begins the arguments of the query, which are given in order, before Run:
//
//	names.Args(b).Texts(ids)
//	rows := names.Run(b)
func (q *Query) Args(b *Batch) *Row {
	r := &b.request
	r.size, r.types = 0, nil // what an earlier query left incomplete is of no interest
	head := r.room(queryHeaderSize)
	*(*uint32)(head) = uint32(q.index)
	*(*uint32)(unsafe.Add(head, 4)) = uint32(len(q.params))
	r.begin(&q.origin, q.params, b.at)
	return r
}

// Run runs the query with the arguments that were given and returns the rows, which are valid until Handle
// returns. When a wrong or missing argument keeps it from running, there are no rows, and the batch fails once
// Handle has returned.
func (q *Query) Run(b *Batch) *Rows {
	r := &b.request
	if len(q.params) == 0 {
		q.Args(b)
	}
	switch r.end(); {
	case q.index == unregistered:
		r.of = &q.origin
		r.fault(unlistedFault(q.table, "Queries"))
	case r.of != &q.origin:
		r.of = &q.origin
		r.fault("Run without Args")
	}
	if r.failure != nil {
		b.fail(r.failure.Event, r.failure.Message)
		return &Rows{}
	}
	r.of = nil
	data := b.fetch(r.written())
	if len(data) < rowsHeaderSize {
		misuse("query " + q.name + ": the result has no header")
	}
	return &Rows{
		values: data[rowsHeaderSize:], types: q.results, next: len(q.results),
		left: int(u32(data, 0)), width: int(u32(data, 4)), name: q.name,
	}
}

const (
	queryHeaderSize = 8
	rowsHeaderSize  = 8
)

// fetch runs a request and keeps its result beside those of earlier queries, which strings still point into.
func (b *Batch) fetch(request []byte) []byte {
	room := b.results[len(b.results):cap(b.results)]
	size := host.Query(request, room)
	if size > len(room) {
		b.results = make([]byte, 0, max(2*size, 4096))
		room = b.results[:cap(b.results)]
		host.Query(nil, room)
	}
	start := len(b.results)
	b.results = b.results[:start+size]
	return b.results[start : start+size : start+size]
}
