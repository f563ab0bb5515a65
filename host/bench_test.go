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

// perEvent reports a benchmark over batches by the event.
func perEvent(b *testing.B) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchEvents, "ns/event")
}

// BenchmarkGuest_Apply is a batch of 1,000 fines from events to decoded mutations: encode, copy in, guest, copy out, decode. Instances
// are used both ways, whatever the default is; in-guest-ns/event is the part that the guest itself takes.
func BenchmarkGuest_Apply(b *testing.B) {
	for _, compiler := range []guestbuild.Compiler{guestbuild.TinyGo, guestbuild.Go} {
		for _, policy := range []host.Instances{host.InstancesFresh, host.InstancesReuse} {
			b.Run(fmt.Sprintf("%s/%s", compiler, policy), func(b *testing.B) {
				engine := newRuntime(b, host.Options{Instances: policy})
				module := load(b, engine, "fine_balance.wasm", guestbuild.Example(b, compiler, "fine_balance"))
				guest := module.NewGuest(0)
				defer guest.Close(b.Context())
				events := fineEvents(1, benchEvents)
				inGuest := time.Duration(0)
				b.ReportAllocs()
				for b.Loop() {
					if _, err := guest.Apply(b.Context(), events, nil); err != nil {
						b.Fatal(err)
					}
					inGuest += guest.Usage().Time
				}
				perEvent(b)
				b.ReportMetric(float64(inGuest.Nanoseconds())/float64(b.N)/benchEvents, "in-guest-ns/event")
			})
		}
	}
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
	perEvent(b)
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
