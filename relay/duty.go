package relay

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/internal/backoff"
	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

const (
	// databaseTimeout bounds a call of the database.
	databaseTimeout = 30 * time.Second
	// releaseTimeout bounds how long a relay tries to give its projections up.
	releaseTimeout = 5 * time.Second
	// costShare bounds what the relay asks for in the background to one part in so many of the time.
	costShare = 20
	// cleanPause is between two deletions of what was sent.
	cleanPause = 20 * time.Millisecond
)

// databaseRetry is what pauses after errors of the database follow.
func databaseRetry() backoff.Backoff {
	return backoff.Backoff{Min: 100 * time.Millisecond, Max: 10 * time.Second}
}

// duty is one run of a relay: which projections it has, and their senders.
type duty struct {
	relay     *Relay
	logger    zerolog.Logger
	worker    store.Worker
	terms     *terms
	finishing atomic.Bool // senders end that have nothing more to send

	// They end one after the other: nothing more is begun, nothing is on its way, nothing more is noted.
	running, working, settling context.Context
	stopRunning, stopAll       context.CancelFunc

	claiming, sending, background sync.WaitGroup

	claimed chan error    // how the first claim has ended that was answered for good since it finishes
	soon    chan struct{} // a sign to claim
	others  named
	away    notice // the database

	mu      sync.Mutex
	senders map[string]*sender
}

func newDuty(ctx context.Context, r *Relay, lease store.HeldLease) *duty {
	d := &duty{
		relay: r, logger: r.logger, worker: lease.Worker(), senders: map[string]*sender{},
		claimed: make(chan error, 1), soon: make(chan struct{}, 1),
	}
	d.running, d.stopRunning = context.WithCancel(ctx)
	working, stopWorking := backoff.Grace(d.running, r.tuning.sendGrace)
	settling, stopSettling := backoff.Grace(d.running, r.tuning.sendGrace+r.tuning.settleGrace)
	d.working, d.settling = working, settling
	d.stopAll = func() {
		stopWorking()
		stopSettling()
	}
	d.terms = newTerms(d.working, lease)
	return d
}

// start has it begin.
func (d *duty) start() {
	d.background.Go(func() { d.terms.watch(d.settling) })
	d.claiming.Go(d.claims)
	d.background.Go(d.cleaning)
}

// stop ends it, and gives the projections up.
func (d *duty) stop() {
	d.stopRunning()
	d.claiming.Wait() // it begins senders
	d.sending.Wait()
	d.stopAll()
	d.background.Wait()
	d.release()
}

// wake says that messages of a projection were committed.
func (d *duty) wake(projection string) {
	d.mu.Lock()
	s := d.senders[projection]
	d.mu.Unlock()
	if s != nil {
		signal(s.woken)
	}
}

// all returns the senders.
func (d *duty) all() []*sender {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := make([]*sender, 0, len(d.senders))
	for _, s := range d.senders {
		all = append(all, s)
	}
	return all
}

// cleaning deletes what was sent, now and then.
func (d *duty) cleaning() {
	for pause := d.relay.tuning.cleanPoll; backoff.Sleep(d.running, pause); {
		began := clock.Now()
		for _, s := range d.all() {
			if s.holds() {
				d.clean(d.running, s.projection)
			}
		}
		pause = max(d.relay.tuning.cleanPoll, costShare*clock.Since(began))
	}
}

// clean deletes what was sent of a projection. What it leaves is for the next time.
func (d *duty) clean(ctx context.Context, projection string) {
	for {
		within, cancel := context.WithTimeout(ctx, databaseTimeout)
		more, err := d.relay.outbox.DeleteSent(within, projection, d.relay.options.Keep)
		cancel()
		if err != nil && ctx.Err() == nil {
			d.noticed(err)
		}
		if err != nil || !more || !backoff.Sleep(ctx, cleanPause) {
			return
		}
	}
}

// noticed logs an error of the database.
func (d *duty) noticed(err error) {
	if others, due := d.away.due(); due {
		d.logger.Warn().Err(err).Int("others", others).Msg("the outbox does not answer the relay, trying again")
	}
}

// release gives up the projections of which nothing is on its way. Those of the others go when the lease does.
func (d *duty) release() {
	var names []string
	for _, s := range d.all() {
		if s.isMine() && !s.stuck {
			names = append(names, s.projection)
		}
		s.lost()
	}
	if len(names) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), releaseTimeout)
	defer cancel()
	if err := d.relay.outbox.ReleaseRelays(ctx, d.worker, names); err != nil {
		d.logger.Debug().Err(err).Msg("projections stay with this relay until the lease runs out")
	}
}

// notice is a line of the log that may come often. It is written at most once a minute.
type notice struct {
	mu     sync.Mutex
	last   time.Time
	others int
}

// noticePause is between two lines of a kind.
const noticePause = time.Minute

// due reports that the line is to be written, and how many others there were since.
func (n *notice) due() (others int, due bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := clock.Now()
	if !n.last.IsZero() && now.Sub(n.last) < noticePause {
		n.others++
		return 0, false
	}
	others, n.last, n.others = n.others, now, 0
	return others, true
}
