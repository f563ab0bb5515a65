package segments

import (
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/internal/clock"
)

// outage logs once that the database is away and once that it is back, however many segments notice.
type outage struct {
	logger zerolog.Logger
	mu     sync.Mutex
	since  time.Time
}

// noticed is called with every transient error.
func (o *outage) noticed(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.since.IsZero() {
		o.since = clock.Now()
		o.logger.Warn().Err(err).Msg("database not available, trying again")
	}
}

// active reports that the database is known to be away.
func (o *outage) active() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.since.IsZero()
}

// over is called when a heartbeat was stored. A successful poll is not enough: a server that is read-only after
// a failover answers polls, and every failed write would be logged as another outage.
func (o *outage) over() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.since.IsZero() {
		o.logger.Info().Dur("after", clock.Since(o.since)).Msg("database answers again")
		o.since = time.Time{}
	}
}
