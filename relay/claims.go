package relay

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

// claims takes projections of which nobody is the relay, and finds out which ones are another's by now, until nothing
// more is to be sent.
func (d *duty) claims() {
	retry := databaseRetry()
	for d.running.Err() == nil {
		pause := d.relay.tuning.claimPoll
		if held, _ := d.terms.check(); held.Context != nil {
			finishing := d.finishing.Load()
			err := d.claim(held)
			switch {
			case err == nil:
				retry.Reset()
			case d.running.Err() == nil:
				d.noticed(err)
				pause = retry.Pause()
			}
			if finishing && !errors.Is(err, store.ErrTransient) && d.running.Err() == nil {
				d.answered(err)
			}
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-d.soon:
		case <-d.terms.begun:
		case <-d.running.Done():
		}
		timer.Stop()
	}
}

// answered tells how the first claim has ended that began when nothing more was put in.
func (d *duty) answered(err error) {
	select {
	case d.claimed <- err:
	default:
	}
}

// claim claims under a term, and has those send that it got.
func (d *duty) claim(held term) error {
	ctx, cancel := context.WithTimeout(d.running, databaseTimeout)
	defer cancel()
	var mine []string
	for _, to := range d.relay.destinations {
		names := to.projections
		if to == d.relay.byProjection[""] {
			var err error
			if names, err = d.namesOfDefault(ctx); err != nil {
				return err
			}
		}
		if names != nil && len(names) == 0 {
			continue
		}
		got, err := d.relay.outbox.ClaimRelays(ctx, d.worker, names, to.target)
		if err != nil {
			return err
		}
		mine = append(mine, got...)
	}
	d.assign(held, mine)
	return nil
}

// named are the projections that have messages and that no sink names. They are asked for at most so often.
type named struct {
	names []string
	until time.Time
}

// namesPause is between two times that the names are asked for.
const namesPause = 5 * time.Second

// namesOfDefault returns the projections that go to the default sink with those that the sink names itself, or nil for
// all.
func (d *duty) namesOfDefault(ctx context.Context) ([]string, error) {
	r := d.relay
	if len(r.sinks.ByProjection) == 0 {
		return nil, nil
	}
	if began := clock.Now(); !began.Before(d.others.until) {
		all, err := r.outbox.OutboxStatus(ctx)
		if err != nil {
			return nil, err
		}
		d.others.names = []string{}
		for i := range all {
			if _, named := r.sinks.ByProjection[all[i].Projection]; !named {
				d.others.names = append(d.others.names, all[i].Projection)
			}
		}
		d.others.until = clock.Now().Add(max(namesPause, costShare*clock.Since(began)))
	}
	return slices.Concat(d.others.names, r.byProjection[""].projections), nil
}

// assign has the senders of projections send under a term, and the others not.
func (d *duty) assign(held term, projections []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for projection, s := range d.senders {
		if !slices.Contains(projections, projection) {
			s.dismiss()
		}
	}
	for _, projection := range projections {
		to := d.relay.to(projection)
		if to == nil {
			continue
		}
		s, known := d.senders[projection]
		if !known {
			s = newSender(d, projection, to)
			d.senders[projection] = s
			d.sending.Go(s.run)
		}
		s.claimed(held)
	}
}
