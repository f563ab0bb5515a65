package meter_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/host/meter"
	"github.com/pupwasm/pupwasm/internal/guestbuild"
)

// BenchmarkMetering shows what counting costs the guest: batches of 1,000 fines by turns through the module
// as it is and metered, in one run. ratio compares the fastest batches of both, which another load of the
// machine disturbs least.
func BenchmarkMetering(b *testing.B) {
	const events = 1000
	for _, name := range []string{"fine_balance", "user_counter", "activity_log"} {
		for _, compiler := range []guestbuild.Compiler{guestbuild.TinyGo, guestbuild.Go} {
			b.Run(name+"/"+string(compiler), func(b *testing.B) {
				engine := newEngine(b)
				wasm := guestbuild.Example(b, compiler, name)
				bare, err := startBare(engine, wasm)
				if err != nil {
					b.Fatal(err)
				}
				defer bare.close()
				metered, err := startMetered(engine, wasm, plentyOfFuel)
				if err != nil {
					b.Fatal(err)
				}
				defer metered.close()
				batch, err := bare.batch(fines(events))
				if err != nil {
					b.Fatal(err)
				}
				if _, err := metered.batch(nil); err != nil {
					b.Fatal(err)
				}
				timed := func(g *guest, fastest *time.Duration) []byte {
					started := time.Now()
					reply, err := g.apply(batch)
					if took := time.Since(started); *fastest == 0 || took < *fastest {
						*fastest = took
					}
					if err != nil {
						b.Fatal(err)
					}
					return reply
				}
				var fastest [2]time.Duration
				before := metered.fuelLeft()
				for b.Loop() {
					if !bytes.Equal(timed(bare, &fastest[0]), timed(metered, &fastest[1])) {
						b.Fatal("the replies differ")
					}
				}
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(float64(fastest[0].Nanoseconds())/events, "bare-ns/event")
				b.ReportMetric(float64(fastest[1].Nanoseconds())/events, "metered-ns/event")
				b.ReportMetric(float64(fastest[1])/float64(fastest[0]), "ratio")
				b.ReportMetric(float64(before-metered.fuelLeft())/float64(b.N)/events, "fuel/event")
			})
		}
	}
}

// BenchmarkInstrument is the pass itself, by the size of a module.
func BenchmarkInstrument(b *testing.B) {
	for _, compiler := range []guestbuild.Compiler{guestbuild.TinyGo, guestbuild.Go} {
		b.Run(string(compiler), func(b *testing.B) {
			wasm := guestbuild.Example(b, compiler, "fine_balance")
			b.SetBytes(int64(len(wasm)))
			grown := 0
			for b.Loop() {
				m, err := meter.Instrument(wasm)
				if err != nil {
					b.Fatal(err)
				}
				grown = len(m.Code)
			}
			b.ReportMetric(float64(grown)/float64(len(wasm)), "size-ratio")
		})
	}
}
