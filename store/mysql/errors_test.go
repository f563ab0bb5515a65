package mysql_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/mariadbserver"
	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
)

const secret = "s3cr3t-w0rd"

// altered returns a database's URL with changes.
func altered(t testing.TB, at mariadbtest.Database, change func(u *url.URL)) string {
	t.Helper()
	u, err := url.Parse(at.URL)
	must(t, err)
	change(u)
	return u.String()
}

// everyCall makes one call of each kind and returns the errors by name.
func everyCall(t testing.TB, at string) map[string]error {
	t.Helper()
	s, err := mysql.OpenBackend(at, mysql.Options{})
	must(t, err)
	defer s.Close()
	ctx, cancel := context.WithTimeout(context.Background(), testwait.Patience)
	defer cancel()
	stream := store.Stream{BoundedContext: "shop", AggregateType: "order", AggregateID: "a"}
	calls := map[string]error{"ping": s.Ping(ctx)}
	_, calls["append"] = s.Append(ctx, store.AppendOptions{}, store.StreamAppend{
		Stream: stream, Events: []store.Event{{Type: "placed"}},
	})
	_, calls["horizon"] = s.Horizon(ctx)
	calls["read"] = s.Read(ctx, store.ReadRequest{Through: 9, Limit: 9, Range: store.FullRange()}, &store.Page{})
	_, calls["read stream"] = s.ReadStream(ctx, stream, 1, 0)
	_, calls["locate"] = s.Locate(ctx, 0)
	_, calls["install"] = s.Install(ctx, ledger(), 1)
	_, calls["status"] = s.Status(ctx)
	calls["reset"] = s.Reset(ctx, "ledger")
	calls["heartbeat"] = s.Heartbeat(ctx, store.Worker{Name: "w"}, time.Minute)
	_, calls["claim"] = s.Claim(ctx, store.ClaimRequest{Projection: ledger().ID(), Worker: "w", Limit: 1})
	calls["release"] = s.Release(ctx, store.Claim{Projection: ledger().ID(), Worker: "w"})
	calls["fail"] = s.Fail(ctx, store.Claim{Projection: ledger().ID(), Worker: "w"}, "reason")
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
	t.Log(calls["append"])
}

func TestErrors_unreachableServer(t *testing.T) {
	t.Parallel()
	wantEvery(t, everyCall(t, "mysql://user:"+secret+"@127.0.0.1:9/shop"), store.ErrTransient, "127.0.0.1:9/shop",
		"connection refused")
}

func TestErrors_connectionRefusedByTheServer(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	db := at.Connect(t)
	execute(t, db, "CREATE USER "+at.Name+" IDENTIFIED BY 'another'")
	t.Cleanup(func() { dropUser(t, at) })
	as := func(password string) string {
		return altered(t, at, func(u *url.URL) { u.User = url.UserPassword(at.Name, password) })
	}
	wantEvery(t, everyCall(t, as(secret)), nil, "Access denied for user '"+at.Name+"'", "the user or the password")
	wantEvery(t, everyCall(t, as("another")), nil, "Access denied for user '"+at.Name+"'", "grant")
	wantEvery(t, everyCall(t, altered(t, at, func(u *url.URL) { u.Path = "/no_such_database" })), nil,
		"no_such_database", "create the database")
}

func TestErrors_rightsThatAreMissing(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	db := at.Connect(t)
	execute(t, db, "CREATE USER "+at.Name)
	t.Cleanup(func() { dropUser(t, at) })
	execute(t, db, "GRANT SELECT ON "+at.Name+".pupwasm__snapshots TO "+at.Name)
	calls := everyCall(t, altered(t, at, func(u *url.URL) { u.User = url.User(at.Name) }))
	delete(calls, "ping") // tables without rights are not there
	wantEvery(t, calls, nil, "grant", at.Name)
}

// dropUser drops the user with the name of the database, also when the test has ended.
func dropUser(t testing.TB, at mariadbtest.Database) {
	t.Helper()
	if _, err := at.Connect(t).Exec("DROP USER " + at.Name); err != nil {
		t.Error(err)
	}
}

func TestErrors_notMigrated(t *testing.T) {
	t.Parallel()
	wantEvery(t, everyCall(t, mariadbtest.Empty(t).URL), store.ErrNotMigrated, "Store.Migrate sets it up")
}

// TestErrors_ofAServer has a server that takes no writes, then no connections, and then ends.
func TestErrors_ofAServer(t *testing.T) {
	t.Parallel()
	server, err := mariadbserver.Start()
	must(t, err)
	t.Cleanup(server.Stop)
	at := mariadbtest.On(t, server)
	at.Migrate(t, "pupwasm")
	db := at.Connect(t)
	execute(t, db, "CREATE USER host")
	execute(t, db, "GRANT ALL ON *.* TO host")
	execute(t, db, "REVOKE SUPER, READ_ONLY ADMIN, CONNECTION ADMIN ON *.* FROM host")
	host := altered(t, at, func(u *url.URL) { u.User = url.User("host") })

	execute(t, db, "SET GLOBAL read_only = 1")
	calls := everyCall(t, host)
	for _, name := range []string{"ping", "read", "read stream", "locate", "status", "reset", "release", "fail", "claim"} {
		delete(calls, name) // which do not write, or find nothing to write
	}
	wantEvery(t, calls, store.ErrReadOnly, "the database is not available")
	r := newRigAs(t, at, host)
	if err := r.commit(t.Context(), add("a", 1)); !errors.Is(err, store.ErrReadOnly) || !errors.Is(err, store.ErrTransient) {
		t.Errorf("the commit returns %v", err)
	}
	execute(t, db, "SET GLOBAL read_only = 0")
	must(t, r.commit(t.Context(), add("a", 1)))
	r.want("a 1")

	execute(t, db, "SET GLOBAL max_connections = 10")
	for range 20 { // some of them are taken
		if conn, err := at.Connect(t).Conn(t.Context()); err == nil {
			defer conn.Close()
		}
	}
	wantEvery(t, everyCall(t, host), store.ErrTransient, "Too many connections")

	server.Kill()
	if err := r.commit(t.Context(), add("a", 1)); !errors.Is(err, store.ErrTransient) {
		t.Errorf("of a server that has ended: %v", err)
	}
	must(t, server.Run())
	testwait.Until(t, "the store works again", func() bool { return r.store.Ping(t.Context()) == nil })
	must(t, r.commit(t.Context(), add("a", 1)))
}

// newRigAs makes a rig whose store is another user's from then on.
func newRigAs(t *testing.T, at mariadbtest.Database, as string) *rig {
	t.Helper()
	execute(t, at.Connect(t), "SET GLOBAL read_only = 0")
	r := newRig(t, at, at.URL, mysql.Options{})
	r.store = open(t, as, mysql.Options{})
	var err error
	r.catalogue, err = r.store.Install(t.Context(), ledger(), 1)
	must(t, err)
	execute(t, at.Connect(t), "SET GLOBAL read_only = 1")
	return r
}

// TestCommit_aConnectionThatIsLost ends the session at once, and behind the store's back: the checkpoint tells whether the
// batch was committed.
func TestCommit_aConnectionThatIsLost(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	p := newProxy(t, at)
	r := newRig(t, at, p.url, mysql.Options{})
	must(t, r.commit(t.Context(), add("a", 1)))
	for range 3 {
		holder := begun(t, at, "UPDATE "+r.table("total")+" SET n = n WHERE name = 'a'")
		ended := make(chan error, 1)
		go func() { ended <- r.commit(t.Context(), add("a", 1)) }()
		awaitBlocked(t, at, 1)
		p.Cut()
		if err := <-ended; !errors.Is(err, store.ErrTransient) || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %v", err)
		}
		must(t, holder.Rollback())
		testwait.Until(t, "the session has ended", func() bool {
			return text(t, r.db, "SELECT COUNT(*) FROM information_schema.processlist WHERE command = 'Query' AND db = '"+at.Name+
				"' AND id <> CONNECTION_ID()") == "0"
		})
		position := text(t, r.db, "SELECT position FROM pupwasm__segments")
		if n := text(t, r.db, "SELECT n FROM "+r.table("total")); n != position {
			t.Fatalf("the sum is %s at position %s", n, position)
		}
		_, err := fmt.Sscan(position, &r.claim.Position)
		must(t, err)
		must(t, r.commit(t.Context(), add("a", 1)))
	}
}

// TestCommit_aContextThatEnds while the server waits for a lock.
func TestCommit_aContextThatEnds(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	r := newRig(t, at, at.URL, mysql.Options{})
	must(t, r.commit(t.Context(), add("a", 1)))
	begun(t, at, "UPDATE "+r.table("total")+" SET n = n WHERE name = 'a'")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.commit(ctx, add("a", 1)) }()
	awaitBlocked(t, at, 1)
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) || errors.Is(err, store.ErrTransient) {
		t.Errorf("got %v", err)
	}
}
