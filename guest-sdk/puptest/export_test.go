package puptest

import (
	"testing"

	"github.com/pupwasm/pupwasm/guest-sdk/internal/entry"
)

// CheckSegmentsUnchecked is CheckSegments for a projection whose declaration is not checked.
func CheckSegmentsUnchecked(t testing.TB, events ...Event) {
	t.Helper()
	checkSegments(t, func(t testing.TB) *Projection {
		d, err := parseDescription(entry.Describe())
		if err != nil {
			t.Fatal(err)
		}
		return newProjection(t, d)
	}, events)
}
