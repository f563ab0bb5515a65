package relay

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

// TestFailure_undelivered says when a message is tried again.
func TestFailure_undelivered(t *testing.T) {
	t.Parallel()
	options := Options{}.withDefaults()
	lost := errors.New("the connection is lost")
	for _, c := range []struct {
		name        string
		err         error
		attempts    int // before
		least, most time.Duration
	}{
		{"first", lost, 0, 500 * time.Millisecond, time.Second},
		{"third", lost, 2, 2 * time.Second, 4 * time.Second},
		{"late", lost, 6, 30 * time.Second, time.Minute},
		{"after ever so many", lost, 1 << 30, 30 * time.Second, time.Minute},
		{"refused", &RefusedError{Err: lost}, 0, 500 * time.Millisecond, time.Second},
		{"refused within", fmt.Errorf("here: %w", &RefusedError{Err: lost}), 3, 4 * time.Second, 8 * time.Second},
		{"refused for good", &RefusedError{Err: lost}, 4, -1, -1},
		{"refused after others", &RefusedError{Err: lost}, 50, -1, -1},
		{"later", &LaterError{After: 5 * time.Second, Err: lost}, 9, 5 * time.Second, 5 * time.Second},
		{"much later", &LaterError{After: 1000 * time.Hour, Err: lost}, 0, time.Hour, time.Hour},
		{"at once", &LaterError{After: time.Nanosecond, Err: lost}, 0, time.Second, time.Second},
		{"whenever", &LaterError{Err: lost}, 2, 2 * time.Second, 4 * time.Second},
		{"before", &LaterError{After: -time.Hour, Err: lost}, 2, 2 * time.Second, 4 * time.Second},
	} {
		f := failureOf(c.err)
		m := &store.OutboxMessage{Message: store.Message{Key: []byte("k")}, Attempts: c.attempts}
		for range 100 {
			u := f.undelivered(m, &options)
			if u.RetryAfter < c.least || u.RetryAfter > c.most {
				t.Fatalf("%s: after %s, want %s to %s", c.name, u.RetryAfter, c.least, c.most)
			}
			if u.Error != c.err.Error() || string(u.Key) != "k" {
				t.Fatalf("%s: %+v", c.name, u)
			}
		}
	}
}

// TestFailure_storable makes one line of any text, which every database takes.
func TestFailure_storable(t *testing.T) {
	t.Parallel()
	if got := storable(errors.New("one\r\n two\x00\x1b[2J \xff")); got != "one two [2J \uFFFD" {
		t.Errorf("it is %q", got)
	}
	long := storable(errors.New(strings.Repeat("é", 5000)))
	if len(long) > errorBytesMax+len("…") || !strings.HasSuffix(long, "é…") {
		t.Errorf("a long one has %d bytes and ends with %q", len(long), long[len(long)-10:])
	}
}

// TestBreaker opens when many fresh keys fail in a row, and closes at the first message that arrives.
func TestBreaker(t *testing.T) {
	t.Parallel()
	b := newBreaker(time.Second, time.Minute)
	now := time.Now()
	for range 1000 { // keys that have failed before are no outage
		if b.failed(true, 0, now) || !b.allows(100, 8, now) {
			t.Fatal("keys that fail again open it")
		}
	}
	for range breakerKeys - 1 {
		b.failed(false, 0, now)
	}
	b.reached(now)
	for i := range breakerKeys {
		if opened := b.failed(false, 0, now); opened != (i == breakerKeys-1) {
			t.Fatalf("after %d keys: %t", i+1, opened)
		}
	}
	if b.allows(0, 8, now) {
		t.Error("the first probe comes at once")
	}
	if now = now.Add(probeMin); !b.allows(3, 8, now) || b.allows(4, 8, now) {
		t.Error("probes take more than half of the slots")
	}
	for n := range 3 * probeTurn {
		retry := b.turns()
		if b.begins(retry, now); b.allows(0, 8, now) || retry != (n%probeTurn == probeTurn-1) {
			t.Errorf("the next probe comes at once, or number %d is not of the kind whose turn it is: %t", n, retry)
		}
	}
	now = now.Add(time.Second)
	if b.failed(false, time.Hour, now) || b.allows(0, 8, now.Add(4*time.Second)) || !b.allows(0, 8, now.Add(probeMax)) {
		t.Errorf("the time that one key asks for is not bounded: %+v", b)
	}
	now = now.Add(time.Hour)
	if b.begins(false, now); b.allows(0, 8, now.Add(probeMax-1)) || !b.allows(0, 8, now.Add(probeMax)) {
		t.Errorf("probes are not %s apart: %+v", probeMax, b)
	}
	away, closed := b.reached(now)
	if !closed || away != time.Hour+time.Second+probeMin || !b.allows(100, 8, now) {
		t.Errorf("it was away %s: %+v", away, b)
	}
	if _, again := b.reached(now); again {
		t.Error("it closes twice")
	}
}

// TestBreaker_sharesSlots leaves half of them, or of the probes, to fresh keys.
func TestBreaker_sharesSlots(t *testing.T) {
	t.Parallel()
	b := newBreaker(time.Second, time.Minute)
	for _, c := range []struct{ total, closed, open int }{{1, 1, 1}, {2, 1, 1}, {8, 4, 2}, {17, 8, 4}} {
		for _, open := range []bool{false, true} {
			most := c.closed
			if b.open = open; open {
				most = c.open
			}
			if !b.allowsRetry(most-1, c.total) || b.allowsRetry(most, c.total) {
				t.Errorf("of %d slots, open %t, keys that have failed do not have %d", c.total, open, most)
			}
		}
	}
}
