package segments

import (
	"errors"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/internal/clock"
)

// outage logs once that a database is away and once that it is back, however many segments notice.
type outage struct {
	logger   zerolog.Logger
	observer *Observer
	database string // which one
	mu       sync.Mutex
	since    time.Time
}

// logError is an error of the log, which may be in another database than the tables.
type logError struct{ error }

// Unwrap returns the error of the log.
func (e logError) Unwrap() error { return e.error }

// ofLog marks an error of the log.
func ofLog(err error) error {
	if err == nil {
		return nil
	}
	return logError{err}
}

// noticed is called with errors of the log and of the tables that may pass.
func (w *Worker) noticed(err error) {
	var log logError
	if errors.As(err, &log) {
		w.logOutage.noticed(err)
		return
	}
	w.outage.noticed(err)
}

// away reports that a database is known to be away.
func (w *Worker) away() bool { return w.outage.active() || w.logOutage.active() }

// noticed is called with every transient error.
func (o *outage) noticed(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.since.IsZero() {
		o.since = clock.Now()
		o.logger.Warn().Err(err).Msg(o.database + " not available, trying again")
		tell(o.observer.Away, ObservedOutage{Database: o.database, Err: err})
	}
}

// active reports that the database is known to be away.
func (o *outage) active() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.since.IsZero()
}

// over is called when a heartbeat was stored. A successful poll is not enough: a server that is read-only after
// a failover answers polls, and every failed write would be logged as another outage. It is enough for a log that
// is only read.
func (o *outage) over() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.since.IsZero() {
		after := clock.Since(o.since)
		o.logger.Info().Dur("after", after).Msg(o.database + " answers again")
		tell(o.observer.Back, ObservedOutage{Database: o.database, After: after})
		o.since = time.Time{}
	}
}
