package relay

import (
	"slices"
	"sync"
)

// slots bounds how many messages are on their way to one sink. The projections that send to it share them: one whose
// messages take long, or hang, leaves some to each of the others.
type slots struct {
	total int

	mu      sync.Mutex
	used    int
	users   []*slotUser // that send
	waiting []*slotUser // for a slot, longest first
}

// slotUser is a projection that sends to the sink.
type slotUser struct {
	of   *slots
	busy int           // how many slots it has
	free chan struct{} // a sign that it may try again
}

func newSlots(total int) *slots { return &slots{total: max(total, 1)} }

// user makes one that does not send yet.
func (s *slots) user() *slotUser { return &slotUser{of: s, free: make(chan struct{}, 1)} }

// join says that the projection sends, unless it has.
func (u *slotUser) join() {
	u.of.mu.Lock()
	defer u.of.mu.Unlock()
	if !slices.Contains(u.of.users, u) {
		u.of.users = append(u.of.users, u)
	}
}

// leave says that it does not send any more. What it has it gives back later.
func (u *slotUser) leave() {
	u.of.mu.Lock()
	defer u.of.mu.Unlock()
	remove(&u.of.users, u)
	remove(&u.of.waiting, u)
	u.of.tell()
}

// take takes a slot. When it reports false, there is a sign on free as soon as it is worth another try.
func (u *slotUser) take() bool {
	s := u.of
	s.mu.Lock()
	defer s.mu.Unlock()
	free := s.total - s.used
	if free <= s.before(u) || u.busy > 0 && free <= s.reserve(u) {
		if !slices.Contains(s.waiting, u) {
			s.waiting = append(s.waiting, u)
		}
		return false
	}
	remove(&s.waiting, u)
	s.used++
	u.busy++
	return true
}

// pass says that it has nothing to send at present.
func (u *slotUser) pass() {
	u.of.mu.Lock()
	defer u.of.mu.Unlock()
	if remove(&u.of.waiting, u) {
		u.of.tell()
	}
}

// give gives a slot back.
func (u *slotUser) give() {
	u.of.mu.Lock()
	defer u.of.mu.Unlock()
	u.of.used--
	u.busy--
	u.of.tell()
}

// before is how many wait for their only slot longer than one does, or at all if that one does not wait. The lock is held.
func (s *slots) before(u *slotUser) (n int) {
	for _, other := range s.waiting {
		if other == u {
			break
		}
		if other.busy == 0 {
			n++
		}
	}
	return n
}

// reserve is how many slots are left to others that have none: one each, up to half of all. The lock is held.
func (s *slots) reserve(u *slotUser) (n int) {
	for _, other := range s.users {
		if other != u && other.busy == 0 {
			n++
		}
	}
	return min(n, s.total/2)
}

// tell has all that wait try again. The lock is held.
func (s *slots) tell() {
	for _, u := range s.waiting {
		signal(u.free)
	}
}

// remove reports whether an element was there.
func remove(from *[]*slotUser, u *slotUser) bool {
	at := slices.Index(*from, u)
	if at < 0 {
		return false
	}
	*from = slices.Delete(*from, at, at+1)
	return true
}

// signal leaves a sign in a channel that holds one.
func signal(to chan<- struct{}) {
	select {
	case to <- struct{}{}:
	default:
	}
}
