package aggregate_test

import (
	"testing"

	"github.com/pupwasm/pupwasm/aggregate"
)

// BenchmarkLoad loads a stream of 10,000 events by its snapshot, with 25 events behind it, and as a whole.
func BenchmarkLoad(b *testing.B) {
	const events = 10_000
	for name, create := range kinds {
		d := create(b)
		repository := ledgers(b, d.db, 0)
		root, err := repository.Load(b.Context(), "a")
		must(b, err)
		must(b, repository.Save(b.Context(), root, booked(events-25)...))
		must(b, repository.Save(b.Context(), root, booked(25)...))
		for way, with := range map[string]*aggregate.Repository[ledger]{
			"snapshot": repository, "whole": ledgers(b, d.db, -1),
		} {
			b.Run(name+"/"+way, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if loaded, err := with.Load(b.Context(), "a"); err != nil || loaded.Version() != events {
						b.Fatal(loaded, err)
					}
				}
			})
		}
	}
}
