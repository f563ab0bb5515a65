package pace_test

import (
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/pace"
)

// TestMark_atFixedRates has a replay go at a rate by its own clock: the estimate is within a second of what it takes,
// from every pair of marks.
func TestMark_atFixedRates(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, rate := range []int64{1, 7, 1000, 150_000} {
		total := rate * 600
		at := func(second int64) pace.Mark {
			return pace.Mark{At: began.Add(time.Duration(second) * time.Second), Behind: total - rate*second, Events: rate * second}
		}
		for now := int64(1); now <= 600; now++ {
			for _, span := range []int64{1, 5, 10} {
				if span > now {
					continue
				}
				left, known := at(now).Left(at(now - span))
				takes := time.Duration(600-now) * time.Second
				if !known || left < takes || left > takes+time.Second {
					t.Fatalf("%d events/s after %d s: %s left (%t), it takes %s", rate, now, left, known, takes)
				}
				if got := at(now).Rate(at(now - span)); got != float64(rate) {
					t.Fatalf("the rate is %v, want %d", got, rate)
				}
			}
		}
	}
}

func TestMark_withoutAnEstimate(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	before := pace.Mark{At: began, Behind: 100, Events: 50}
	for name, now := range map[string]pace.Mark{
		"no progress":  {At: began.Add(time.Minute), Behind: 100, Events: 50},
		"falls behind": {At: began.Add(time.Minute), Behind: 110, Events: 60},
		"too soon":     {At: began.Add(999 * time.Millisecond), Behind: 10, Events: 140},
		"the same":     before,
	} {
		if left, known := now.Left(before); known {
			t.Errorf("%s: %s left", name, left)
		}
	}
	crawling := pace.Mark{At: began.Add(1000 * time.Hour), Behind: 1 << 62, Events: 51}
	if left, known := crawling.Left(pace.Mark{At: began, Behind: 1<<62 + 1}); !known || left <= 0 {
		t.Errorf("an estimate that is too long: %s (%t)", left, known)
	}
}
