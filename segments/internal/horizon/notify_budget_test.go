package horizon

import (
	"testing"
	"time"
)

func TestNotifyBudget_isToldFromSingleEvents(t *testing.T) {
	t.Parallel()
	for _, of := range []struct {
		name      string
		every     time.Duration
		contended bool
	}{
		{"100 a second", 10 * time.Millisecond, false},
		{"1,000 a second", time.Millisecond, true},
	} {
		t.Run(of.name, func(t *testing.T) {
			t.Parallel()
			at := time.Unix(0, 0)
			c := notifyBudget{at: at}
			there := false
			for i := range 1000 {
				at = at.Add(of.every)
				there = there || c.contended(at, int64(i+1))
			}
			if there != of.contended {
				t.Errorf("contention is seen: %v", there)
			}
		})
	}
}

func TestNotifyBudget_isNotOneBurst(t *testing.T) {
	t.Parallel()
	at := time.Unix(0, 0)
	c := notifyBudget{at: at}
	for i := range 100 {
		if c.contended(at, int64((i+1)*15)) {
			t.Fatal("15 events in one instant are taken for contention")
		}
		at = at.Add(100 * time.Millisecond)
	}
}
