package pipeline

import (
	"time"
)

const (
	// readAhead is how many chunks are in use: one is read while another is applied.
	readAhead = 2
	// chunkEventsMin is about how many events are read at once while a segment is behind: a read has a price of
	// its own.
	chunkEventsMin = 4000
	// restingEventsMax is the size of a chunk that a segment keeps while it waits for events. Many segments at
	// the horizon must not hold on to the memory of their replay.
	restingEventsMax = 256
	// restingBytesMax is the same for the rows of a commit group.
	restingBytesMax = 256 << 10
	// expectedBytesMin is what a read is expected to bring at least.
	expectedBytesMin = 64 << 10

	// ConflictTries is how often in a row a commit is tried at once that the database has rolled back for the sake of
	// another transaction. Then it pauses, as after other errors: what locks the same rows does not end by itself.
	ConflictTries = 10

	// groupRowsMax and groupBytesMax bound a commit group besides Options.CommitEvents. A group that has as
	// many rows gains little from more events, since a statement of so many rows is as fast by the row as it
	// gets.
	groupRowsMax  = 8192
	groupBytesMax = 16 << 20
	// unseenFactor is by how many times more events and time a group may have that readers do not see. It ends with
	// its bytes then: the more events become one row, the less there is to write.
	unseenFactor = 20
	// unseenRowsMax bounds their rows, so that they stay in the caches of the processor.
	unseenRowsMax = 131_072
	// groupBytesScarce bounds it while a read waits for memory.
	groupBytesScarce = 1 << 20
	// groupAgeMax bounds how long a group waits for more.
	groupAgeMax = 250 * time.Millisecond
	// lagMin is how long a checkpoint lags after a rest: the batch that has the event has committed by then.
	lagMin = 10 * time.Millisecond
	// lagMax is the interval at which it follows while events come all the time.
	lagMax = 100 * time.Millisecond
)

// groupBounds bound a commit group.
type groupBounds struct {
	events, rows int
	age          time.Duration
}

// bounds are those of the groups that are filled now.
func (p *Pipeline) bounds() groupBounds {
	bounds := groupBounds{events: p.options.CommitEvents, rows: groupRowsMax, age: groupAgeMax}
	if p.Unseen() && bounds.events > p.options.BatchEvents {
		return groupBounds{events: unseenFactor * bounds.events, rows: unseenRowsMax, age: unseenFactor * bounds.age}
	}
	return bounds
}

// ChunkEvents is the limit of a chunk, which is cut into batches of so many events.
func ChunkEvents(batch int) int { return max(chunkEventsMin/batch, 1) * batch }
