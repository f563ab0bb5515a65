package mysql_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
)

// TestTransaction_ofAFrozenHost stops a host between two round trips of a transaction. Another one gets its segment all
// the same, and the host finds out when it comes back.
func TestTransaction_ofAFrozenHost(t *testing.T) {
	t.Parallel()
	part := make([]byte, 3<<20) // twice as long in a statement
	for name, c := range map[string]struct {
		trips int // before it stops
		run   func(r *rig) error
	}{
		"commit": {1, func(r *rig) error {
			return r.commit(r.Context(), add("a", 1), file(1, part), file(2, part), file(3, part))
		}},
		"claim": {1, func(r *rig) error {
			_, err := r.store.Claim(r.Context(), store.ClaimRequest{Projection: ledger().ID(), Worker: "worker", Limit: 1})
			return err
		}},
		"reshard": {2, func(r *rig) error {
			return r.store.Reshard(r.Context(), ledger().ID(), func(*store.Layout) error { return nil })
		}},
		"pause": {2, func(r *rig) error {
			_, err := r.store.SetPaused(r.Context(), "ledger", true)
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := mariadbtest.New(t)
			p := newProxy(t, at)
			r := newRig(t, at, p.url, mysql.Options{}.IdleWithin(time.Second))
			other := open(t, at.URL, mysql.Options{})
			must(t, other.Heartbeat(t.Context(), store.Worker{Name: "other"}, time.Hour))
			frozen := p.freezeAfter(c.trips)
			result := make(chan error, 1)
			go func() { result <- c.run(r) }()
			<-frozen.begun
			execute(t, r.db, "UPDATE pupwasm__workers SET expires_at = 0 WHERE worker = 'worker'")
			testwait.Until(t, "another host has the segment", func() bool {
				claims, err := other.Claim(t.Context(), store.ClaimRequest{Projection: ledger().ID(), Worker: "other", Limit: 1})
				must(t, err)
				return len(claims) == 1
			})
			close(frozen.thawed)
			if err := <-result; !errors.Is(err, store.ErrTransient) {
				t.Errorf("the host gets %v", err)
			}
			if err := r.commit(t.Context(), add("a", 1)); !errors.Is(err, store.ErrFenced) {
				t.Errorf("afterwards it gets %v", err)
			}
			r.want("")
		})
	}
}

// TestTransaction_ofACaller has the limits of the server, and that of the store after it those of the store.
func TestTransaction_ofACaller(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	r := newRig(t, at, at.URL, mysql.Options{ConnectionsMax: 1}.IdleWithin(7*time.Second))
	const limits = "SELECT CONCAT_WS(' ', @@idle_transaction_timeout, @@idle_write_transaction_timeout)"
	limit := func(want string) {
		t.Helper()
		if got, err := r.store.Setting(t.Context(), limits); err != nil || got != want {
			t.Errorf("the limits are %s, want %s, %v", got, want, err)
		}
	}
	limit("7 0")
	failed := errors.New("failed")
	for _, want := range []error{nil, failed} {
		got := ""
		err := r.store.InTx(t.Context(), func(tx *mysql.Tx) error {
			must(t, tx.SQL().QueryRowContext(t.Context(), limits).Scan(&got))
			return want
		})
		if !errors.Is(err, want) || got != "0 0" {
			t.Errorf("a caller has %s, %v", got, err)
		}
		limit("7 0")
	}
	tx, handle := r.lent()
	got := ""
	must(t, handle.QueryRowContext(t.Context(), limits).Scan(&got))
	if got != "0 0" {
		t.Errorf("a program has %s", got)
	}
	must(t, r.end(context.WithoutCancel(t.Context()), tx, add("a", 1)))
	limit("7 0")
}
