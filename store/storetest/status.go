package storetest

import (
	"errors"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

var statusCases = []testCase{
	{"nothing_is_installed", statusEmpty},
	{"projections_by_name_and_segments_in_order", statusAll},
	{"ping", statusPing},
}

func statusEmpty(f *fixture) {
	all, err := f.store.Status(f.ctx)
	f.must(err)
	if len(all) != 0 {
		f.Errorf("status is %+v", all)
	}
}

func statusAll(f *fixture) {
	for _, name := range []string{"zebra", "ant", "mole"} {
		_, err := f.store.Install(f.ctx, totals(name), 12)
		f.must(err)
	}
	r := f.runningOn(f.store, totals("mole"), worker)
	r.apply(mutate(totalsPut, store.Text("a"), store.I64(1)))
	all, err := f.store.Status(f.ctx)
	f.must(err)
	if len(all) != 3 || all[0].Name != "ant" || all[1].Name != "mole" || all[2].Name != "zebra" {
		f.Fatalf("status is %+v", all)
	}
	for _, projection := range all {
		for i, s := range projection.Segments {
			if s.Segment != i || s.Range != store.SplitRange(12)[i] || time.Since(s.UpdatedAt).Abs() > time.Minute {
				f.Errorf("%s: segment %d is %+v", projection.Name, i, s)
			}
			claimed := projection.Name == "mole" && i == 0
			if (s.Owner == worker) != claimed || s.Live != claimed || (s.Position == f.at(1)) != claimed ||
				(s.Epoch == r.claim.Epoch) != claimed {
				f.Errorf("%s: segment %d is %+v", projection.Name, i, s)
			}
		}
	}
}

func statusPing(f *fixture) {
	if err := f.store.Ping(f.ctx); err != nil {
		f.Errorf("a database that is set up: %v", err)
	}
	if errors.Is(f.store.Ping(f.ctx), store.ErrNotMigrated) {
		f.Error("the database is said to lack its tables")
	}
}
