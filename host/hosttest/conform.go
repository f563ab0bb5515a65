package hosttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/pupwasm/pupwasm/host/abi"
)

// Subject is a guest under test.
type Subject struct {
	Wasm []byte
	// Start makes a fresh instance of the module, with the imports of the ABI, after _initialize.
	Start func(ctx context.Context) (Instance, error)
	// Events are what the projection is tried with, in order. Defaults to [SampleEvents], which no projection
	// knows: it has to cope.
	Events []Event
	// ReplyBytesMax is the largest reply. Defaults to 64 MiB.
	ReplyBytesMax uint32
}

// descriptionBytesMax bounds a description.
const descriptionBytesMax = 1 << 20

// CheckGuest tries whether a guest keeps the rules of the specification, and returns the first that it breaks:
//
//   - what [Check] sees, and the version of the ABI;
//   - the description can be read, and is the same from every instance;
//   - pup_reserve gives aligned memory for any size, larger and smaller than the one before;
//   - a batch without events gives no mutations;
//   - every reply keeps to the format and to the catalogue;
//   - the mutations are the same whatever the encoding and order of columns, whatever a later host adds, and
//     whatever the segment;
//   - they are the same from a fresh instance and from one that handled other batches before.
//
// It cannot see whether the mutations are the right ones, nor whether tables end up the same for other batch
// boundaries, since a guest may fold what a batch does to a row.
func CheckGuest(ctx context.Context, s Subject) error {
	if s.Events == nil {
		s.Events = SampleEvents(100)
	}
	if s.ReplyBytesMax == 0 {
		s.ReplyBytesMax = 64 << 20
	}
	if err := Check(s.Wasm); err != nil {
		return err
	}
	catalogue, err := s.checkDescription(ctx)
	if err != nil {
		return err
	}
	if err := s.fresh(ctx, checkReserve); err != nil {
		return err
	}
	return s.checkReplies(ctx, catalogue)
}

// fresh runs something with a fresh instance.
func (s *Subject) fresh(ctx context.Context, run func(ctx context.Context, i Instance) error) error {
	i, err := s.Start(ctx)
	if err != nil {
		return fmt.Errorf("starting an instance: %w", err)
	}
	defer i.Close()
	return run(ctx, i)
}

func (s *Subject) checkDescription(ctx context.Context) (*Catalogue, error) {
	var texts [][]byte
	for range 2 {
		err := s.fresh(ctx, func(ctx context.Context, i Instance) error {
			text, err := ReadDescription(ctx, i, descriptionBytesMax)
			texts = append(texts, text)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	if !bytes.Equal(texts[0], texts[1]) {
		return nil, errors.New("two instances give different descriptions")
	}
	if err := CheckEmbedded(s.Wasm, texts[0]); err != nil {
		return nil, err
	}
	return ParseDescription(texts[0])
}

// checkReserve asks for room of different sizes and writes all of it.
func checkReserve(ctx context.Context, i Instance) error {
	for _, size := range []uint32{8, 40, 1 << 10, 1 << 16, 8, 1<<16 + 8, 1 << 20, 40} {
		result, err := i.Call(ctx, "pup_reserve", uint64(size))
		ptr := uint32(result)
		switch {
		case err != nil:
			return fmt.Errorf("pup_reserve(%d): %w", size, err)
		case ptr == 0:
			return fmt.Errorf("pup_reserve(%d) has no memory", size)
		case ptr%8 != 0:
			return fmt.Errorf("pup_reserve(%d) returns address %d, which is not a multiple of 8", size, ptr)
		case !i.Write(ptr, make([]byte, size)):
			return fmt.Errorf("pup_reserve(%d) returns address %d, where that leaves the memory", size, ptr)
		}
	}
	return nil
}

// outcome is what a guest makes of a batch: mutations, or an error of its own.
type outcome struct {
	mutations []Mutation
	reported  GuestError
}

func (a *outcome) equal(b *outcome) bool {
	return slices.Equal(a.mutations, b.mutations) && a.reported == b.reported
}

func (s *Subject) apply(
	ctx context.Context, i Instance, c *Catalogue, events []Event, layout Layout,
) (*outcome, error) {
	batch, err := Batch(events, c.Columns, layout)
	if err != nil {
		return nil, err
	}
	reply, err := Apply(ctx, i, batch, s.ReplyBytesMax)
	if err != nil {
		return nil, err
	}
	mutations, err := c.Mutations(reply, len(events))
	var reported *GuestError
	if errors.As(err, &reported) {
		if reported.Event != abi.NoEvent && int64(reported.Event) >= int64(len(events)) {
			return nil, fmt.Errorf("it reports an error at event %d of %d", reported.Event, len(events))
		}
		return &outcome{reported: *reported}, nil
	}
	return &outcome{mutations: mutations}, err
}

func (s *Subject) checkReplies(ctx context.Context, c *Catalogue) error {
	layouts := map[string]Layout{
		"plain": {}, "another encoding of texts": {Strings: true}, "another order of columns": {Reversed: true},
		"what a later host adds": {Later: true}, "another segment and log level": {Segment: 7, LogLevel: 4},
	}
	var plain *outcome
	err := s.fresh(ctx, func(ctx context.Context, i Instance) error {
		for range 2 {
			empty, err := s.apply(ctx, i, c, nil, Layout{})
			if err != nil {
				return fmt.Errorf("a batch without events: %w", err)
			}
			if !empty.equal(&outcome{}) {
				return errors.New("a batch without events gives mutations or an error")
			}
		}
		var err error
		plain, err = s.apply(ctx, i, c, s.Events, Layout{})
		return err
	})
	if err != nil {
		return err
	}
	for what, layout := range layouts {
		err := s.fresh(ctx, func(ctx context.Context, i Instance) error {
			got, err := s.apply(ctx, i, c, s.Events, layout)
			if err == nil && !got.equal(plain) {
				err = errors.New("the same events give other mutations")
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("with %s: %w", what, err)
		}
	}
	return s.checkReuse(ctx, c, plain)
}

// checkReuse gives one instance half of the events, then all of them twice: what it handled before must not show.
func (s *Subject) checkReuse(ctx context.Context, c *Catalogue, want *outcome) error {
	return s.fresh(ctx, func(ctx context.Context, i Instance) error {
		for _, events := range [][]Event{s.Events[:len(s.Events)/2], s.Events, s.Events} {
			got, err := s.apply(ctx, i, c, events, Layout{})
			if err != nil {
				return fmt.Errorf("with an instance that handled other batches: %w", err)
			}
			if len(events) == len(s.Events) && !got.equal(want) {
				return errors.New("an instance that handled other batches gives other mutations for the same events")
			}
		}
		return nil
	})
}
