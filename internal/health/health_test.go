package health

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
)

// TestReasons lets time pass after something goes wrong: a moment later the host is ready still, and 12 seconds later it
// is not, and says why.
func TestReasons(t *testing.T) {
	t.Parallel()
	at := func(head, position int64) store.Horizon {
		return store.Horizon{Head: head, Position: position, Holder: 17}
	}
	polled := func(m *Monitor, head int64) { m.Observer().Polled(segments.ObservedPoll{Head: head}) }
	hears := func(m *Monitor, err error) { m.Observer().Listening(segments.ObservedListening{Err: err}) }
	for _, c := range []struct {
		name  string
		wrong func(m *Monitor, now time.Time)
		want  string // "" for nothing
		right func(m *Monitor, now time.Time)
	}{
		{"all is well", func(*Monitor, time.Time) {}, "", nil},
		{
			"a frozen poll", func(m *Monitor, now time.Time) { m.note(at(12, 12), nil, now) },
			"the log has had position 12 for 12s, and the host has polled it up to 10",
			func(m *Monitor, _ time.Time) { polled(m, 12) },
		},
		{
			"a poll that is behind and goes on", func(m *Monitor, now time.Time) {
				m.note(at(12, 12), nil, now)
				polled(m, 13)
				m.note(at(14, 14), nil, now.Add(8*time.Second))
			}, "", nil,
		},
		{
			"a held horizon", func(m *Monitor, now time.Time) { m.note(at(10, 9), nil, now) },
			"the horizon has been held back at position 9 for 12s by process 17 of the database",
			func(m *Monitor, now time.Time) { m.note(at(10, 10), nil, now) },
		},
		{
			"a horizon that is behind and moves", func(m *Monitor, now time.Time) {
				m.note(at(10, 8), nil, now)
				m.note(at(10, 9), nil, now.Add(8*time.Second))
			}, "", nil,
		},
		{
			"a dead listener", func(m *Monitor, _ time.Time) { hears(m, nil); hears(m, errors.New("cut")) },
			"notifications of appends have not arrived for 12s: cut",
			func(m *Monitor, _ time.Time) { hears(m, nil) },
		},
		{
			"a failover that takes the head back", func(m *Monitor, now time.Time) {
				m.note(at(12, 12), nil, now)
				m.note(at(9, 9), nil, now.Add(time.Second))
			}, "", nil,
		},
		{
			"tables that take no writes", func(m *Monitor, _ time.Time) {
				m.Observer().Away(segments.ObservedOutage{Database: "database of the tables", Err: errors.New("read-only")})
			},
			"the database of the tables has not served the host for 12s: read-only",
			func(m *Monitor, _ time.Time) {
				m.Observer().Back(segments.ObservedOutage{Database: "database of the tables"})
			},
		},
		{"notifications that never arrived", func(m *Monitor, _ time.Time) { hears(m, errors.New("swallowed")) }, "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := New(nil, time.Hour)
			polled(m, 10)
			now := clock.Now()
			m.note(at(10, 10), nil, now)
			c.wrong(m, now)
			last := m.held // the database goes on answering the same
			if reasons := m.reasons(now.Add(2*time.Second), true); len(reasons) != 0 {
				t.Errorf("a moment later: %q", reasons)
			}
			m.read = now.Add(12 * time.Second)
			reasons := m.reasons(now.Add(12*time.Second), true)
			if c.want == "" && len(reasons) != 0 || c.want != "" && !slices.Equal(reasons, []string{c.want}) {
				t.Errorf("the host is not ready since %q, want %q", reasons, c.want)
			}
			if c.right == nil {
				return
			}
			m.held = last
			c.right(m, now.Add(12*time.Second))
			if reasons := m.reasons(now.Add(12*time.Second), true); len(reasons) != 0 {
				t.Errorf("when it is right again: %q", reasons)
			}
		})
	}
}

// TestReasons_atTheEnds has a host that has not begun, one that has not polled for long, a database that does not answer,
// and a host that stops.
func TestReasons_atTheEnds(t *testing.T) {
	t.Parallel()
	m := New(nil, segments.Defaults().PollMax)
	now := clock.Now()
	want := func(later time.Duration, text string) {
		t.Helper()
		if got := strings.Join(m.reasons(now.Add(later), true), "; "); got != text {
			t.Errorf("the reasons are %q, want %q", got, text)
		}
	}
	want(0, "the host has not begun to work")
	m.Observer().Polled(segments.ObservedPoll{Err: errors.New("no")})
	want(0, "the host has not begun to work")
	m.Observer().Polled(segments.ObservedPoll{})
	want(0, "")
	m.note(store.Horizon{}, nil, now.Add(12*time.Second))
	want(12*time.Second, "the host has not polled the log for 12s")
	m.note(store.Horizon{}, errors.New("refused"), now)
	want(0, "the database of the log does not answer: refused")
	if reasons := m.reasons(now, false); !slices.Equal(reasons, []string{"the database of the log does not answer"}) {
		t.Errorf("without details the reasons are %q", reasons)
	}
	m.Stop()
	want(0, "the host stops; the database of the log does not answer: refused")
}
