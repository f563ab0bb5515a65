package segments

import (
	"errors"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/segments/internal/pipeline"
	"github.com/pupwasm/pupwasm/store"
)

// outage logs once that a database is not available and once that it is again, however many segments notice.
type outage struct {
	logger   zerolog.Logger
	observer *Observer
	database string // which one
	mu       sync.Mutex
	since    time.Time
	worker   bool // the worker itself has noticed, and no heartbeat was stored since
	stalled  map[SegmentID]bool
}

func newOutage(logger zerolog.Logger, observer *Observer, database string) *outage {
	return &outage{logger: logger, observer: observer, database: database, stalled: map[SegmentID]bool{}}
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

// outageOf returns the outage that an error belongs to.
func (w *Worker) outageOf(err error) *outage {
	var log logError
	if errors.As(err, &log) {
		return w.logOutage
	}
	return w.outage
}

// noticed is called with errors that the worker meets itself and that may pass.
func (w *Worker) noticed(err error) { w.outageOf(err).noticed(err) }

// isOutage reports that an error concerns the whole database, and not single rows or statements.
func isOutage(err error) bool {
	return errors.Is(err, store.ErrTransient) && !errors.Is(err, store.ErrLocked) && !store.IsConflict(err) &&
		!pipeline.IsLimit(err)
}

// noticed is called with every error of the worker itself.
func (o *outage) noticed(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.worker = true
	o.begin(err)
}

// stall is called when a segment makes no progress: a full disk may keep rows from being written while heartbeats come
// through.
func (o *outage) stall(segment SegmentID, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stalled[segment] = true
	o.begin(err)
}

func (o *outage) begin(err error) {
	if o.since.IsZero() {
		o.since = clock.Now()
		o.logger.Warn().Err(err).Msg(o.database + " not available, trying again")
		tell(o.observer.Away, ObservedOutage{Database: o.database, Err: err})
	}
}

// resume is called when such a segment makes progress, or is another's by now.
func (o *outage) resume(segment SegmentID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.stalled, segment)
	o.end()
}

// over is called when a heartbeat was stored that began at a time: one from before the outage says nothing. A
// successful poll is not enough: a server that is read-only after a failover answers polls, and every failed write
// would be logged as another outage. It is enough for a log that is only read.
func (o *outage) over(began time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if began.Before(o.since) {
		return
	}
	o.worker = false
	o.end()
}

func (o *outage) end() {
	if !o.since.IsZero() && !o.worker && len(o.stalled) == 0 {
		after := clock.Since(o.since)
		o.logger.Info().Dur("after", after).Msg(o.database + " answers again")
		tell(o.observer.Back, ObservedOutage{Database: o.database, After: after})
		o.since = time.Time{}
	}
}
