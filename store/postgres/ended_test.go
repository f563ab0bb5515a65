package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// TestStore_oneEndedConnectionTellsOfAll has the server end all of them, as it does when it is started again. The first
// call finds that out, and no later one.
func TestStore_oneEndedConnectionTellsOfAll(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	ctx := t.Context()
	calls := []func() error{
		func() error { _, err := s.Horizon(ctx); return err },
		func() error { return s.Heartbeat(ctx, store.Worker{Name: "w"}, time.Hour) },
		func() error { return s.Ping(ctx) },
	}
	for _, call := range calls {
		must(t, call())
	}
	ask(t, db, "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity WHERE application_name = 'pupwasm' "+
		"AND datname = current_database()")
	if err := calls[0](); err != nil && !errors.Is(err, store.ErrTransient) {
		t.Errorf("the first call returns %v", err)
	}
	for n, call := range calls {
		if err := call(); err != nil {
			t.Errorf("call %d after it returns %v", n, err)
		}
	}
}

// TestStore_aCancelledCallTellsOfNoConnection has a commit wait, and cancels it: its connection is given up by this side.
// The others stay.
func TestStore_aCancelledCallTellsOfNoConnection(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	r := newRig(t, db, db.DSN, postgres.Options{ConnectionsMax: 2, Lazy: true})
	ctx := t.Context()
	_, err := r.store.Horizon(ctx)
	must(t, err)
	must(t, r.commit(ctx, add("a", 1)))
	const ours = "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'pupwasm'"
	before := ask(t, db, "SELECT array_agg(pid) "+ours)[0][0]
	count := func() string {
		return ask(t, db, fmt.Sprintf("SELECT count(*) %s AND pid = ANY ('%s'::int[])", ours, before))[0][0]
	}
	had := count()
	release := r.block()
	within, cancel := context.WithCancel(ctx)
	result := make(chan error)
	go func() { result <- r.commit(within, add("a", 1)) }()
	gone := awaitBlocked(t, db)
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	testwait.Until(t, "its connection has ended", func() bool {
		return ask(t, db, "SELECT count(*) "+ours+" AND pid = "+gone)[0][0] == "0"
	})
	release()
	if left := count(); had != "3" || left != "2" {
		t.Errorf("of %s connections %s are left, must be 2 of 3", had, left)
	}
}
