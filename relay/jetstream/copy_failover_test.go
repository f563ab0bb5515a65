package jetstream_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/relay/jetstream"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// TestCopy_goesOnAfterAFailover moves the log to a standby that has everything, and then to one that does not.
func TestCopy_goesOnAfterAFailover(t *testing.T) {
	t.Parallel()
	cluster, js := server(t)
	primary, err := pgtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(primary.Stop)
	db := primary.New(t)
	standby, err := primary.Standby()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(standby.Stop)
	third, err := primary.Standby()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(third.Stop)
	open := func(dsn string) store.Store {
		t.Helper()
		opened, err := postgres.Open(dsn, postgres.Options{Schema: db.Schema})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(opened.Close)
		return opened.Backend()
	}
	either := open(db.Either(standby) + "&pool_max_conn_lifetime=2s")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	c := openCopy(t, cluster.URL(), either, jetstream.CopyOptions{})
	go func() { ended <- c.Run(ctx) }()
	copied := func(count uint64) {
		t.Helper()
		testwait.Until(t, fmt.Sprintf("%d events are copied", count), func() bool {
			stream, err := js.Stream(t.Context(), "EVENTS")
			return err == nil && stream.CachedInfo().State.LastSeq == count
		})
	}
	appendTo(t, either, 0, 50)
	copied(50)
	standby.CaughtUp(t, primary)
	third.CaughtUp(t, primary)
	primary.Lose()
	standby.Promote(t)
	second := open(db.On(standby).DSN)
	appendTo(t, second, 50, 30)
	copied(80)
	wantCopy(t, js, "EVENTS", second, 0)
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("it ends with %v", err)
	}

	standby.Lose()
	third.Promote(t)
	left := open(db.On(third).DSN)
	appendTo(t, left, 1000, 50)
	var unfit *jetstream.StreamError
	if _, err := openCopy(t, cluster.URL(), left, jetstream.CopyOptions{}).Once(t.Context()); !errors.As(err, &unfit) {
		t.Errorf("from a server that has lost events it ends with %v", err)
	}
}
