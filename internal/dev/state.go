package dev

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/internal/oneline"
	"github.com/pupwasm/pupwasm/store"
)

// State is what a session shows.
type State struct {
	Projection string       `json:"projection,omitempty"` // with its version; empty before the first module
	Building   bool         `json:"building"`
	Built      []string     `json:"built,omitempty"`   // of the module that runs
	Problem    []string     `json:"problem,omitempty"` // why it does not build, or is not run
	Position   int64        `json:"position"`          // of the last commit
	Head       int64        `json:"head"`              // of the log
	Events     int64        `json:"events"`            // that were applied since the tables were empty, or the session began
	Rate       float64      `json:"events_per_second"` // events in a second, of the last seconds
	Tables     []TableState `json:"tables"`
	Messages   Messages     `json:"messages,omitzero"`
	Log        []string     `json:"log,omitempty"`   // lines of the guest, the last ones
	Said       []string     `json:"said,omitempty"`  // what happened, the last ones
	Fault      string       `json:"fault,omitempty"` // the last event that failed, and why
	Event      string       `json:"event,omitempty"`
}

// TableState is a table or a view.
type TableState struct {
	Name    string   `json:"name"`
	Rows    int      `json:"rows"`
	More    bool     `json:"more,omitempty"`    // there are more rows than are looked at
	Changed []string `json:"changed,omitempty"` // the rows that changed last, each once

	keys []string // of Changed
}

// Messages are those that the projection has sent.
type Messages struct {
	Sent int64    `json:"sent"` // since the tables were empty, or the session began
	Last []string `json:"last"` // the last ones
}

// board keeps the state. It is safe for concurrent use.
type board struct {
	tell func(line string)

	mu      sync.Mutex
	state   State
	changed bool
	commits bool // since the rows were looked at
	untold  int  // messages that were sent since they were told of last
	applied []applied
}

type applied struct {
	at     time.Time
	events int
}

func newBoard(tell func(line string)) *board { return &board{tell: tell, changed: true} }

// change changes the state.
func (b *board) change(with func(s *State)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	with(&b.state)
	b.changed = true
}

// linesMax is how many lines of each kind are kept.
const linesMax = 8

func last(most int, lines []string, line string) []string {
	lines = append(slices.Clone(lines), line)
	return lines[max(0, len(lines)-most):]
}

// say notes what happened.
func (b *board) say(line string) {
	b.change(func(s *State) { s.Said = last(linesMax, s.Said, line) })
	b.tell(line)
}

func (b *board) log(line string) {
	b.change(func(s *State) { s.Log = last(linesMax, s.Log, line) })
	b.tell("log: " + line)
}

func (b *board) building() { b.change(func(s *State) { s.Building = true }) }

func (b *board) buildFailed(err error) {
	lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
	b.change(func(s *State) { s.Building, s.Problem = false, lines })
	for _, line := range lines {
		b.tell("error: " + line)
	}
}

func (b *board) built(module *Built) {
	b.change(func(s *State) { s.Building, s.Problem, s.Built = false, nil, module.Lines })
	for _, line := range module.Lines {
		b.tell(line)
	}
}

// begin is for empty tables, or those of before.
func (b *board) begin() {
	b.change(func(s *State) {
		s.Position, s.Events, s.Tables, s.Messages, s.Fault, s.Event = 0, 0, nil, Messages{}, "", ""
	})
}

func (b *board) named(p *store.Projection) {
	b.change(func(s *State) { s.Projection = fmt.Sprintf("%s, version %d", p.Name, p.Version) })
}

// refused notes why the module is not run; "" is for one that is.
func (b *board) refused(reason string) {
	changed := false
	b.change(func(s *State) {
		var problem []string
		if reason != "" {
			problem = []string{reason}
		}
		changed = !slices.Equal(problem, s.Problem)
		s.Problem = problem
	})
	if changed && reason != "" {
		b.tell("error: " + reason)
	}
}

func (b *board) committed(position int64, events int) {
	b.change(func(s *State) {
		s.Position, s.Events = max(s.Position, position), s.Events+int64(events)
		b.commits = true
		b.applied = append(b.applied, applied{clock.Now(), events})
	})
}

func (b *board) polled(head int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.changed = b.changed || b.state.Head != head
	b.state.Head = head
}

func (b *board) faulted(reason, event string) {
	b.change(func(s *State) { s.Fault, s.Event = reason, event })
	if reason != "" {
		b.tell("fault: " + reason + " – event " + event)
	}
}

// takeCommits reports whether there were commits since it was last asked.
func (b *board) takeCommits() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	commits := b.commits
	b.commits = false
	return commits
}

// rows notes a table. Rows that changed before stay shown while no others do.
func (b *board) rows(t TableState) {
	news := t.Changed
	b.change(func(s *State) {
		s.Tables = slices.Clone(s.Tables)
		at := slices.IndexFunc(s.Tables, func(known TableState) bool { return known.Name == t.Name })
		if at < 0 {
			at = len(s.Tables)
			s.Tables = append(s.Tables, TableState{Name: t.Name})
		}
		before := s.Tables[at]
		for i, key := range slices.Backward(before.keys) {
			if !slices.Contains(t.keys, key) {
				t.keys, t.Changed = slices.Insert(t.keys, 0, key), slices.Insert(slices.Clone(t.Changed), 0, before.Changed[i])
			}
		}
		from := max(0, len(t.Changed)-changedMax)
		t.keys, t.Changed = t.keys[from:], t.Changed[from:]
		s.Tables[at] = t
	})
	if len(news) == 0 {
		return
	}
	rows := oneline.Count(int64(t.Rows), "row")
	if t.More {
		rows = "more than " + rows
	}
	b.tell(fmt.Sprintf("%s: %s, %d changed", t.Name, rows, len(news)))
	for _, row := range news[max(0, len(news)-changedMax):] {
		b.tell("  " + row)
	}
}

// sent notes a message.
func (b *board) sent(line string) {
	b.change(func(s *State) {
		s.Messages = Messages{Sent: s.Messages.Sent + 1, Last: last(lastMessagesMax, s.Messages.Last, line)}
		b.untold++
	})
}

// tellMessages tells of the messages that were sent since it did so last.
func (b *board) tellMessages() {
	b.mu.Lock()
	n, lines := b.untold, b.state.Messages.Last
	b.untold = 0
	b.mu.Unlock()
	if n == 0 {
		return
	}
	b.tell(oneline.Count(int64(n), "message") + " sent")
	for _, line := range lines[max(0, len(lines)-n):] {
		b.tell("  " + line)
	}
}

// rateOver is the time of which a rate is.
const rateOver = 3 * time.Second

// snapshot returns the state, and whether it has changed since the last one.
func (b *board) snapshot() (s State, changed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	since := clock.Now().Add(-rateOver)
	b.applied = slices.DeleteFunc(b.applied, func(a applied) bool { return a.at.Before(since) })
	events := 0
	for _, a := range b.applied {
		events += a.events
	}
	rate := float64(events) / rateOver.Seconds()
	changed = b.changed || rate != b.state.Rate
	b.state.Rate, b.changed = rate, false
	return b.state, changed
}
