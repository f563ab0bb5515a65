package main

import (
	"context"
	"sync"
	"time"

	"github.com/pupwasm/pupwasm/relay"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
)

// onceReport is the JSON form of what 'run --once' has applied of a projection.
type onceReport struct {
	Projection string  `json:"projection"`
	Version    int     `json:"version"`
	Build      int     `json:"build,omitempty"`
	Events     int64   `json:"events"`
	Messages   int64   `json:"messages_sent,omitempty"`
	Waiting    int64   `json:"messages_waiting,omitempty"` // that no host sends
	Seconds    float64 `json:"seconds"`                    // of the whole run
}

// printApplied prints what a run has applied and sent of each projection, and how many messages wait: to standard error
// where messages go to standard output.
func (o *runOptions) printApplied(ctx context.Context, all []segments.Progress, took time.Duration) error {
	waiting := o.untaken.waiting(ctx, all)
	globals := *o.globalOptions
	if o.publish.toStdout() {
		globals.out = globals.errs
	}
	reports := make([]onceReport, len(all))
	for i, p := range all {
		id := p.Projection
		reports[i] = onceReport{
			Projection: id.Name, Version: id.Version, Build: id.Build, Events: p.Events, Seconds: took.Seconds(),
			Messages: o.sending.sent(id), Waiting: waiting[id.Name],
		}
		delete(waiting, id.Name) // its versions have one number
		sent := ""
		if n := reports[i].Messages; n > 0 {
			sent = ", " + count(n, "message") + " sent"
		}
		switch n := reports[i].Waiting; {
		case n == 1:
			sent += ", 1 message waits"
		case n > 1:
			sent += ", " + count(n, "message") + " wait"
		}
		if err := globals.say("%s: %s %s%s", labelOf(p, all), count(p.Events, "event"), rate(p.Events, took), sent); err != nil {
			return err
		}
	}
	return globals.result(reports)
}

// sentTally counts the messages that a run has sent, of each version. It is safe for concurrent use.
type sentTally struct {
	mu   sync.Mutex
	sent map[store.ProjectionID]int64
}

func newSentTally() *sentTally { return &sentTally{sent: map[store.ProjectionID]int64{}} }

func (t *sentTally) observer() *relay.Observer {
	return &relay.Observer{Sent: func(m relay.ObservedMessage) {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.sent[store.ProjectionID{Name: m.Message.Projection, Version: m.Message.Version}]++
	}}
}

// take returns how many were sent of a version, once: the builds of a version have one number.
func (t *sentTally) take(id store.ProjectionID) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	sent := t.sent[id.InVersion()]
	delete(t.sent, id.InVersion())
	return sent
}
