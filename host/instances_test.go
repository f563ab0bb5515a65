package host_test

import (
	"context"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/host/hosttest"
	"github.com/pupwasm/pupwasm/internal/guestbuild"
)

const leakBytes = 64 << 10

// leaking takes a page more with every batch, and traps when there is none.
func leaking() []byte {
	g := &hosttest.Guest{}
	g.Apply = hosttest.Code(
		hosttest.I32Const(1), hosttest.MemoryGrow, hosttest.I32Const(-1), hosttest.I32Eq,
		hosttest.If(hosttest.Unreachable),
		g.GoodReply(),
	)
	return g.Wasm()
}

// memoryOf is the guest's memory after each of some batches, none of which fails.
func memoryOf(t *testing.T, policy host.Instances, batches int) (sizes []int) {
	t.Helper()
	engine := newRuntime(t, host.Options{Instances: policy, Limits: host.Limits{MemoryMiB: 1}})
	guest := load(t, engine, "leaking.wasm", leaking()).NewGuest(0)
	defer guest.Close(context.Background())
	for range batches {
		if err := <-applying(t.Context(), guest); err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, guest.Usage().MemoryBytes)
	}
	return sizes
}

func TestInstancesFresh_everyBatchStartsFresh(t *testing.T) {
	t.Parallel()
	sizes := memoryOf(t, host.InstancesFresh, 50)
	for i, size := range sizes {
		if size != sizes[0] {
			t.Fatalf("batch %d ended with %d bytes, the first with %d", i+1, size, sizes[0])
		}
	}
}

// TestInstancesReuse_aLeakEndsAtTheMark runs more batches than fit into the memory of a guest that frees nothing.
func TestInstancesReuse_aLeakEndsAtTheMark(t *testing.T) {
	t.Parallel()
	const mark = 1 << 20 / 2
	restarts := 0
	sizes := memoryOf(t, host.InstancesReuse, 50)
	for i, size := range sizes {
		switch {
		case i == 0:
		case size == sizes[0]:
			restarts++
			if last := sizes[i-1]; last <= mark {
				t.Errorf("an instance was replaced at %d bytes", last)
			}
		case size != sizes[i-1]+leakBytes:
			t.Errorf("batch %d ended with %d bytes after %d: the instance is another", i+1, size, sizes[i-1])
		}
		if size > mark+leakBytes {
			t.Errorf("batch %d ended with %d bytes, beyond the mark", i+1, size)
		}
	}
	if restarts == 0 {
		t.Error("no instance was replaced")
	}
}

// TestInstancesReuse_whatEarlierBatchesLeftIsNoFault has a guest that refuses to work twice.
func TestInstancesReuse_whatEarlierBatchesLeftIsNoFault(t *testing.T) {
	t.Parallel()
	const scratch = 0
	g := &hosttest.Guest{}
	g.Apply = hosttest.Code(
		hosttest.I32Const(scratch), hosttest.I32Load(0), hosttest.If(hosttest.Unreachable),
		hosttest.I32Const(scratch), hosttest.I32Const(1), hosttest.I32Store(0),
		g.GoodReply(),
	)
	guest := load(t, newRuntime(t, host.Options{Instances: host.InstancesReuse}), "once.wasm", g.Wasm()).NewGuest(0)
	defer guest.Close(context.Background())
	for range 3 {
		if err := <-applying(t.Context(), guest); err != nil {
			t.Fatal(err)
		}
	}
}

func TestInstancesAuto_goesByTheStartUp(t *testing.T) {
	t.Parallel()
	engine := newRuntime(t, host.Options{})
	fast := load(t, engine, "leaking.wasm", leaking())
	slow := load(t, engine, "fine_balance.wasm", guestbuild.Example(t, guestbuild.Go, "fine_balance"))
	for _, module := range []*host.Module{fast, slow} {
		if want := module.StartUp.Microseconds() >= 500; module.Reuses() != want {
			t.Errorf("%s starts in %s, reused: %t", module.File, module.StartUp, module.Reuses())
		}
	}
}

func TestNewRuntime_refusesAnUnknownPolicy(t *testing.T) {
	t.Parallel()
	_, err := host.NewRuntime(t.Context(), host.Options{Instances: "some"})
	if err == nil || !strings.Contains(err.Error(), `must be auto, fresh or reuse, it is "some"`) {
		t.Errorf("error is %v", err)
	}
}
