// Package segments is the worker: it claims segments of projections, reads events up to the horizon, hands them
// to processors, and commits rows and checkpoint together. The log that it reads and the tables that it writes are one
// database or two.
//
//	Worker ── one a process: its lease, the programs that it runs
//	  ├─ membership ─ polls who works and how projections are divided, and shows it to the runners
//	  ├─ logstate ─── which log this is, how far it may be read, and whether what was read is still of it
//	  ├─ horizon ──── polls the horizon: how often, and when appends wake it
//	  ├─ readcache ── reads the log for segments that are near each other
//	  ├─ pipeline ─── what all segments share: connections and memory
//	  └─ runner ── one a build of a version: installs its program, takes its share of the segments (balance), changes
//	       │       the division when all workers want it (reshard), replaces the program at a batch boundary
//	       └─ segment ── one a claim: a pipeline of three stages, which read, apply and commit
//
// logstate, horizon, readcache and pipeline are packages in internal. They know the store and each other, and not
// the worker. A [Program] is what a runner runs: a module of package host, or one of the caller's own.
//
//	worker.go      the process; options.go its settings
//	lease.go       its heartbeats
//	membership.go  which workers there are
//	runner.go      one build of a version of a projection; builds.go which builds a program runs
//	install.go     its tables; refusal.go why they are not made; indexes.go their indexes, later
//	versions.go    what it is beside other versions; promote.go, compare.go what is done with them; readers.go whether
//	               somebody runs what readers see
//	once.go        when it has ended, for a worker that runs once; pause.go when it rests
//	balance.go     which of its segments this worker takes
//	reshard.go     splits and merges of segments
//	segment.go     one claim, from its checkpoint to its end
//	module_program.go  a module as a program
//	parking.go     what becomes of an event that fails
//	alerter.go     tells somebody of parked keys
//	retrier.go     parked keys, tried again
//	repeats.go     limits that are met again and again
//	trouble.go     segments that make no progress; outage.go a database that is not available
//	observer.go    what an application is told of all this
//	log_check.go   a log that went back or is another one
//	wait.go        Wait, which returns when a position is applied
//
// A segment ends for one of these reasons, and none of them ends the process or another segment: the runner stops
// it, its claim is lost ([store.ErrFenced]), it has reached the position where it is merged, the database is away
// ([store.ErrTransient]) or another server has the log ([store.ErrOtherLog]). Or it fails: the processor or its SQL
// is at fault, also when a batch has met a limit ([store.LimitError]) three times in a row, a statement cannot run
// whatever the event is ([store.StatementError]), or the log is not the one that the rows were built from
// ([store.LogError]). A failure is recorded and keeps the segment unclaimed until Recover, or until the program is
// installed again. The checkpoint in the database is the only truth about progress: after any error a segment is
// claimed again and starts from there.
//
// Nothing here needs its own clock to be right: leases are the database's, and a late worker is fenced at commit.
package segments
