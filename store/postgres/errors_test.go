package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

const secret = "s3cr3t-w0rd"

// altered returns a database's URL with changes.
func altered(t testing.TB, db pgtest.Database, change func(u *url.URL)) string {
	t.Helper()
	u, err := url.Parse(db.DSN)
	must(t, err)
	change(u)
	return u.String()
}

// everyCall makes one call of each kind and returns the errors by name.
func everyCall(t testing.TB, dsn string) map[string]error {
	t.Helper()
	s, err := postgres.OpenBackend(dsn, postgres.Options{ConnectionsMax: 1, Lazy: true})
	must(t, err)
	defer s.Close()
	ctx, cancel := context.WithTimeout(context.Background(), testwait.Patience)
	defer cancel()
	calls := map[string]error{"ping": s.Ping(ctx)}
	_, calls["append"] = s.Append(ctx, store.AppendOptions{},
		store.StreamAppend{Stream: stream("a"), Events: events(1)})
	_, calls["horizon"] = s.Horizon(ctx)
	calls["read"] = s.Read(ctx, store.ReadRequest{Through: 9, Limit: 9, Range: store.FullRange()}, &store.Page{})
	_, calls["read stream"] = s.ReadStream(ctx, stream("a"), 1, 0)
	_, calls["locate"] = s.Locate(ctx, 0)
	_, calls["install"] = s.Install(ctx, sums(), 1)
	_, calls["status"] = s.Status(ctx)
	calls["reset"] = s.Reset(ctx, "sums")
	calls["heartbeat"] = s.Heartbeat(ctx, store.Worker{Name: "w"}, time.Minute)
	_, calls["claim"] = s.Claim(ctx, store.ClaimRequest{Projection: sums().ID(), Worker: "w", Limit: 1})
	calls["release"] = s.Release(ctx, store.Claim{Projection: sums().ID(), Worker: "w"})
	calls["fail"] = s.Fail(ctx, store.Claim{Projection: sums().ID(), Worker: "w"}, "reason")
	calls["leave"] = s.Leave(ctx, store.Worker{Name: "w"})
	return calls
}

// wantEvery checks the error of every call: what it is, what it says, and that it keeps the password.
func wantEvery(t *testing.T, calls map[string]error, target error, words ...string) {
	t.Helper()
	for name, err := range calls {
		if err == nil || target != nil && !errors.Is(err, target) {
			t.Errorf("%s: %v, want %v", name, err, target)
			continue
		}
		if target == nil && (errors.Is(err, store.ErrTransient) || errors.Is(err, store.ErrNotMigrated)) {
			t.Errorf("%s: %v will not pass by itself, nor with migrations", name, err)
		}
		if text := err.Error(); strings.Contains(text, secret) || strings.Contains(text, "\n") {
			t.Errorf("%s: the error has the password or a line break: %q", name, text)
		}
		for _, word := range words {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%s: %q does not say %q", name, err, word)
			}
		}
	}
}

func TestErrors_unreachableServer(t *testing.T) {
	t.Parallel()
	// Port 9 of this machine, which nobody listens at; two addresses, so that the driver's own text has two lines.
	dsn := "postgres://user:" + secret + "@127.0.0.1:9,127.0.0.1:19/db?sslmode=disable&connect_timeout=2"
	wantEvery(t, everyCall(t, dsn), store.ErrTransient)
}

func TestErrors_connectionRefusedByTheServer(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	conn := db.Connect(t)
	role := "locked_" + strings.Trim(conn.Config().Database, "/")
	execute(t, conn, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD 'another'", role))
	t.Cleanup(func() { execute(t, conn, "DROP ROLE "+role) })
	allowByPassword(t, db, role)
	wantEvery(t, everyCall(t, altered(t, db, func(u *url.URL) { u.User = url.UserPassword(role, secret) })), nil,
		"password authentication failed")
	wantEvery(t, everyCall(t, altered(t, db, func(u *url.URL) { u.Path = "/no_such_database" })), nil,
		"no_such_database")
	wantEvery(t, everyCall(t, altered(t, db, func(u *url.URL) { u.User = url.UserPassword("no_such_role", secret) })),
		nil, "no_such_role")
}

// allowByPassword has the server ask a role for its password.
func allowByPassword(t testing.TB, db pgtest.Database, role string) {
	t.Helper()
	conn := db.Connect(t)
	file := query(t, conn, "SHOW hba_file")[0][0]
	old := query(t, conn, "SELECT pg_read_file($1)", file)[0][0]
	write := func(text string) {
		execute(t, conn, "COPY (SELECT unnest(string_to_array('"+strings.ReplaceAll(text, "'", "''")+
			"', E'\\n'))) TO '"+file+"'")
		execute(t, conn, "SELECT pg_reload_conf()")
	}
	write("host all " + role + " 127.0.0.1/32 scram-sha-256\n" + old)
	t.Cleanup(func() { write(old) })
	testwait.Until(t, "the server reads its rules", func() bool {
		return query(t, conn, "SELECT count(*) FROM pg_hba_file_rules WHERE '"+role+"' = ANY (user_name)")[0][0] == "1"
	})
}

func TestErrors_notMigrated(t *testing.T) {
	t.Parallel()
	db := pgtest.Empty(t)
	wantEvery(t, everyCall(t, db.DSN), store.ErrNotMigrated, "Store.Migrate sets it up")
}

func TestErrors_serverIsReadOnly(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	r := newRig(t, db, db.DSN, postgres.Options{Lazy: true})
	must(t, r.commit(t.Context(), add("a", 1)))
	execute(t, db.Connect(t), "ALTER DATABASE "+db.Connect(t).Config().Database+
		" SET default_transaction_read_only = on")
	calls := everyCall(t, db.DSN)
	for _, name := range []string{"ping", "horizon", "read", "read stream", "locate", "status"} {
		if err := calls[name]; err != nil && !errors.Is(err, store.ErrStreamNotFound) {
			t.Errorf("%s: %v", name, err)
		}
		delete(calls, name)
	}
	delete(calls, "reset") // finds the owner before it writes
	wantEvery(t, calls, store.ErrTransient, "read-only")
	terminate(t, db)
	if err := r.commit(t.Context(), add("a", 1)); !errors.Is(err, store.ErrTransient) {
		t.Errorf("commit: %v", err)
	}
	r.want("a 1")
}

func TestErrors_roleWithoutRights(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	conn := db.Connect(t)
	role := "poor_" + conn.Config().Database
	execute(t, conn, "CREATE ROLE "+role+" LOGIN")
	t.Cleanup(func() { execute(t, conn, "DROP ROLE "+role) })
	calls := everyCall(t, altered(t, db, func(u *url.URL) { u.User = url.UserPassword(role, secret) }))
	delete(calls, "ping") // needs no right
	wantEvery(t, calls, nil, "permission denied")
}

func TestErrors_statementTimeoutIsTransient(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s, err := postgres.OpenBackend(db.DSN+"&statement_timeout=100", postgres.Options{Lazy: true})
	must(t, err)
	t.Cleanup(s.Close)
	ctx := context.Background()
	tx := begin(t, db.Connect(t))
	t.Cleanup(func() { _ = tx.Rollback(ctx) })
	_, err = tx.Exec(ctx, "LOCK TABLE pupwasm.events, pupwasm.workers")
	must(t, err)
	_, err = s.Append(ctx, store.AppendOptions{}, store.StreamAppend{Stream: stream("a"), Events: events(1)})
	if !errors.Is(err, store.ErrTransient) || !strings.Contains(err.Error(), "statement timeout") {
		t.Errorf("append: %v", err)
	}
	if err := s.Heartbeat(ctx, store.Worker{Name: "w"}, time.Minute); !errors.Is(err, store.ErrTransient) {
		t.Errorf("heartbeat: %v", err)
	}
}

func TestErrors_deadlineOfTheCallerIsTransient(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	must(t, s.Ping(t.Context()))
	tx := begin(t, db.Connect(t))
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	_, err := tx.Exec(t.Context(), "LOCK TABLE pupwasm.workers")
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := s.Heartbeat(ctx, store.Worker{Name: "w"}, time.Minute); !errors.Is(err, store.ErrTransient) {
		t.Errorf("got %v", err)
	}
}

func TestErrors_deadlockIsTransient(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	ctx := t.Context()
	one := func(id string) store.StreamAppend { return store.StreamAppend{Stream: stream(id), Events: events(1)} }
	_, err := s.Append(ctx, store.AppendOptions{}, one("a"), one("b"))
	must(t, err)
	first, second := begin(t, db.Connect(t)), begin(t, db.Connect(t))
	_, err = s.AppendTx(ctx, first, store.AppendOptions{}, one("a"))
	must(t, err)
	_, err = s.AppendTx(ctx, second, store.AppendOptions{}, one("b"))
	must(t, err)
	results := make(chan error)
	finish := func(tx pgx.Tx, id string) {
		_, err := s.AppendTx(ctx, tx, store.AppendOptions{}, one(id))
		_ = tx.Rollback(context.Background())
		results <- err
	}
	go finish(first, "b")
	go finish(second, "a")
	if a, b := <-results, <-results; (a == nil) == (b == nil) || !errors.Is(errors.Join(a, b), store.ErrTransient) {
		t.Errorf("got %v and %v, want one to be transient", a, b)
	}
}

func TestErrors_serverThatComesBack(t *testing.T) {
	t.Parallel()
	server, err := pgtest.Start()
	must(t, err)
	t.Cleanup(server.Stop)
	db := server.New(t)
	r := newRig(t, db, db.DSN, postgres.Options{Durable: true, Lazy: true})
	ctx := t.Context()
	must(t, r.commit(ctx, add("a", 1)))
	appended, err := r.store.Append(ctx, store.AppendOptions{},
		store.StreamAppend{Stream: stream("a"), Events: events(2)})
	must(t, err)
	server.Kill()
	if err := r.commit(ctx, add("a", 1)); !errors.Is(err, store.ErrTransient) {
		t.Errorf("with the server down: %v", err)
	}
	if _, err := r.store.Horizon(ctx); !errors.Is(err, store.ErrTransient) {
		t.Errorf("with the server down: %v", err)
	}
	must(t, server.Run())
	testwait.Until(t, "the store connects again", func() bool { return r.store.Ping(ctx) == nil })
	must(t, r.commit(ctx, add("a", 1)))
	r.want("a 2")
	horizon, err := r.store.Horizon(ctx)
	must(t, err)
	if horizon.Position < appended[1].Position {
		t.Errorf("after a crash the horizon is %+v, position %d was appended", horizon, appended[1].Position)
	}
	next, err := r.store.Append(ctx, store.AppendOptions{}, store.StreamAppend{
		Stream:   stream("a"),
		Expected: store.Exact(2), Events: events(1),
	})
	must(t, err)
	if next[0].Position <= appended[1].Position {
		t.Errorf("position %d follows %d", next[0].Position, appended[1].Position)
	}
}

func TestOpen_keepsThePasswordOfAURLThatItCannotRead(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{
		"postgres://user:" + secret + "@host:notaport/db",
		"postgres://user:" + secret + "@host/db?sslmode=nonsense",
		"postgres://user:" + secret + "@host:5432/db?pool_max_conns=many",
		"postgres://user:" + secret + "@ho st/db",
		"postgres://user:" + secret + "%zz@host/db",
		"host=h user=u password=" + secret + " sslmode=nonsense",
		"host=h user=u password=" + secret + " port=notaport",
		"host=h user=u password='" + secret,
		"password=" + secret + " nonsense",
		"user:" + secret + "@host",
	} {
		s, err := postgres.OpenBackend(dsn, postgres.Options{Lazy: true})
		if err == nil {
			s.Close()
			t.Errorf("%q is accepted", dsn)
			continue
		}
		if strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %q", dsn, err)
		}
	}
}
