// Package health tells whether a host keeps up with its log, measured against what the database itself says and not
// against what the host believes.
package health

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
)

const (
	// interval is the time between two readings of the head.
	interval = 2 * time.Second
	// patience is how long a host may lag behind, a reading may take, notifications may be missing and an append may
	// hold the horizon back, before the host is not ready. With interval it is less than 15 seconds.
	patience = 10 * time.Second
	// readTimeout bounds a reading of the head.
	readTimeout = 5 * time.Second
)

// Monitor watches a host. It is safe for concurrent use.
type Monitor struct {
	log     store.Log
	pollMax time.Duration // the longest interval between two polls of the worker

	mu        sync.Mutex
	stopping  bool
	polled    time.Time // when the worker's latest poll succeeded; zero before the first
	polledTo  int64     // the head that it found
	read      time.Time // when the latest reading succeeded
	readError error     // of the latest reading
	behind    since     // the worker has not seen this head
	held      since     // the horizon is here, and there is more
	holder    string
	heard     bool  // notifications have arrived
	deaf      since // they do not
	deafError error
	away      map[string]outage // databases that do not answer the worker, by their names
}

// outage is a database that does not answer.
type outage struct {
	since time.Time
	err   error
}

// since is a value and when it was seen first; the zero time when there is none.
type since struct {
	value int64
	at    time.Time
}

// keep notes a value, and when it was not the one before also the time.
func (s *since) keep(value int64, now time.Time) {
	if s.at.IsZero() || s.value != value {
		*s = since{value, now}
	}
}

// long reports that the value has been there for longer than the host has patience.
func (s *since) long(now time.Time) bool { return !s.at.IsZero() && now.Sub(s.at) > patience }

// New makes a monitor of a worker that reads a log and polls it at least every pollMax.
func New(log store.Log, pollMax time.Duration) *Monitor {
	now := clock.Now()
	return &Monitor{log: log, pollMax: pollMax, read: now, away: map[string]outage{}}
}

// Observer tells the monitor what the worker does.
func (m *Monitor) Observer() *segments.Observer {
	return &segments.Observer{
		Polled: func(p segments.ObservedPoll) {
			if p.Err != nil {
				return
			}
			m.mu.Lock()
			defer m.mu.Unlock()
			m.polled, m.polledTo = clock.Now(), p.Head
			if m.polledTo >= m.behind.value {
				m.behind = since{}
			}
		},
		Listening: func(l segments.ObservedListening) {
			m.mu.Lock()
			defer m.mu.Unlock()
			if m.deafError = l.Err; l.Err == nil {
				m.heard, m.deaf = true, since{}
			} else {
				m.deaf.keep(1, clock.Now())
			}
		},
		Away: func(o segments.ObservedOutage) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.away[o.Database] = outage{clock.Now(), o.Err}
		},
		Back: func(o segments.ObservedOutage) {
			m.mu.Lock()
			defer m.mu.Unlock()
			delete(m.away, o.Database)
		},
	}
}

// Run reads the head until ctx ends.
func (m *Monitor) Run(ctx context.Context) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		m.Read(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// Read reads the head once.
func (m *Monitor) Read(ctx context.Context) {
	within, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	state, err := m.log.Locate(within)
	if ctx.Err() != nil {
		return
	}
	m.note(state.Horizon, err, clock.Now())
}

func (m *Monitor) note(h store.Horizon, err error, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.readError = err; err != nil {
		return
	}
	m.read = now
	if h.Position < h.Head {
		m.held.keep(h.Position, now)
	} else {
		m.held = since{}
	}
	m.holder = holder(&h)
	// The first head that the worker has not seen counts until it has, or until a failover has taken it back.
	if h.Head < m.behind.value {
		m.behind = since{}
	}
	if m.behind.at.IsZero() && m.polledTo < h.Head {
		m.behind = since{h.Head, now}
	}
}

// holder names what holds the horizon back.
func holder(h *store.Horizon) string {
	switch {
	case h.Prepared != "":
		return h.Prepared
	case h.Holder != 0:
		return fmt.Sprintf("process %d of the database", h.Holder)
	}
	return "an append that has not ended"
}

// Stop makes the host not ready from now on: it ends.
func (m *Monitor) Stop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stopping = true
}

// Held is for how long the horizon has been where it is although the log goes on.
func (m *Monitor) Held() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held.at.IsZero() {
		return 0
	}
	return max(clock.Since(m.held.at), 0)
}

// Reasons are why the host is not ready, each in one line. It is ready when there are none. Detailed ones have the errors
// of databases, which name addresses and users.
func (m *Monitor) Reasons(detailed bool) []string { return m.reasons(clock.Now(), detailed) }

func (m *Monitor) reasons(now time.Time, detailed bool) (reasons []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	add := func(format string, args ...any) { reasons = append(reasons, fmt.Sprintf(format, args...)) }
	why := func(err error) string {
		if !detailed || err == nil {
			return ""
		}
		return ": " + err.Error()
	}
	ago := func(at time.Time) time.Duration { return now.Sub(at).Round(time.Second) }
	if m.stopping {
		add("the host stops")
	}
	switch {
	case m.readError != nil:
		add("the database of the log does not answer%s", why(m.readError))
	case now.Sub(m.read) > patience:
		add("the database of the log has not answered for %s", ago(m.read))
	}
	for _, name := range slices.Sorted(maps.Keys(m.away)) {
		if away := m.away[name]; now.Sub(away.since) > patience {
			add("the %s has not served the host for %s%s", name, ago(away.since), why(away.err))
		}
	}
	switch {
	case m.polled.IsZero():
		add("the host has not begun to work")
	case m.behind.long(now):
		add("the log has had position %d for %s, and the host has polled it up to %d", m.behind.value, ago(m.behind.at),
			m.polledTo)
	case now.Sub(m.polled) > m.pollMax+patience:
		add("the host has not polled the log for %s", ago(m.polled))
	}
	if m.held.long(now) {
		add("the horizon has been held back at position %d for %s by %s", m.held.value, ago(m.held.at), m.holder)
	}
	if m.heard && m.deaf.long(now) {
		add("notifications of appends have not arrived for %s%s", ago(m.deaf.at), why(m.deafError))
	}
	return reasons
}
