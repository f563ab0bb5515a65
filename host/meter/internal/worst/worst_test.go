package worst_test

import (
	"context"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/host/meter/internal/worst"
)

// corpus returns the programs that are known and those that were found, by name.
func corpus(t testing.TB) map[string]*worst.Program {
	t.Helper()
	all := map[string]*worst.Program{}
	for _, folder := range []string{"known", "found"} {
		programs, err := worst.ReadCorpus(filepath.Join("corpus", folder))
		if err != nil {
			t.Fatal(err)
		}
		for name, p := range programs {
			all[folder+"/"+name] = p
		}
	}
	if len(all) == 0 {
		t.Fatal("the corpus is empty")
	}
	return all
}

func newEngine(t testing.TB) *worst.Engine {
	t.Helper()
	engine, err := worst.NewEngine(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Close(context.Background()) })
	return engine
}

// TestCorpus_isCharged has every program of the corpus take at least the fuel that is noted.
func TestCorpus_isCharged(t *testing.T) {
	t.Parallel()
	engine := newEngine(t)
	for name, p := range corpus(t) {
		fuel, err := engine.RoundFuel(t.Context(), p, 1<<40)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if p.RoundFuel == 0 || fuel < p.RoundFuel {
			t.Errorf("%s: a round takes %d units, it took %d: the pass charges less; if that is meant, 'make worst WORST_TIME=0s' notes it",
				name, fuel, p.RoundFuel)
		}
	}
}

// TestRandom_makesProgramsThatRun tries programs at random and with changes, of which the search could stop at none.
func TestRandom_makesProgramsThatRun(t *testing.T) {
	t.Parallel()
	engine := newEngine(t)
	random := rand.New(rand.NewPCG(1, 2))
	p := worst.Random(random)
	for range 40 {
		if random.IntN(4) == 0 {
			p = worst.Random(random)
		}
		next := worst.Mutate(random, p)
		if err := next.Validate(); err != nil || len(next.Build()) > 100_000 {
			continue
		}
		p = next
		if _, err := engine.Measure(t.Context(), p, 100_000, time.Minute); err != nil {
			t.Fatalf("%v in\n%s", err, p.Text())
		}
		for _, smaller := range p.Shrink() {
			if err := smaller.Validate(); err != nil {
				t.Fatalf("%v in\n%s", err, smaller.Text())
			}
		}
	}
}

// BenchmarkWorst shows what a unit of fuel takes at most, in the worst programs that are known.
func BenchmarkWorst(b *testing.B) {
	programs := corpus(b)
	engine := newEngine(b)
	for _, name := range slices.Sorted(maps.Keys(programs)) {
		b.Run(name, func(b *testing.B) {
			result := worst.Result{}
			for b.Loop() {
				var err error
				if result, err = engine.Measure(b.Context(), programs[name], 20_000_000, 4*time.Second); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(result.NanosUnit(), "ns/unit")
			b.ReportMetric(float64(result.Longest.Microseconds())/1000, "ms/slice")
		})
	}
}
