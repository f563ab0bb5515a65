// Package aggregate is the write side of an application: it loads the state of a stream, and saves new events at the
// version that they were decided at.
//
//	Load ─► snapshot, then the events after it ─► Apply ─► state ─► decide ─► Save: events at exactly that version
//
// A [Repository] has the aggregates of one type. Their state is any Go type of the application, which starts as its zero
// value and changes by Options.Apply alone, one event after the other. [Repository.Update] does all of the above, and
// again when another writer came first. [Repository.LoadTx] and [Repository.AppendTx] do it in a transaction of the
// application, whose rows are then committed together with the events.
//
// # Snapshots
//
// Once 50 events follow the last snapshot (Options.SnapshotEvery) a save keeps a new one, so that the next load reads it
// and the few events after it. A snapshot is a cache, and never decides what the state is:
//
//   - It is made of events that were read from the log: never of a state that the application had in its hands.
//   - It counts only while the log has its event, with its version, in its stream. After a restore of the log, or beside
//     another log, it does not count, and the stream is read from its beginning.
//   - One of another Options.SnapshotVersion, or one that cannot be decoded, is ignored.
//   - A newer one is never replaced by an older one.
//   - Events that are changed or deleted by SQL take the snapshot of their stream with them.
//   - One that cannot be kept, such as one that is too large, stops no save. Options.Logger is told.
//
// # What it does not do
//
// It keeps no aggregate in memory between calls, and holds no lock: who saves second gets a
// [store.VersionConflictError]. It does not find out that Apply has become another function: that is what
// Options.SnapshotVersion is for.
package aggregate
