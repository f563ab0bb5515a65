package segments

import (
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/internal/clock"
)

// outage says once that the database is away and once that it is back, however many segments notice.
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

// active tells that the database is known to be away.
func (o *outage) active() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.since.IsZero()
}

// over is called when a sign of life was stored. That a look succeeds is not enough: a server that is read-only after a failover
// answers those, and every write would be told as another outage.
func (o *outage) over() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.since.IsZero() {
		o.logger.Info().Dur("after", clock.Since(o.since)).Msg("database answers again")
		o.since = time.Time{}
	}
}
