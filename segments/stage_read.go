package segments

import (
	"context"
	"errors"
	"math/rand/v2"

	"github.com/pupwasm/pupwasm/store"
)

// chunkEventsMin is about how many events are read at once while a segment is behind: a read has a price of its own.
const chunkEventsMin = 4000

// chunkEvents is the limit of a stretch, which is cut into batches of so many events.
func chunkEvents(batch int) int { return max(chunkEventsMin/batch, 1) * batch }

// restingEventsMax is the size of a stretch that a segment keeps while it waits for events. Many segments at the head must not hold
// on to the memory of their replay.
const restingEventsMax = 256

// expectedBytesMin is what a read is expected to bring at least.
const expectedBytesMin = 64 << 10

// read is the first stage: it reads ahead until waiting ends, or to the segment's end. A read under way has the time of working.
func (f *pipeline) read(waiting, working context.Context) error {
	worker := f.runner.worker
	expected := f.request.Bytes
	for position := f.from; !f.complete(position); {
		rests := !worker.poller.beyond(position)
		through, err := f.await(waiting, position)
		if errors.Is(err, store.ErrOtherLog) {
			return err
		}
		if err != nil {
			return nil //nolint:nilerr // it was asked to end
		}
		var to *chunk
		select {
		case to = <-f.drained:
		case <-waiting.Done():
			return nil
		}
		if rests && max(cap(to.own.Events), cap(to.shared)) > restingEventsMax {
			*to = chunk{}
		}
		if err := worker.memory.acquire(waiting, expected); err != nil {
			return nil //nolint:nilerr // the same
		}
		to.held = expected
		if err := worker.connections.acquire(waiting, f.runner); err != nil {
			return nil //nolint:nilerr // the same
		}
		err = f.reader.read(working, position, through, to)
		worker.connections.release(f.runner)
		if err != nil {
			return err
		}
		worker.memory.change(to.bytes - to.held)
		to.held = to.bytes
		// The next one may be larger by half. A single event may be larger than what was asked for, and so may the next one.
		expected = min(max(to.bytes+to.bytes/2, expectedBytesMin), max(to.bytes, f.request.Bytes))
		if err := f.checkPlaces(to.events); err != nil {
			return err
		}
		to.reaches = to.through >= through
		position = to.through
		f.chunks <- to // has room for all there are
	}
	return nil
}

// complete tells whether a segment that stands at position has nothing more to do.
func (s *segment) complete(position int64) bool {
	worker := s.runner.worker
	return s.claim.MergeAt > 0 && position >= s.claim.MergeAt || worker.options.Once && position >= worker.target
}

// await waits until there is something to read behind position, and returns how far.
func (s *segment) await(ctx context.Context, position int64) (through int64, err error) {
	head, jitter := s.runner.worker.poller, s.runner.worker.options.WakeJitter
	rests := !head.beyond(position)
	through, err = head.after(ctx, s.logID, s.joined, position)
	if err == nil && rests && jitter > 0 {
		sleep(ctx, rand.N(jitter))
		through, err = head.after(ctx, s.logID, s.joined, position)
	}
	if s.claim.MergeAt > 0 {
		through = min(through, s.claim.MergeAt)
	}
	return through, err
}
