package horizon

import (
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

// holder logs once when an append has held the horizon back for long: projections wait for it, and somebody
// should know which it is.
type holder struct {
	logger   zerolog.Logger
	pid      int
	prepared string
	since    time.Time
	told     bool
}

func (h *holder) observe(horizon store.Horizon) {
	nobody := horizon.Holder == 0 && horizon.Prepared == "" // it has ended meanwhile
	if horizon.Position == horizon.Head || nobody || horizon.Holder != h.pid || horizon.Prepared != h.prepared {
		*h = holder{logger: h.logger, pid: horizon.Holder, prepared: horizon.Prepared, since: clock.Now()}
		return
	}
	if h.told || clock.Since(h.since) <= heldLong {
		return
	}
	h.told = true
	event := h.logger.Warn().Int64("horizon", horizon.Position).Int64("head", horizon.Head)
	if h.prepared != "" {
		event.Str("holder", h.prepared).Msg("horizon held back by a prepared transaction that does not end")
		return
	}
	event.Int("pid", h.pid).Msg("horizon held back by an append that does not end")
}
