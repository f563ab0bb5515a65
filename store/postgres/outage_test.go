package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// block holds the lock on the segment's row, so that a commit waits, and returns how to let it go.
func (r *rig) block() (release func()) {
	r.Helper()
	tx := begin(r, r.db.Connect(r))
	_, err := tx.Exec(context.Background(), "SELECT FROM pupwasm.segments FOR UPDATE")
	must(r, err)
	return func() { must(r, tx.Rollback(context.Background())) }
}

// awaitBlocked waits until a connection of the store waits for a lock, and returns its process.
func awaitBlocked(t testing.TB, db pgtest.Database) string {
	t.Helper()
	conn := db.Connect(t)
	var pid string
	testwait.Until(t, "a connection of the store waits for a lock", func() bool {
		rows := query(t, conn, "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND "+
			"application_name = 'pupwasm' AND wait_event_type = 'Lock'")
		if len(rows) > 0 {
			pid = rows[0][0]
		}
		return len(rows) > 0
	})
	return pid
}

func TestCommit_cancelledWhileItWaits(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	r := newRig(t, db, db.DSN, postgres.Options{ConnectionsMax: 1, Lazy: true})
	must(t, r.commit(t.Context(), add("a", 1)))
	release := r.block()
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error)
	go func() { result <- r.commit(ctx, add("a", 1)) }()
	awaitBlocked(t, db)
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	testwait.Until(t, "the server gives the commit up", func() bool {
		return ask(t, db, "SELECT count(*) FROM pg_locks WHERE NOT granted")[0][0] == "0"
	})
	release()
	must(t, r.commit(t.Context(), add("a", 1)))
	r.want("a 2")
	r.wantClean()

	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	if err := r.commit(ctx, add("a", 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before: %v", err)
	}
	r.want("a 2")
}

func TestCommit_killedBackendIsTransient(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	r := newRig(t, db, db.DSN, postgres.Options{ConnectionsMax: 1, Lazy: true})
	ctx := t.Context()
	must(t, r.commit(ctx, add("a", 1)))
	admin := db.Connect(t)

	release := r.block()
	result := make(chan error)
	go func() { result <- r.commit(ctx, add("a", 1)) }()
	execute(t, admin, "SELECT pg_terminate_backend("+awaitBlocked(t, db)+")")
	if err := <-result; !errors.Is(err, store.ErrTransient) || strings.Contains(err.Error(), "\n") {
		t.Errorf("killed in the middle of a commit: %v", err)
	}
	release()
	must(t, r.commit(ctx, add("a", 1)))
	r.want("a 2")

	tx := r.catalogue.Begin(r.claim)
	var rows store.Rows
	must(t, tx.Query(ctx, sumsAll, nil, &rows))
	terminate(t, db)
	if err := tx.Commit(ctx, store.Commit{Through: r.claim.Position + 1, Log: r.claim.Applied.Log}); !errors.Is(err,
		store.ErrTransient) {
		t.Errorf("killed between a query and the commit: %v", err)
	}
	tx.Rollback()
	must(t, r.commit(ctx, add("a", 1)))
	r.want("a 3")

	tx = r.catalogue.Begin(r.claim)
	must(t, tx.Query(ctx, sumsAll, nil, &rows))
	terminate(t, db)
	if err := tx.Query(ctx, sumsAll, nil, &rows); !errors.Is(err, store.ErrTransient) {
		t.Errorf("killed between two queries: %v", err)
	}
	tx.Rollback()
	r.want("a 3")
	terminate(t, db) // while it is idle in the pool
	if err := r.commit(ctx, add("a", 1)); err != nil && !errors.Is(err, store.ErrTransient) {
		t.Errorf("killed while idle: %v", err)
	} else if err != nil {
		must(t, r.commit(ctx, add("a", 1)))
	}
	r.want("a 4")
	r.wantClean()
}

// terminate ends every connection of the stores on the database and waits until they are gone.
func terminate(t testing.TB, db pgtest.Database) {
	t.Helper()
	const all = "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'pupwasm'"
	conn := db.Connect(t)
	query(t, conn, "SELECT pg_terminate_backend(pid) "+all)
	testwait.Until(t, "the connections end", func() bool { return query(t, conn, "SELECT count(*) "+all)[0][0] == "0" })
}

func TestCommit_lostConnectionIsTransient(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	p := newProxy(t, db)
	r := newRig(t, db, p.dsn, postgres.Options{ConnectionsMax: 2, Lazy: true})
	ctx := t.Context()
	must(t, r.commit(ctx, add("a", 1)))
	release := r.block()
	result := make(chan error)
	go func() { result <- r.commit(ctx, add("a", 1)) }()
	awaitBlocked(t, db)
	p.Cut()
	if err := <-result; !errors.Is(err, store.ErrTransient) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
	release()
	// The server may still go on with what it was sent: a new claim tells the position.
	testwait.Until(t, "the old session ends", func() bool {
		return ask(t, db, "SELECT count(*) FROM pg_locks WHERE relation = "+
			"'pupwasm.segments'::regclass AND pid <> pg_backend_pid()")[0][0] == "0"
	})
	testwait.Until(t, "the store connects again", func() bool {
		claims, err := r.store.Claim(ctx, store.ClaimRequest{Projection: sums().ID(), Worker: "w", Limit: 1})
		if err == nil {
			r.claim = claims[0]
		} else if !errors.Is(err, store.ErrTransient) {
			t.Fatal(err)
		}
		return err == nil
	})
	// Another connection of the pool may have been cut as well, which its first use finds out.
	testwait.Until(t, "a commit goes through", func() bool {
		err := r.commit(ctx, add("a", 1))
		if err != nil && !errors.Is(err, store.ErrTransient) {
			t.Fatal(err)
		}
		return err == nil
	})
	r.want(fmt.Sprint("a ", r.claim.Position))
}

func TestRollback_returnsACleanConnection(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	r := newRig(t, db, db.DSN, postgres.Options{ConnectionsMax: 1, Lazy: true})
	var rows store.Rows
	for range 5 {
		tx := r.catalogue.Begin(r.claim)
		must(t, tx.Query(t.Context(), sumsAll, nil, &rows))
		tx.Rollback()
		r.wantClean()
	}
	ctx, cancel := context.WithCancel(t.Context())
	tx := r.catalogue.Begin(r.claim)
	must(t, tx.Query(ctx, sumsAll, nil, &rows))
	cancel() // the caller's context is over, and the connection still has to be given back
	tx.Rollback()
	r.wantClean()
	must(t, r.commit(t.Context(), add("a", 1)))
}

// TestCommit_runawayStatementIsStopped has SQL that would take days.
func TestCommit_runawayStatementIsStopped(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s, err := postgres.OpenBackend(db.DSN, postgres.Options{
		ConnectionsMax: 1, StatementTimeout: 2 * time.Second,
		Lazy: true,
	})
	must(t, err)
	t.Cleanup(s.Close)
	ctx := t.Context()
	p := sums()
	const endless = "SELECT count(*) FROM generate_series(1, 100000000000) a, generate_series(1, 100000000000) b"
	p.Writes = append(p.Writes, store.Write{
		Name: "endless", SQL: anySQL("INSERT INTO {total} (n) " + endless),
		Unordered: true,
	})
	p.Queries = append(p.Queries, store.Query{
		Name: "endless", SQL: anySQL(endless),
		Results: []store.Type{typed("i64")}, Unordered: true,
	})
	catalogue, err := s.Install(ctx, p, 1)
	must(t, err)
	must(t, s.Heartbeat(ctx, store.Worker{Name: "w"}, time.Hour))
	claims, err := s.Claim(ctx, store.ClaimRequest{Projection: sums().ID(), Worker: "w", Limit: 1})
	must(t, err)
	handOut(t, db)
	r := &rig{TB: t, db: db, store: s, catalogue: catalogue, folder: store.NewFolder(p), claim: claims[0]}
	var limit *store.LimitError
	if err := r.commit(ctx, add("a", 1), store.Mutation{Write: len(p.Writes) - 1}); !errors.Is(err,
		store.ErrTransient) || !errors.As(err, &limit) ||
		limit.Statement != `write "endless"` || !strings.Contains(err.Error(),
		"ran for longer than 2s: Options.StatementTimeout") {
		t.Errorf("commit: %v", err)
	}
	tx := catalogue.Begin(r.claim)
	var rows store.Rows
	if err := tx.Query(ctx, len(p.Queries)-1, nil, &rows); !errors.Is(err, store.ErrTransient) ||
		!errors.As(err, &limit) || limit.Statement != `query "endless"` {
		t.Errorf("query: %v", err)
	}
	tx.Rollback()
	r.wantClean()
	must(t, r.commit(ctx, add("a", 1)))
	r.want("a 1")
}

// TestReshard_aHostThatStopsInTheMiddle has one that holds the lock on a projection and says nothing more.
func TestReshard_aHostThatStopsInTheMiddleKeepsNobodyWaitingForLong(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	r := newRig(t, db, db.DSN, postgres.Options{Lazy: true})
	inside, goOn, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- r.store.Reshard(context.Background(), sums().ID(), func(l *store.Layout) error {
			close(inside)
			<-goOn
			return l.Split(0, 2)
		})
	}()
	<-inside
	ctx, cancel := context.WithTimeout(t.Context(), testwait.Patience)
	defer cancel()
	must(t, r.store.Reshard(ctx, sums().ID(), func(l *store.Layout) error { return l.Split(0, 3) }))
	close(goOn)
	if err := <-ended; !errors.Is(err, store.ErrTransient) {
		t.Errorf("the one that had stopped gets %v, must get a transient error", err)
	}
	known, err := r.store.Status(ctx, "sums")
	must(t, err)
	if n := len(known[0].Segments); n != 3 {
		t.Errorf("there are %d segments, must be 3", n)
	}
}

// TestOutage_aServerThatFallsSilentIsGivenUp has the network swallow what is sent, without a word to the connections.
func TestOutage_aServerThatFallsSilentIsGivenUp(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	between := newProxy(t, db)
	s, err := postgres.OpenBackend(between.dsn, postgres.Options{
		Schema: db.Schema, StatementTimeout: 100 * time.Millisecond,
		Lazy: true,
	})
	must(t, err)
	t.Cleanup(s.Close)
	self := store.Worker{Name: "w"}
	must(t, s.Heartbeat(t.Context(), self, time.Hour))
	read := store.ReadRequest{Through: 1, Limit: 1, Range: store.FullRange()}
	must(t, s.Read(t.Context(), read, &store.Page{}))
	between.fallSilent()
	s.SetSilenceMax(100 * time.Millisecond)
	for name, call := range map[string]func() error{
		"heartbeat": func() error { return s.Heartbeat(t.Context(), self, time.Hour) },
		"read":      func() error { return s.Read(t.Context(), read, &store.Page{}) },
		"horizon": func() error {
			_, err := s.Horizon(t.Context())
			return err
		},
		"claim": func() error {
			_, err := s.Claim(t.Context(), store.ClaimRequest{
				Projection: store.ProjectionID{Name: "p", Version: 1}, Worker: "w",
				Limit: 1,
			})
			return err
		},
	} {
		if err := call(); !errors.Is(err, store.ErrTransient) {
			t.Errorf("%s: %v, must be ErrTransient", name, err)
		}
	}
}

// TestOutage_oneHalfOpenConnectionTellsOfAll has a firewall forget all connections of a host. Each of them would
// take a ping's time to be found out.
func TestOutage_oneHalfOpenConnectionTellsOfAll(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	between := newProxy(t, db)
	const connections = 6
	s, err := postgres.OpenBackend(between.dsn, postgres.Options{Schema: db.Schema, ConnectionsMax: connections})
	must(t, err)
	t.Cleanup(s.Close)
	testwait.Until(t, "all connections are open", func() bool {
		return ask(t, db, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "+
			"AND state = 'idle' AND application_name = 'pupwasm'")[0][0] ==
			fmt.Sprint(connections+postgres.ConnectionsBeside)
	})
	between.strand()
	s.PingAtOnce(200 * time.Millisecond)
	read := store.ReadRequest{Through: 1, Limit: 1, Range: store.FullRange()}
	must(t, s.Read(t.Context(), read, &store.Page{}))
	must(t, s.Heartbeat(t.Context(), store.Worker{Name: "w"}, time.Hour))
	_, err = s.Horizon(t.Context())
	must(t, err)
	between.mu.Lock()
	defer between.mu.Unlock()
	if between.asked != 1 {
		t.Errorf("%d half-open connections were asked, must be 1", between.asked)
	}
}

// TestOutage_theDeadlineOfACallerSaysNothingOfTheServer has a caller give up a call that a lock holds up: other
// connections stay.
func TestOutage_theDeadlineOfACallerSaysNothingOfTheServer(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s, err := postgres.OpenBackend(db.DSN, postgres.Options{Schema: db.Schema, ConnectionsMax: 1})
	must(t, err)
	t.Cleanup(s.Close)
	conn := db.Connect(t)
	reader := func() string {
		t.Helper()
		must(t, s.Read(t.Context(), store.ReadRequest{Through: 1, Limit: 1, Range: store.FullRange()}, &store.Page{}))
		pids := query(t, conn, `SELECT pid FROM pg_stat_activity WHERE datname = current_database()
			AND pid <> pg_backend_pid()
			AND (query LIKE '%ORDER BY global_position LIMIT%' OR query LIKE '%enable_sort%')`)
		if len(pids) != 1 {
			t.Fatalf("%d connections have read, must be 1", len(pids))
		}
		return pids[0][0]
	}
	before := reader()
	holding := begin(t, db.Connect(t))
	execute(t, holding.Conn(), "LOCK TABLE pupwasm.workers")
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Heartbeat(short, store.Worker{Name: "w"}, time.Hour); !errors.Is(err, store.ErrTransient) {
		t.Errorf("the call that was given up ends with %v", err)
	}
	if after := reader(); after != before {
		t.Errorf("the connection that reads is %s, was %s", after, before)
	}
}
