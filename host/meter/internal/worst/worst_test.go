package worst_test

import (
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/host/meter/internal/worst"
)

const corpus = "corpus"

// BenchmarkWorst shows what a unit of fuel takes at most, in the worst programs that are known.
func BenchmarkWorst(b *testing.B) {
	programs, err := worst.ReadCorpus(corpus)
	if err != nil {
		b.Fatal(err)
	}
	engine, err := worst.NewEngine(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for name, program := range programs {
		b.Run(name, func(b *testing.B) {
			result := worst.Result{}
			for b.Loop() {
				if result, err = engine.Measure(b.Context(), program, 20_000_000, 4*time.Second); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(result.NanosUnit(), "ns/unit")
			b.ReportMetric(float64(result.Longest.Microseconds())/1000, "ms/slice")
		})
	}
}
