// Package pipeline takes the events of a segment from the log to the tables, in three stages that work at the
// same time:
//
//	          chunks                  commit groups
//	read ───────────────► apply ──────────────────► commit
//	log   ◄─────────────  processor, ◄───────────── rows + checkpoint
//	          drained     fold        free
//
// stage_read.go reads ahead, up to the horizon, a chunk at a time. stage_apply.go cuts a chunk into batches for
// the processor and folds what it answers into a commit group (commit_group.go); withheld.go takes events of parked
// keys out of a batch. stage_commit.go commits one group after the other, each in one transaction. Chunks and groups
// are few and are used again, so that no stage is far ahead of the next.
//
// While the next stage is busy, the one before works on: far behind the horizon, many batches become one
// commit; near it, a group is committed as soon as the commit before it has ended. What was computed behind a
// commit that failed is dropped with it.
//
// A transactional program has one group, since its processor must see what the batch before has written: then
// the stages behind the reading take turns.
//
// What the segments of a worker share is bounded here too: connections by [ConnectionLimiter], memory by
// [MemoryBudget].
package pipeline
