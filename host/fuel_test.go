package host_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/host/hosttest"
	"github.com/pupwasm/pupwasm/internal/guestbuild"
	"github.com/pupwasm/pupwasm/store"
)

// endless is fuel that no test lives to see the end of.
const endless = 1 << 60

// looping is a guest that never returns from pup_apply.
func looping() []byte {
	return (&hosttest.Guest{Apply: hosttest.Code(hosttest.Loop(hosttest.Br(0)), hosttest.Unreachable)}).Wasm()
}

// applying lets a guest have three events, and returns what comes of it.
func applying(ctx context.Context, guest *host.Guest) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := guest.Apply(ctx, make([]store.RecordedEvent, hosttest.Events), nil)
		done <- err
	}()
	return done
}

// TestGuest_theCollectorDoesNotWaitForALoop would never end if it did: the guest loops until collections have
// passed, and then until it hears that it is not wanted any more.
func TestGuest_theCollectorDoesNotWaitForALoop(t *testing.T) {
	t.Parallel()
	module := load(t, newRuntime(t, host.Options{Limits: host.Limits{Fuel: endless, BatchTimeout: time.Hour}}),
		"loop.wasm", looping())
	guest := module.NewGuest(0)
	defer guest.Close(context.Background())
	ctx, cancel := context.WithCancel(t.Context())
	done := applying(ctx, guest)
	for range 20 {
		runtime.GC()
	}
	select {
	case err := <-done:
		t.Fatalf("the guest ended: %v", err)
	default:
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, must be the context's", err)
	}
}

// TestGuest_timeIsNotHeldAgainstIt lets the machine be too slow for a guest that has fuel left.
func TestGuest_timeIsNotHeldAgainstIt(t *testing.T) {
	t.Parallel()
	module := load(t, newRuntime(t, host.Options{Limits: host.Limits{
		Fuel:         endless,
		BatchTimeout: 20 * time.Millisecond,
	}}), "loop.wasm", looping())
	guest := module.NewGuest(0)
	defer guest.Close(context.Background())
	err := <-applying(t.Context(), guest)
	var slow *host.SlowError
	var fault *host.Fault
	if !errors.As(err, &slow) || errors.As(err, &fault) ||
		!strings.Contains(err.Error(), "took longer than 20ms for a batch, with fuel left") {
		t.Errorf("error is %v, must be a SlowError", err)
	}
}

// TestGuest_fuelIsTheSameEverywhere is invariant 7 for what a guest uses up: in another instance, runtime and company.
func TestGuest_fuelIsTheSameEverywhere(t *testing.T) {
	t.Parallel()
	apply := hosttest.Code(
		hosttest.I32Const(300_000), hosttest.LocalSet(2),
		hosttest.Loop(hosttest.LocalGet(2), hosttest.I32Const(1), hosttest.I32Sub, hosttest.LocalTee(2),
			hosttest.BrIf(0)),
		(&hosttest.Guest{}).GoodReply(),
	)
	wasm := (&hosttest.Guest{Apply: apply}).Wasm()
	var usages []host.Usage
	for range 2 {
		module := load(t, newRuntime(t, host.Options{}), "count.wasm", wasm)
		guest := module.NewGuest(0)
		defer guest.Close(context.Background())
		for range 2 {
			if err := <-applying(t.Context(), guest); err != nil {
				t.Fatal(err)
			}
			usage := guest.Usage()
			usage.Time = 0 // is the machine's own
			usages = append(usages, usage)
		}
	}
	for _, usage := range usages {
		if usage != usages[0] || usage.Fuel < 6*300_000 || usage.MemoryBytes == 0 {
			t.Errorf("used %+v, and at first %+v", usage, usages[0])
		}
	}
}

// TestGuest_aFunctionOfTheHostTakesFuel has a guest fill its memory with random bytes, again and again.
func TestGuest_aFunctionOfTheHostTakesFuel(t *testing.T) {
	t.Parallel()
	signature := hosttest.Signature{
		Params:  []hosttest.ValType{hosttest.I32, hosttest.I32},
		Results: []hosttest.ValType{hosttest.I32},
	}
	wasm := (&hosttest.Guest{
		Imports: []hosttest.Import{{Module: "wasi_snapshot_preview1", Name: "random_get", Signature: signature}},
		Memory:  hosttest.Limits{Min: 16},
		Apply: hosttest.Code(
			hosttest.Loop(hosttest.I32Const(65536), hosttest.I32Const(15*65536), hosttest.Call(0), hosttest.Drop,
				hosttest.Br(0)),
			hosttest.Unreachable),
	}).Wasm()
	module := load(t, newRuntime(t, host.Options{Limits: host.Limits{Fuel: 50_000_000}}), "random.wasm", wasm)
	guest := module.NewGuest(0)
	defer guest.Close(context.Background())
	var fault *host.Fault
	if err := <-applying(t.Context(), guest); !errors.As(err, &fault) ||
		!strings.Contains(err.Error(), "units of fuel for a batch of 3 events") {
		t.Errorf("error is %v, must be a fault for want of fuel", err)
	}
	if fuel := guest.Usage().Fuel; fuel > 60_000_000 {
		t.Errorf("used %d units", fuel)
	}
}

// TestGuest_memoryKeepsItsOwnMaximum grows up to what the module itself says, although the engine knows no maximum.
func TestGuest_memoryKeepsItsOwnMaximum(t *testing.T) {
	t.Parallel()
	grow := func(by, want int32) []byte {
		return hosttest.Code(hosttest.I32Const(by), hosttest.MemoryGrow, hosttest.I32Const(want), hosttest.I32Ne,
			hosttest.If(hosttest.Unreachable))
	}
	g := &hosttest.Guest{Memory: hosttest.Limits{Min: 2, Max: 5, HasMax: true}}
	g.Apply = hosttest.Code(grow(4, -1), grow(32768, -1), grow(3, 2), grow(1, -1), grow(0, 5), g.GoodReply())
	module := load(t, newRuntime(t, host.Options{}), "grow.wasm", g.Wasm())
	guest := module.NewGuest(0)
	defer guest.Close(context.Background())
	if err := <-applying(t.Context(), guest); err != nil {
		t.Error(err)
	}
}

// TestGuest_aFreshInstanceHasEmptyMemory writes to all of its memory, and must not find it again in the next instance.
func TestGuest_aFreshInstanceHasEmptyMemory(t *testing.T) {
	t.Parallel()
	const at, more = 60_000, 2 << 16
	g := &hosttest.Guest{Memory: hosttest.Limits{Min: 1}}
	g.Apply = hosttest.Code(
		hosttest.I32Const(4), hosttest.MemoryGrow, hosttest.Drop,
		hosttest.I32Const(at), hosttest.I32Load(0), hosttest.If(hosttest.Unreachable),
		hosttest.I32Const(at), hosttest.I32Load(more), hosttest.If(hosttest.Unreachable),
		hosttest.I32Const(at), hosttest.I32Const(1), hosttest.I32Store(0),
		hosttest.I32Const(at), hosttest.I32Const(1), hosttest.I32Store(more),
		g.GoodReply(),
	)
	guest := load(t, newRuntime(t, host.Options{}), "fresh.wasm", g.Wasm()).NewGuest(0)
	defer guest.Close(context.Background())
	for range 3 {
		if err := <-applying(t.Context(), guest); err != nil {
			t.Fatal(err)
		}
		// as it closes itself where instances start fast, which they may not on a machine that is busy
		guest.Close(t.Context())
	}
}

// TestGuest_fuelIsAboutTheSameForBothCompilers has the same projection built by Go and TinyGo. Go's code
// takes about three times as long, and so it must take about three times the fuel, not thirteen: it comes in
// many small pieces, of which few run.
func TestGuest_fuelIsAboutTheSameForBothCompilers(t *testing.T) {
	t.Parallel()
	engine := newRuntime(t, host.Options{CacheDir: compiled})
	taken := func(compiler guestbuild.Compiler) int64 {
		guest := load(t, engine, "fine_balance.wasm", guestbuild.Example(t, compiler, "fine_balance")).NewGuest(0)
		defer guest.Close(context.Background())
		if _, err := guest.Apply(t.Context(), fineEvents(1, 1000), nil); err != nil {
			t.Fatal(err)
		}
		return guest.Usage().Fuel
	}
	if tiny, native := taken(guestbuild.TinyGo), taken(guestbuild.Go); native > 6*tiny {
		t.Errorf("Go's module takes %d units, TinyGo's %d", native, tiny)
	}
}
