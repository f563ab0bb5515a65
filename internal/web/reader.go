package web

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/internal/status"
	"github.com/pupwasm/pupwasm/store"
)

// Reader reads the status. Those who ask within freshFor of each other get one answer, so that however many ask, the
// databases are asked once a second. It is safe for concurrent use.
type Reader struct {
	log    store.Log
	tables store.Tables

	changes atomic.Int64 // by this host's API
	turn    chan struct{}
	last    reading // of whoever has the turn
	speeds  status.Speeds
}

// reading is what the databases answered.
type reading struct {
	report  *status.Report
	err     error
	at      time.Time
	changes int64 // before it
}

const (
	// freshFor is how old an answer may be.
	freshFor = time.Second
	// readTimeout bounds a reading: less than a scrape waits.
	readTimeout = 4 * time.Second
)

// NewReader makes a reader of a log and its tables.
func NewReader(log store.Log, tables store.Tables) *Reader {
	return &Reader{log: log, tables: tables, turn: make(chan struct{}, 1)}
}

// Read returns a report, which the caller must not change.
func (r *Reader) Read(ctx context.Context) (*status.Report, error) {
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if changes := r.changes.Load(); r.last.changes != changes || r.last.at.IsZero() || clock.Since(r.last.at) >= freshFor {
		// Whoever comes next has use for it, too.
		within, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTimeout)
		defer cancel()
		report, err := status.Read(within, r.log, r.tables)
		if err == nil {
			r.speeds.Note(report, clock.Now())
		}
		r.last = reading{report: report, err: err, at: clock.Now(), changes: changes}
	}
	return r.last.report, r.last.err
}

// changed makes the next report a new one.
func (r *Reader) changed() { r.changes.Add(1) }
