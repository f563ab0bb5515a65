// Package testwait waits in tests for what must happen.
package testwait

import (
	"testing"
	"time"
)

// Patience is how long tests wait for what does not happen, so that one that hangs is told by its name. Nothing that a
// test finds out depends on it. It is long because a host of the tests, with the race detector on, takes minutes to
// begin on two processors that eight others use.
const Patience = 10 * time.Minute

// Until polls until a condition holds.
func Until(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(Patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited %s in vain: %s", Patience, what)
		}
	}
}
