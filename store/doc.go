// Package store holds the contracts between pupwasm and a database: the events, the reads, the catalogue that a
// projection declares, the claim on a segment, and the transaction that commits rows and checkpoint together.
//
//	append ─► events ─► Horizon ─► Read ─► (guest) ─► Fold ─► Tx.Commit: fence + rows + checkpoint
//
// Applications use the events ([Event], [Stream], [StreamAppend]), what appends answer, and the errors. The contracts
// of a database are for hosts and for packages that implement one, and change with them.
//
// It is a leaf: everything may import it and it imports the standard library only. The implementations live in
// store/postgres, store/mysql and store/sqlite, and every one passes the conformance suite in store/storetest.
//
// There are two contracts: [Log], which projections read, and [Tables], which they write. A [Store] is both, and so is
// one database in most cases. The types that applications open have it behind their method Backend.
//
// The contracts, by file:
//
//	event.go, append.go, read.go, page.go  events, in and out
//	snapshot.go    streams as aggregates use them
//	log_id.go, check_log.go, notify.go, peek.go  which log, whether it is whole, and news of it
//	store.go       Log, Tables and Store
//	projection.go, projection_id.go, catalogue.go, declaration.go, views.go, shape.go  what a projection declares
//	partition*.go, ownership.go, shared.go  how events are divided, and whose row it is
//	lease.go, layout.go, placement.go  who runs which segment, and how many there are
//	parking.go     keys whose events wait
//	rows.go, rejection.go, errors.go, value.go  rows read, rows refused, errors, values
//
// and two algorithms that drivers, host and SDK share: the checks of a declaration (validate.go, declaration.go), and
// the fold, which makes one row of many mutations (fold.go, plan.go, row_order.go, key_index.go; not the SDK's Fold).
//
// Two things are fences here, both in the sense of a barrier that cannot be passed late. The append fence is in the
// event log of PostgreSQL and of MariaDB: by it readers know which positions may still appear ([Horizon]). The fence of
// a commit is its first statement: it moves the checkpoint, or fails with [ErrFenced] where another worker has the
// segment.
//
// What an implementation promises:
//
//   - Rows and checkpoint commit in one transaction or not at all ([Tx]).
//   - No position at or below [Horizon.Position] can still appear ([Reader]).
//   - A commit succeeds only while the [Claim] still holds the segment at the position that it was read at.
//   - What was read of one log is never committed to another: reads are stamped with a [LogID], which the commit compares.
//   - Errors are translated once: callers test them with errors.Is and errors.As against errors.go.
//
// What it does not do: it starts no goroutine of its own beyond a connection pool's, decides no retry, and knows
// nothing of WebAssembly.
package store
