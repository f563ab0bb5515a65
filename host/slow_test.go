package host_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/host/hosttest"
	"github.com/pupwasm/pupwasm/store"
)

// TestGuest_tooSlowAgainAndAgainIsItsFault lets a guest take too long for the same batch, in a guest of its own every time, as hosts try it
// again. Other batches and other segments do not count.
func TestGuest_tooSlowAgainAndAgainIsItsFault(t *testing.T) {
	t.Parallel()
	module := load(t, newRuntime(t, host.Options{Limits: host.Limits{Fuel: endless, BatchTimeout: 5 * time.Millisecond}}), "loop.wasm", looping())
	apply := func(segment int, position int64) error {
		guest := module.NewGuest(segment)
		defer guest.Close(context.Background())
		_, err := guest.Apply(t.Context(), []store.Recorded{{Position: position}, {Position: position + 1}}, nil)
		return err
	}
	isFault := func(err error) bool {
		var fault *host.Fault
		var slow *host.SlowError
		if errors.As(err, &fault) == errors.As(err, &slow) {
			t.Fatalf("error is %v, must be a Fault or a SlowError", err)
		}
		return fault != nil
	}
	for round := range 2 { // after the fault it begins anew
		for time := range 3 {
			err := apply(1, 7)
			if isFault(err) != (time == 2) {
				t.Errorf("round %d, time %d: error is %v", round, time+1, err)
			}
			if time == 2 && !strings.Contains(err.Error(), "took longer than 5ms for the same batch 3 times in a row, with fuel left: raise --batch-timeout") {
				t.Errorf("error is %v", err)
			}
			if err := apply(1, 8+int64(round)*10+int64(time)); isFault(err) {
				t.Errorf("another batch: error is %v", err)
			}
			if err := apply(2+3*round+time, 7); isFault(err) {
				t.Errorf("another segment: error is %v", err)
			}
		}
	}
}

// TestGuest_aBatchThatPassesEndsTheRow has a guest that is slow for a batch of several events only.
func TestGuest_aBatchThatPassesEndsTheRow(t *testing.T) {
	t.Parallel()
	g := &hosttest.Guest{}
	g.Apply = hosttest.Code(
		hosttest.LocalGet(1), hosttest.I32Const(300), hosttest.I32GtU, hosttest.If(hosttest.Loop(hosttest.Br(0))), g.GoodReply())
	module := load(t, newRuntime(t, host.Options{Limits: host.Limits{Fuel: endless, BatchTimeout: 5 * time.Millisecond}}), "guest.wasm", g.Wasm())
	guest := module.NewGuest(0)
	defer guest.Close(context.Background())
	many := make([]store.Recorded, 100)
	for i := range many {
		many[i].Position = int64(i + 1)
	}
	for time := range 6 {
		var slow *host.SlowError
		if _, err := guest.Apply(t.Context(), many, nil); !errors.As(err, &slow) {
			t.Fatalf("time %d: error is %v, must be a SlowError", time+1, err)
		}
		if _, err := guest.Apply(t.Context(), many[:1], nil); err != nil {
			t.Fatal(err)
		}
	}
}
