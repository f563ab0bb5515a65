package hosttest

import (
	"context"
	"errors"
	"fmt"

	"github.com/pupwasm/pupwasm/host/abi"
)

// Instance is one running instance of a guest, in whichever engine.
type Instance interface {
	// Call calls an exported function and returns its result, or 0 when it has none.
	Call(ctx context.Context, name string, params ...uint64) (uint64, error)
	// Read copies from the memory, or returns false when the range leaves it.
	Read(ptr, size uint32) ([]byte, bool)
	// Write copies into the memory, or returns false when the range leaves it.
	Write(ptr uint32, data []byte) bool
	Close()
}

// Apply hands a batch to an instance and returns a copy of its reply, which is at most limit bytes long. It
// checks every address.
func Apply(ctx context.Context, i Instance, batch []byte, limit uint32) ([]byte, error) {
	result, err := i.Call(ctx, "pup_reserve", uint64(len(batch)))
	if err != nil {
		return nil, fmt.Errorf("pup_reserve: %w", err)
	}
	ptr := uint32(result)
	switch {
	case ptr == 0:
		return nil, fmt.Errorf("pup_reserve has no memory for %d bytes", len(batch))
	case ptr%8 != 0:
		return nil, fmt.Errorf("pup_reserve returns address %d, which is not a multiple of 8", ptr)
	case !i.Write(ptr, batch):
		return nil, fmt.Errorf("pup_reserve returns address %d, where %d bytes leave the memory", ptr, len(batch))
	}
	result, err = i.Call(ctx, "pup_apply", uint64(ptr), uint64(len(batch)))
	if err != nil {
		return nil, fmt.Errorf("pup_apply: %w", err)
	}
	return readResult(i, "the reply", result, limit)
}

// ReadDescription checks the version of the ABI and returns a copy of the description, which is at most limit
// bytes long.
func ReadDescription(ctx context.Context, i Instance, limit uint32) ([]byte, error) {
	version, err := i.Call(ctx, "pup_abi_1")
	if err != nil {
		return nil, fmt.Errorf("pup_abi_1: %w", err)
	}
	if uint32(version) != abi.Version {
		return nil, fmt.Errorf("pup_abi_1 returns %d, must be %d", uint32(version), abi.Version)
	}
	result, err := i.Call(ctx, "pup_describe")
	if err != nil {
		return nil, fmt.Errorf("pup_describe: %w", err)
	}
	return readResult(i, "the description", result, limit)
}

// readResult copies the block that a guest returned as ptr<<32 | len.
func readResult(i Instance, what string, result uint64, limit uint32) ([]byte, error) {
	ptr, size := uint32(result>>32), uint32(result)
	if size > limit {
		return nil, fmt.Errorf("%s has %d bytes, the limit is %d", what, size, limit)
	}
	block, ok := i.Read(ptr, size)
	if !ok {
		return nil, fmt.Errorf("%s of %d bytes at address %d leaves the memory", what, size, ptr)
	}
	return block, nil
}

// GuestError is what a guest reported itself.
type GuestError struct {
	Event   uint32 // or [abi.NoEvent]
	Code    uint32
	Message string
}

// Error has the code and the text that the guest reported.
func (e *GuestError) Error() string {
	return fmt.Sprintf("the guest reports error %d: %.200s", e.Code, e.Message)
}

// Mutation is one mutation, also one that sends a message. Its values keep their encoding.
type Mutation struct {
	Write, Event int
	Values       string
}

// Mutations reads a reply to a batch of a number of events and checks it against the catalogue.
//
// # Errors
//
// [*GuestError] when the guest reports one. Any other means that the reply breaks the specification.
func (c *Catalogue) Mutations(reply []byte, events int) ([]Mutation, error) {
	r, err := abi.DecodeReply(reply)
	if err != nil {
		return nil, err
	}
	if r.Status == abi.StatusError {
		return nil, &GuestError{Event: r.Event, Code: r.Code, Message: r.Message}
	}
	var mutations []Mutation
	for range r.Count {
		head, err := r.Mutation()
		if err != nil {
			return nil, err
		}
		if head.Write >= len(c.Writes) {
			return nil, fmt.Errorf("a mutation has write %d, the catalogue has %d", head.Write, len(c.Writes))
		}
		write := &c.Writes[head.Write]
		if head.Event >= events {
			return nil, fmt.Errorf("write %s has event %d of %d", write.Name, head.Event, events)
		}
		if head.Values != len(write.Types) {
			return nil, fmt.Errorf("write %s has %d values, its parameters are %d", write.Name, head.Values,
				len(write.Types))
		}
		before := r.Rest()
		if err := write.read(&r.Values); err != nil {
			return nil, fmt.Errorf("write %s: %w", write.Name, err)
		}
		values := before[:len(before)-len(r.Rest())]
		if write.Subject != "" {
			if err := write.checkMessage(values); err != nil {
				return nil, fmt.Errorf("message %s: %w", write.Name, err)
			}
		}
		mutations = append(mutations, Mutation{Write: head.Write, Event: head.Event, Values: string(values)})
	}
	return mutations, r.End()
}

// read checks one value for each parameter.
func (p *Parameters) read(values *abi.Values) error {
	for i, want := range p.Types {
		item, err := values.Next()
		if err != nil {
			return fmt.Errorf("value %d: %w", i+1, err)
		}
		got := Type{Kind: item.Kind, Array: item.Array}
		switch null := got == (Type{}); {
		case null && i < p.Keys:
			return fmt.Errorf("value %d: a key is null", i+1)
		case !null && got != want:
			return fmt.Errorf("value %d is %s, must be %s", i+1, got, want)
		}
		if !item.Array {
			continue
		}
		for range item.Word {
			element, err := values.Next()
			if err != nil {
				return fmt.Errorf("value %d: %w", i+1, err)
			}
			if element.Array || element.Kind != want.Kind && element.Kind != abi.KindNull {
				return errors.New("an array has an element of another type")
			}
		}
	}
	return nil
}
