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
		held      func(i int) bool
		contended bool
	}{
		{"100 a second", 10 * time.Millisecond, func(int) bool { return false }, false},
		{"100 a second, some of which meet", 10 * time.Millisecond, func(i int) bool { return i%3 != 0 }, false},
		{"1,000 a second", time.Millisecond, func(int) bool { return false }, true},
		{"20 a second that wait for each other", 50 * time.Millisecond, func(int) bool { return true }, true},
	} {
		t.Run(of.name, func(t *testing.T) {
			t.Parallel()
			at := time.Unix(0, 0)
			c := notifyBudget{at: at}
			there := false
			for i := range 1000 {
				at = at.Add(of.every)
				there = there || c.contended(poll{at: at, held: of.held(i)}, int64(i+1))
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
		if c.contended(poll{at: at}, int64((i+1)*15)) {
			t.Fatal("15 events in one instant are taken for contention")
		}
		at = at.Add(100 * time.Millisecond)
	}
}
