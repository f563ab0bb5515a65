package host_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/host"
	. "github.com/pupwasm/pupwasm/host/hosttest"
	"github.com/pupwasm/pupwasm/internal/guestbuild"
	"github.com/pupwasm/pupwasm/store"
)

// many are events that do not fit into the memory of a guest of package hosttest.
const many = 20_000

// TestRoom_isThereForALargeBatchBeforeItComes has batches of two sizes: an instance is put back for those of the same size.
func TestRoom_isThereForALargeBatchBeforeItComes(t *testing.T) {
	t.Parallel()
	if starts := startsIn(t, &Guest{}, Events, Events, many, many, many, Events, Events); starts != 3 {
		t.Errorf("the guest started %d times, must once for each change of the size", starts)
	}
}

// TestRoom_whatIsSeenOfTheMemoryIsOfTheBatch has a guest of TinyGo, whose work differs by the memory that it has, get batches of
// sizes at random.
func TestRoom_whatIsSeenOfTheMemoryIsOfTheBatch(t *testing.T) {
	t.Parallel()
	engine := newRuntime(t, host.Options{Instances: host.InstancesFresh})
	module := load(t, engine, "fine_balance.wasm", guestbuild.Example(t, guestbuild.TinyGo, "fine_balance"))
	guest := module.NewGuest(0)
	defer guest.Close(context.Background())
	random := rand.New(rand.NewPCG(4, 4))
	sizes := []int{1, 1000, 4000, 6000, 20_000}
	first := map[int]host.Usage{}
	for range 30 {
		size := sizes[random.IntN(len(sizes))]
		if _, err := guest.Apply(t.Context(), fineEvents(1, size), nil); err != nil {
			t.Fatal(err)
		}
		got := guest.Usage()
		got.Time = 0
		if want, known := first[size]; !known {
			first[size] = got
		} else if got != want {
			t.Errorf("a batch of %d events: %+v, was %+v", size, got, want)
		}
	}
	if small, large := first[sizes[0]], first[sizes[len(sizes)-1]]; small.MemoryBytes == 0 || large.MemoryBytes < 4*small.MemoryBytes {
		t.Errorf("memory of %d bytes for the smallest batch, %d for the largest", small.MemoryBytes, large.MemoryBytes)
	}
}

// TestRoom_isNotGivenToWhoMakesNoUseOfIt has guests that ask for memory whatever they have, as Go does, or that look at what they have.
func TestRoom_isNotGivenToWhoMakesNoUseOfIt(t *testing.T) {
	t.Parallel()
	const pages = 2
	heap := (&Guest{}).HeapAddress()
	for name, g := range map[string]*Guest{
		"asks for more": {Reserve: Code(
			LocalGet(0), I32Const(pageOf-1), I32Add, I32Const(16), I32ShrU, MemoryGrow, I32Const(pageOf), I32Mul,
		)},
		"is not itself with more": {Initialize: Code(MemorySize, I32Const(pages), I32Ne, If(Unreachable))},
		"does not end with more":  {Reserve: Code(MemorySize, I32Const(pages), I32Ne, If(Loop(Br(0))), I32Const(heap))},
		"has no room in any case": {Reserve: Code(MemorySize, I32Const(pages), I32Ne, If(I32Const(0), Return), I32Const(heap))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g.Memory = Limits{Min: pages}
			limits := host.Limits{Fuel: endless, StartTimeout: time.Hour}
			module := load(t, newRuntime(t, host.Options{Instances: host.InstancesFresh, Limits: limits}), "room.wasm", g.Wasm())
			guest := module.NewGuest(0)
			defer guest.Close(context.Background())
			if _, err := guest.Apply(t.Context(), make([]store.RecordedEvent, 2000), nil); err != nil {
				t.Fatal(err)
			}
			if got := guest.Usage().MemoryBytes; got > (pages+1)*pageOf {
				t.Errorf("%d bytes of memory, of which it declares %d pages and asks for one at most", got, pages)
			}
		})
	}
}

// TestRoom_isWithinTheLimit gives a batch for which four times its size is more memory than there may be.
func TestRoom_isWithinTheLimit(t *testing.T) {
	t.Parallel()
	const limit = 2
	engine := newRuntime(t, host.Options{Instances: host.InstancesFresh, Limits: host.Limits{MemoryMiB: limit}})
	guest := load(t, engine, "room.wasm", (&Guest{}).Wasm()).NewGuest(0)
	defer guest.Close(context.Background())
	for range 2 {
		if _, err := guest.Apply(t.Context(), make([]store.RecordedEvent, many), nil); err != nil {
			t.Fatal(err)
		}
		if got := guest.Usage().MemoryBytes; got > limit<<20 {
			t.Errorf("%d bytes of memory", got)
		}
	}
}
