// Package segments is the worker: it claims segments of projections, reads events up to the horizon, hands them to guests, and
// commits rows and checkpoint together.
//
//	Worker ── one a process: its lease, the set of modules
//	  ├─ roster ── looks at who works and how projections are divided, and shows it to the runners
//	  ├─ head ──── looks at the horizon; pace and waker say when
//	  ├─ feed ──── reads the log for segments that are near each other
//	  ├─ lanes ─── gives each projection an equal part of the reads and commits under way
//	  └─ runner ── one a projection: installs its module, takes its share of the segments (balance), changes the division when
//	       │       all workers want it (reshard), replaces the module at a batch boundary
//	       └─ segment ── one a claim
//	            └─ flow ── its work, in three stages: read (reading), apply and fold (applying), commit (committing)
//
// A segment ends for one of these reasons, and none of them ends the process or another segment: the runner stops it, its claim is
// lost ([store.ErrFenced]), it has reached the position where it is merged, the database is away ([store.ErrTransient]) or another
// server has the log ([store.ErrOtherLog]). The guest or its SQL may be at fault, also where it has met a limit ([store.LimitError]) three times
// in a row, or the log may not be the one that the rows were built from
// ([store.LogError]): that is recorded and keeps the segment unclaimed until the module is installed again. The checkpoint in the
// database is the only truth about progress: after any error a segment is claimed again and starts from there.
//
// Nothing here counts on its own clock to be right: leases are the database's, and a late worker is fenced at commit.
package segments
