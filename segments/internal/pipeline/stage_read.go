package pipeline

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/pupwasm/pupwasm/internal/backoff"
	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

// read is the first stage: it reads ahead until waiting ends, or to the segment's end. A read in flight has the
// time of working.
func (a *attempt) read(waiting, working context.Context) error {
	memory, connections := a.shared.Memory, a.shared.Connections
	expected := a.options.BatchBytes
	var caughtUp time.Time // when the last read had brought all there was, or zero
	for position := a.from; !a.complete(position); {
		a.rest(waiting, caughtUp)
		rests := !a.shared.Log.Beyond(position)
		through, err := a.await(waiting, position)
		if errors.Is(err, store.ErrOtherLog) {
			return err
		}
		if err != nil {
			return nil //nolint:nilerr // it was asked to end
		}
		var to *chunk
		select {
		case to = <-a.drained:
		case <-waiting.Done():
			return nil
		}
		if rests && to.Capacity() > restingEventsMax {
			*to = chunk{}
		}
		if err := memory.Acquire(waiting, expected); err != nil {
			return nil //nolint:nilerr // the same
		}
		to.held = expected
		if err := connections.Acquire(waiting, a.Projection.ID()); err != nil {
			return nil //nolint:nilerr // the same
		}
		to.began = clock.Now()
		err = a.Reader.Read(working, position, through, &to.Chunk)
		connections.Release(a.Projection.ID())
		if err != nil {
			return err
		}
		to.took = clock.Since(to.began)
		a.Observer.Read(&to.Chunk, to.took)
		memory.Add(to.Bytes - to.held)
		to.held = to.Bytes
		// The next one may be larger by half. A single event may be larger than what was asked for, and so may
		// the next one.
		expected = min(max(to.Bytes+to.Bytes/2, expectedBytesMin), max(to.Bytes, a.options.BatchBytes))
		if err := a.checkPlaces(to.Events); err != nil {
			return err
		}
		to.reaches = to.Through >= through
		if caughtUp = (time.Time{}); to.reaches {
			caughtUp = clock.Now()
		}
		position = to.Through
		a.chunks <- to // has room for all there are
	}
	return nil
}

// rest waits for the projection's interval between polls since it had read all there was, unless that is zero. Somebody
// waits for a segment that is merged, and for a worker that runs once.
func (p *Pipeline) rest(ctx context.Context, caughtUp time.Time) {
	if p.options.Poll > 0 && !caughtUp.IsZero() && p.Claim.MergeAt == 0 && !p.options.Once {
		backoff.Sleep(ctx, p.options.Poll-clock.Since(caughtUp))
	}
}

// await waits until there is something to read behind position, and returns how far.
func (p *Pipeline) await(ctx context.Context, position int64) (through int64, err error) {
	log, jitter := p.shared.Log, p.options.WakeJitter
	rests := !log.Beyond(position)
	through, err = log.Await(ctx, p.Log, position)
	if err == nil && rests && jitter > 0 {
		backoff.Sleep(ctx, rand.N(jitter))
		through, err = log.Await(ctx, p.Log, position)
	}
	if p.Claim.MergeAt > 0 {
		through = min(through, p.Claim.MergeAt)
	}
	return through, err
}

// checkPlaces fails at an event whose stored hash is not that of its stream: the stream's events are in two
// segments then, which do not keep their order. Writers may give the hash, and only we know whether it is
// right.
func (p *Pipeline) checkPlaces(events []store.RecordedEvent) error {
	if p.Misplaced == nil {
		return nil
	}
	checked := ""
	for i := range events {
		e := &events[i]
		if e.AggregateID == checked {
			continue
		}
		checked = e.AggregateID
		if hash := store.PartitionHash(checked); !p.Claim.Range.Contains(hash) {
			return p.Misplaced(e, hash)
		}
	}
	return nil
}
