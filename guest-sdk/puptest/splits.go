package puptest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// CheckSplits applies the events as one batch, one by one, and in many other divisions, and fails the test when
// the tables do not hold the same rows after each, or other messages were sent. A host promises nothing about where batches begin, so every
// projection must pass. SQL statements do not run, so this does not test them.
func CheckSplits(t testing.TB, events ...Event) {
	t.Helper()
	whole := New(t)
	whole.Apply(events...)
	for _, size := range []int{1, 2, 3, 7, 50} {
		p := New(t)
		p.texts = plainStrings
		p.ApplyEach(size, events...)
		compareRuns(t, fmt.Sprintf("batches of %d", size), p, whole)
	}
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 0))
		p := New(t)
		p.texts = encoding(seed % 2)
		var cuts []int
		for at := 0; at < len(events); {
			size := min(1+random.IntN(1+len(events)/2), len(events)-at)
			p.Apply(events[at : at+size]...)
			at += size
			cuts = append(cuts, size)
		}
		compareRuns(t, fmt.Sprintf("batches of sizes %v", cuts), p, whole)
	}
}

func compareRuns(t testing.TB, name string, got, want *Projection) {
	t.Helper()
	for i := range want.description.Tables {
		table := want.description.Tables[i].Name
		if g, w := got.Rows(table), want.Rows(table); !slices.Equal(g, w) {
			t.Fatalf("%s give other rows of %s\n\t%s\nthan one batch\n\t%s", name, table,
				strings.Join(g, "\n\t"), strings.Join(w, "\n\t"))
		}
	}
	if difference := sentDifference(got.sent, want.sent, "with one batch"); difference != "" {
		t.Fatalf("%s: %s", name, difference)
	}
}
