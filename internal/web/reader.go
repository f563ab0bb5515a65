package web

import (
	"context"
	"sync"
	"time"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/internal/status"
	"github.com/pupwasm/pupwasm/store"
)

// Reader reads the status. Those who ask within freshFor of each other get one report, so that however many ask, the
// databases are asked once a second. It is safe for concurrent use.
type Reader struct {
	Log    store.Log
	Tables store.Tables

	mu     sync.Mutex
	report *status.Report
	at     time.Time
}

// freshFor is how old a report may be.
const freshFor = time.Second

// Read returns a report, which the caller must not change.
func (r *Reader) Read(ctx context.Context) (*status.Report, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.report != nil && clock.Since(r.at) < freshFor {
		return r.report, nil
	}
	if err := ctx.Err(); err != nil { // of one who has waited for another
		return nil, err
	}
	report, err := status.Read(ctx, r.Log, r.Tables)
	if err != nil {
		return nil, err
	}
	r.report, r.at = report, clock.Now()
	return report, nil
}

// forget makes the next report a new one: something was changed.
func (r *Reader) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report = nil
}
