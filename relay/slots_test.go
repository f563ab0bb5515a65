package relay

import (
	"testing"

	"pgregory.net/rapid"
)

// TestSlots_shareASink has projections take and give slots in any order. They never have more than there are, one with
// none is not kept waiting by one that has some when there are enough for both, and whoever waits is told of a free one.
func TestSlots_shareASink(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := newSlots(rapid.IntRange(0, 6).Draw(t, "total"))
		users := make([]*slotUser, rapid.IntRange(1, 4).Draw(t, "users"))
		for i := range users {
			users[i] = s.user()
			users[i].join()
		}
		wants := map[*slotUser]bool{}
		pick := func(t *rapid.T) *slotUser { return rapid.SampledFrom(users).Draw(t, "user") }
		t.Repeat(map[string]func(*rapid.T){
			"take": func(t *rapid.T) {
				u := pick(t)
				wants[u] = !u.take()
			},
			"told": func(t *rapid.T) {
				u := pick(t)
				select {
				case <-u.free:
					wants[u] = !u.take()
				default:
					t.Skip("it is not told")
				}
			},
			"give": func(t *rapid.T) {
				u := pick(t)
				if u.busy == 0 {
					t.Skip("it has none")
				}
				u.give()
			},
			"pass": func(t *rapid.T) {
				u := pick(t)
				u.pass()
				wants[u] = false
			},
			"": func(t *rapid.T) {
				used, told, without := 0, false, false
				for _, u := range users {
					used += u.busy
					told = told || wants[u] && len(u.free) > 0
					without = without || wants[u] && u.busy == 0
				}
				if used != s.used || used > s.total {
					t.Fatalf("%d of %d slots are used, %d are counted", used, s.total, s.used)
				}
				if without && used < s.total && !told {
					t.Fatalf("a slot is free, and nobody who waits for the first one is told: %d of %d", used, s.total)
				}
			},
		})
	})
}

// TestSlots_leaveSomeToOthers has a projection take all that it gets. What is left is for the others, and half of all at
// most.
func TestSlots_leaveSomeToOthers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ total, others, want int }{
		{8, 0, 8}, {8, 1, 7}, {8, 3, 5}, {8, 20, 4}, {1, 5, 1}, {2, 5, 1},
	} {
		s := newSlots(c.total)
		greedy := s.user()
		greedy.join()
		others := make([]*slotUser, c.others)
		for i := range others {
			others[i] = s.user()
			others[i].join()
		}
		got := 0
		for greedy.take() {
			got++
		}
		if got != c.want {
			t.Errorf("of %d slots with %d others it gets %d, want %d", c.total, c.others, got, c.want)
		}
		for i := range min(c.total-c.want, c.others) {
			if !others[i].take() {
				t.Errorf("of %d slots with %d others, number %d gets none", c.total, c.others, i)
			}
		}
	}
}

// TestSlots_takeTurns has two projections with one slot: it goes from one to the other.
func TestSlots_takeTurns(t *testing.T) {
	t.Parallel()
	s := newSlots(1)
	a, b := s.user(), s.user()
	a.join()
	b.join()
	if !a.take() || b.take() {
		t.Fatal("the first one does not have the slot")
	}
	for range 3 {
		a.give()
		if a.take() || !b.take() {
			t.Fatal("it is not the other's turn")
		}
		a, b = b, a
	}
}
