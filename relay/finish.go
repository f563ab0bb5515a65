package relay

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pupwasm/pupwasm/internal/oneline"
	"github.com/pupwasm/pupwasm/store"
)

// Unsent is what a relay has left of a projection.
type Unsent struct {
	store.OutboxStatus
	Reason string // why the last message that failed has, or one that failed before, or ""
}

// UnsentError says which messages a relay has left.
type UnsentError struct {
	Left []Unsent // of each projection that has some, in order of name
}

// Error names the projections and what is left of each.
func (e *UnsentError) Error() string {
	var parts []string
	for i := range e.Left {
		left := &e.Left[i]
		part := fmt.Sprintf("projection %s: %s not sent", left.Projection, oneline.Count(left.Pending, "message"))
		if left.FailedKeys > 0 {
			part += fmt.Sprintf(", %s failed", oneline.Count(int64(left.FailedKeys), "key"))
		}
		if left.Reason != "" {
			part += ", the last one: " + left.Reason
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "; ")
}

// await waits until nothing more is put in, and then until all senders have nothing more to send.
func (d *duty) await(ctx context.Context, complete <-chan struct{}) error {
	select {
	case <-complete:
	case <-ctx.Done():
		return ctx.Err()
	}
	d.finish()
	select {
	case err := <-d.claimed:
		if err != nil {
			return err
		}
	case <-ctx.Done():
		return ctx.Err()
	}
	for _, s := range d.all() {
		select {
		case <-s.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for _, s := range d.all() {
		d.clean(ctx, s.projection)
	}
	return nil
}

// finish has senders end that have nothing more to send, and claims once more: a projection may be new.
func (d *duty) finish() {
	d.finishing.Store(true)
	signal(d.soon)
	for _, s := range d.all() {
		signal(s.changed)
	}
}

// unsent returns an [*UnsentError] when messages are left of projections that were this relay's.
func (d *duty) unsent(ctx context.Context) error {
	reasons := map[string]string{}
	var names []string
	for _, s := range d.all() {
		if !s.isDismissed() {
			names = append(names, s.projection)
			reasons[s.projection] = s.reason
		}
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	within, cancel := context.WithTimeout(ctx, databaseTimeout)
	defer cancel()
	all, err := d.relay.outbox.OutboxStatus(within, names...)
	if err != nil {
		return err
	}
	left := &UnsentError{}
	for i := range all {
		if all[i].Pending == 0 {
			continue
		}
		u := Unsent{OutboxStatus: all[i], Reason: reasons[all[i].Projection]}
		if u.Reason == "" && u.FailedKeys > 0 {
			if u.Reason, err = d.reasonBefore(within, u.Projection); err != nil {
				return err
			}
		}
		left.Left = append(left.Left, u)
	}
	if len(left.Left) == 0 {
		return nil
	}
	return left
}

// reasonBefore is why a message of a projection has failed, of which none has failed here.
func (d *duty) reasonBefore(ctx context.Context, projection string) (string, error) {
	failed, err := d.relay.outbox.Messages(ctx, store.MessagesRequest{
		Projection: projection, State: store.MessageFailed, Limit: 1,
	})
	if err != nil || len(failed) == 0 {
		return "", err
	}
	return failed[0].Error, nil
}
