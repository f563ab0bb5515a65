package host_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/guestbuild"
	"github.com/pupwasm/pupwasm/store"
)

const benchEvents = 1000

// perEvent reports a time over all batches by the event.
func perEvent(b *testing.B, took time.Duration, events int, unit string) {
	b.ReportMetric(float64(took.Nanoseconds())/float64(b.N)/float64(events), unit)
}

// BenchmarkGuest_Apply is a batch of fines from events to decoded mutations: encode, copy in, guest, copy
// out, decode. Instances are used both ways, whatever the default is; in-guest-ns/event is the part that the
// guest itself takes. Large batches are more than the memory holds that a guest begins with.
func BenchmarkGuest_Apply(b *testing.B) {
	for _, compiler := range []guestbuild.Compiler{guestbuild.TinyGo, guestbuild.Go} {
		for _, policy := range []host.Instances{host.InstancesFresh, host.InstancesReuse} {
			for _, size := range []int{benchEvents, 5 * benchEvents, 20 * benchEvents} {
				b.Run(fmt.Sprintf("%s/%s/%d", compiler, policy, size),
					func(b *testing.B) { benchmarkApply(b, compiler, policy, size) })
			}
		}
	}
}

func benchmarkApply(b *testing.B, compiler guestbuild.Compiler, policy host.Instances, size int) {
	engine := newRuntime(b, host.Options{Instances: policy})
	module := load(b, engine, "fine_balance.wasm", guestbuild.Example(b, compiler, "fine_balance"))
	guest := module.NewGuest(0)
	defer guest.Close(b.Context())
	events := fineEvents(1, size)
	inGuest := time.Duration(0)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := guest.Apply(b.Context(), events, nil); err != nil {
			b.Fatal(err)
		}
		inGuest += guest.Usage().Time
	}
	perEvent(b, b.Elapsed(), size, "ns/event")
	perEvent(b, inGuest, size, "in-guest-ns/event")
	b.ReportMetric(float64(guest.Usage().MemoryBytes), "instance-B")
}

// BenchmarkFolder_Fold turns the mutations of 1,000 fines, 40 of them distinct, into steps.
func BenchmarkFolder_Fold(b *testing.B) {
	engine := newRuntime(b, host.Options{})
	module := load(b, engine, "fine_balance.wasm", guestbuild.Example(b, guestbuild.Auto, "fine_balance"))
	guest := module.NewGuest(0)
	defer guest.Close(b.Context())
	mutations, err := guest.Apply(b.Context(), fineEvents(1, benchEvents), nil)
	if err != nil {
		b.Fatal(err)
	}
	folder := store.NewFolder(&module.Description.Projection)
	b.ReportAllocs()
	for b.Loop() {
		folder.Fold(mutations)
	}
	perEvent(b, b.Elapsed(), benchEvents, "ns/event")
}

// BenchmarkRuntime_Load is the start of a module without a compilation cache.
func BenchmarkRuntime_Load(b *testing.B) {
	for _, compiler := range []guestbuild.Compiler{guestbuild.TinyGo, guestbuild.Go} {
		b.Run(string(compiler), func(b *testing.B) {
			engine := newRuntime(b, host.Options{})
			wasm := guestbuild.Example(b, compiler, "fine_balance")
			for b.Loop() {
				load(b, engine, "fine_balance.wasm", wasm).Close(b.Context())
			}
		})
	}
}

// BenchmarkCollector_besideALoop is a collection of the host's garbage while a guest loops: the mean, and the longest.
func BenchmarkCollector_besideALoop(b *testing.B) {
	engine := newRuntime(b, host.Options{Limits: host.Limits{Fuel: endless, BatchTimeout: time.Hour}})
	guest := load(b, engine, "loop.wasm", looping()).NewGuest(0)
	defer guest.Close(context.Background())
	ctx, cancel := context.WithCancel(b.Context())
	done := applying(ctx, guest)
	longest := time.Duration(0)
	for b.Loop() {
		started := time.Now()
		runtime.GC()
		longest = max(longest, time.Since(started))
	}
	cancel()
	<-done
	b.ReportMetric(float64(longest.Microseconds())/1000, "longest-ms")
}
