package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// The writes and queries of the projection "sums".
const (
	sumsAdd = iota
	sumsInsert
	sumsDouble

	sumsAll  = 0
	sumsLoad = 1
	sumsBad  = 2
)

// sumsTotal is the table of sums itself.
var sumsTotal = pgtest.Table("sums", 1, "total")

func sums() *store.Projection {
	return &store.Projection{
		Name: "sums", Version: 1,
		Tables: []store.Table{{Name: "total", Key: []string{"name"}, Columns: []store.Column{
			{Name: "name", Type: typed("text"), Partition: true}, {Name: "n", Type: typed("i64")}, {
				Name: "note",
				Type: typed("text"),
			},
		}}},
		Writes: []store.Write{
			{
				Name: "add", Action: store.Upsert, Table: "total",
				Columns: []store.WriteColumn{{Name: "n", Action: store.ActionAdd}},
			},
			{Name: "insert", Action: store.Insert, Table: "total", Columns: []store.WriteColumn{{Name: "n"}}},
			{
				Name: "double", SQL: anySQL(`UPDATE {total} SET n = n * 2 WHERE name = $1`),
				Params: []store.Type{typed("text")}, PartitionParam: 1,
			},
		},
		Queries: []store.Query{
			{
				Name: "all", SQL: anySQL(`SELECT name, n FROM {total} ORDER BY name`),
				Results: []store.Type{typed("text"), typed("i64")}, Unordered: true,
			},
			{Name: "load", Table: "total", Columns: []string{"n"}},
			{
				Name: "bad", SQL: anySQL(`SELECT 1 / $1`), Params: []store.Type{typed("i64")},
				Results: []store.Type{typed("i64")}, Unordered: true,
			},
		},
	}
}

// rig is a store with the projection sums installed and its only segment claimed.
type rig struct {
	testing.TB
	db        pgtest.Database
	store     postgres.Backend
	catalogue store.Catalogue
	folder    *store.Folder
	claim     store.Claim
}

func newRig(t testing.TB, db pgtest.Database, dsn string, options postgres.Options) *rig {
	t.Helper()
	s, err := postgres.OpenBackend(dsn, options)
	must(t, err)
	t.Cleanup(s.Close)
	ctx := t.Context()
	catalogue, err := s.Install(ctx, sums(), 1)
	must(t, err)
	must(t, s.Heartbeat(ctx, store.Worker{Name: "w"}, time.Hour))
	claims, err := s.Claim(ctx, store.ClaimRequest{Projection: sums().ID(), Worker: "w", Limit: 1})
	must(t, err)
	handOut(t, db)
	return &rig{TB: t, db: db, store: s, catalogue: catalogue, folder: store.NewFolder(sums()), claim: claims[0]}
}

// handOut has the log begin far on: no checkpoint moves beyond the last position.
func handOut(t testing.TB, db pgtest.Database) {
	t.Helper()
	execute(t, db.Connect(t), fmt.Sprintf("SELECT setval('%q.events_global_position_seq', 1000000)", db.Schema))
}

func add(name string, n int64) store.Mutation {
	return store.Mutation{Write: sumsAdd, Values: []store.Value{store.Text(name), store.I64(n)}}
}

func insert(name string) store.Mutation {
	return store.Mutation{Write: sumsInsert, Values: []store.Value{store.Text(name), store.I64(1)}}
}

func double(name string) store.Mutation {
	return store.Mutation{Write: sumsDouble, Values: []store.Value{store.Text(name)}}
}

func (r *rig) commit(ctx context.Context, mutations ...store.Mutation) error {
	err := r.commitSteps(ctx, r.folder.Fold(mutations))
	if err == nil {
		r.claim.Position++
	}
	return err
}

func (r *rig) commitSteps(ctx context.Context, steps []store.Step) error {
	tx := r.catalogue.Begin(r.claim)
	defer tx.Rollback()
	return tx.Commit(ctx, store.Commit{Through: r.claim.Position + 1, Steps: steps, Log: r.claim.Applied.Log})
}

// want compares the table and the checkpoint, past the store.
func (r *rig) want(table string) {
	r.Helper()
	wantRows(r, r.db, "SELECT name, n FROM sums.total ORDER BY name", table)
	wantRows(r, r.db, "SELECT position FROM pupwasm.segments", fmt.Sprint(r.claim.Position))
}

// wantClean checks that no connection of the store is left in a transaction.
func (r *rig) wantClean() {
	r.Helper()
	wantRows(r, r.db, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND "+
		"application_name = 'pupwasm' AND state <> 'idle'", "0")
}

func TestCommit_isOneRoundTrip(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	p := newProxy(t, db)
	r := newRig(t, db, p.dsn, postgres.Options{ConnectionsMax: 1, Lazy: true})
	ctx := t.Context()
	for i, step := range []func(){
		func() { must(t, r.commit(ctx, add("a", 1))) },
		func() { must(t, r.commit(ctx, add("a", 1), double("a"), add("a", 3), double("a"), add("b", 5))) },
		func() { must(t, r.commit(ctx)) },
	} {
		if got := p.RoundTrips(step); got != 1 {
			t.Errorf("commit %d takes %d round trips, want 1", i, got)
		}
	}
	r.want("a 14;b 5")
	got := p.RoundTrips(func() {
		tx := r.catalogue.Begin(r.claim)
		var rows store.Rows
		must(t, tx.Query(ctx, sumsAll, nil, &rows))
		must(t, tx.Query(ctx, sumsAll, nil, &rows))
		must(t, tx.Commit(ctx, store.Commit{Through: r.claim.Position + 1, Log: r.claim.Applied.Log}))
		tx.Rollback()
		r.claim.Position++
	})
	if got != 3 {
		t.Errorf("two queries and a commit take %d round trips, want 3", got)
	}
}

func TestAppendAndRead_areOneRoundTrip(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	p := newProxy(t, db)
	s, err := postgres.OpenBackend(p.dsn, postgres.Options{ConnectionsMax: 1, Lazy: true})
	must(t, err)
	t.Cleanup(s.Close)
	ctx := t.Context()
	appendSome := func() {
		var appends []store.StreamAppend
		for i := range 20 {
			appends = append(appends, store.StreamAppend{Stream: stream(fmt.Sprint(i)), Events: events(3)})
		}
		_, err := s.Append(ctx, store.AppendOptions{}, appends...)
		must(t, err)
	}
	var page store.Page
	read := func() {
		must(t, s.Read(ctx, store.ReadRequest{
			Through: 100, Limit: 100, Range: store.FullRange(),
			Columns: store.AllColumns,
		}, &page))
	}
	horizon := func() {
		_, err := s.Horizon(ctx)
		must(t, err)
	}
	for name, step := range map[string]func(){"append": appendSome, "read": read, "horizon": horizon} {
		step() // the statement is prepared on its first use
		if got := p.RoundTrips(step); got != 1 {
			t.Errorf("%s takes %d round trips, want 1", name, got)
		}
	}
}

func TestCommit_errorInTheMiddleLeavesAUsableConnection(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	r := newRig(t, db, db.DSN, postgres.Options{ConnectionsMax: 1, Lazy: true})
	ctx := t.Context()
	must(t, r.commit(ctx, add("a", 1)))
	before := ask(t, db, "SELECT pid FROM pg_stat_activity WHERE application_name = 'pupwasm' AND "+
		"datname = current_database()")
	for name, mutations := range map[string][]store.Mutation{
		"first":  {insert("a"), double("a"), add("b", 1)},
		"middle": {add("b", 1), double("b"), insert("a"), double("b"), add("c", 1)},
		"last":   {add("b", 1), double("b"), insert("a")},
	} {
		var rejection *store.RejectedError
		if err := r.commit(ctx, mutations...); !errors.As(err, &rejection) || rejection.Statement != `write "insert"` ||
			!strings.Contains(rejection.Reason, "duplicate key") {
			t.Errorf("%s: %v", name, err)
		}
		r.want("a 1")
		r.wantClean()
	}
	stale := r.claim
	stale.Epoch--
	tx := r.catalogue.Begin(stale)
	if err := tx.Commit(ctx, store.Commit{
		Through: 9, Steps: r.folder.Fold([]store.Mutation{add("a", 1)}),
		Log: stale.Applied.Log,
	}); !errors.Is(err, store.ErrFenced) {
		t.Errorf("a stale claim: %v", err)
	}
	r.wantClean() // also before Rollback
	tx.Rollback()
	tx = r.catalogue.Begin(r.claim)
	var rows store.Rows
	must(t, tx.Query(ctx, sumsAll, nil, &rows))
	var rejection *store.RejectedError
	if err := tx.Query(ctx, sumsBad, []store.Value{store.I64(0)}, &rows); !errors.As(err, &rejection) ||
		rejection.Statement != `query "bad"` {
		t.Errorf("a refused query: %v", err)
	}
	tx.Rollback()
	r.wantClean()
	must(t, r.commit(ctx, add("a", 1)))
	r.want("a 2")
	after := ask(t, db, "SELECT pid FROM pg_stat_activity WHERE application_name = 'pupwasm' AND "+
		"datname = current_database()")
	if fmt.Sprint(before) != fmt.Sprint(after) {
		t.Errorf("the connection was replaced: %v, %v", before, after)
	}
}

// TestTransaction_settingsAreFixed has a trigger of the database's owner write down the settings that a commit
// runs with.
func TestTransaction_settingsAreFixed(t *testing.T) {
	t.Parallel()
	for _, with := range []struct {
		durable bool
		claim   store.Durability
		mode    string
	}{
		{false, store.DurabilityOfStore, "off"},
		{true, store.DurabilityOfStore, "on"},
		{false, store.Durable, "on"},
		{true, store.Volatile, "off"},
	} {
		db := pgtest.New(t)
		dsn := db.DSN + "&timezone=Pacific/Auckland&datestyle=German&intervalstyle=iso_8601&extra_float_digits=-5&bytea_output=escape&search_path=public&lc_time=C.UTF-8"
		r := newRig(t, db, dsn, postgres.Options{ConnectionsMax: 1, Durable: with.durable, Lazy: true})
		r.claim.Durability = with.claim
		execute(t, db.Connect(t), `CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS $$
			BEGIN
				NEW.note := concat_ws(' ', current_setting('timezone'), current_setting('datestyle'),
				current_setting('intervalstyle'),
					current_setting('extra_float_digits'), current_setting('bytea_output'),
					current_setting('search_path'),
					current_setting('lc_time'), current_setting('synchronous_commit'),
					current_setting('transaction_isolation'));
				RETURN NEW;
			END $$;
			CREATE TRIGGER note BEFORE INSERT OR UPDATE ON `+sumsTotal+` FOR EACH ROW EXECUTE FUNCTION public.note()`)
		want := "UTC ISO, MDY postgres 1 hex pg_catalog C " + with.mode + " read committed"
		must(t, r.commit(t.Context(), add("a", 1)))
		wantRows(t, db, "SELECT note FROM sums.total", want)

		p := sums()
		p.Queries[0].SQL = anySQL(`SELECT to_char(to_timestamp(0),
			'HH24 TZ') || ' ' || to_timestamp(0)::text || ' ' || make_interval(days => 1)::text, 1`)
		catalogue, err := r.store.Install(t.Context(), p, 1)
		must(t, err)
		tx := catalogue.Begin(r.claim)
		var rows store.Rows
		must(t, tx.Query(t.Context(), sumsAll, nil, &rows))
		if got := string(rows.Values[0].Bytes()); got != "00 UTC 1970-01-01 00:00:00+00 1 day" {
			t.Errorf("a query before the commit sees %q", got)
		}
		must(t, tx.Commit(t.Context(), store.Commit{
			Through: r.claim.Position + 1,
			Steps:   r.folder.Fold([]store.Mutation{add("b", 1)}), Log: r.claim.Applied.Log,
		}))
		tx.Rollback()
		wantRows(t, db, "SELECT note FROM sums.total WHERE name = 'b'", want)
	}
}

// TestCommit_constraintsAddedByHandAreCheckedAtTheEnd has rows that break a constraint for as long as the batch is
// not complete.
func TestCommit_constraintsAddedByHandAreCheckedAtTheEnd(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	ctx := t.Context()
	p := &store.Projection{
		Name: "family", Version: 1, Order: store.OrderGlobal,
		Tables: []store.Table{
			{Name: "parent", Key: []string{"id"}, Columns: []store.Column{{Name: "id", Type: typed("text")}}},
			{
				Name: "child", Key: []string{"id"}, Columns: []store.Column{
					{Name: "id", Type: typed("text")},
					{Name: "parent", Type: typed("text")},
					{Name: "seat", Type: typed("i64")},
				},
			},
		},
		Writes: []store.Write{
			{Name: "parent", Action: store.InsertIgnore, Table: "parent"},
			{
				Name: "child", Action: store.Upsert, Table: "child",
				Columns: []store.WriteColumn{{Name: "parent"}, {Name: "seat"}},
			},
		},
	}
	_, err := s.Install(ctx, p, 1)
	must(t, err)
	execute(t, db.Connect(t), `ALTER TABLE family__v1.child ADD FOREIGN KEY (parent) REFERENCES family__v1.parent DEFERRABLE INITIALLY DEFERRED,
		ADD UNIQUE (seat) DEFERRABLE INITIALLY DEFERRED`)
	catalogue, err := s.Install(ctx, p, 1) // which leaves them alone
	must(t, err)
	must(t, s.Heartbeat(ctx, store.Worker{Name: "w"}, time.Hour))
	claims, err := s.Claim(ctx, store.ClaimRequest{
		Projection: store.ProjectionID{Name: "family", Version: 1}, Worker: "w",
		Limit: 1,
	})
	must(t, err)
	handOut(t, db)
	parent := func(id string) store.Mutation {
		return store.Mutation{Write: 0, Values: []store.Value{store.Text(id)}}
	}
	child := func(id, parent string, seat int64) store.Mutation {
		return store.Mutation{Write: 1, Values: []store.Value{store.Text(id), store.Text(parent), store.I64(seat)}}
	}
	commit := func(mutations ...store.Mutation) error {
		tx := catalogue.Begin(claims[0])
		defer tx.Rollback()
		err := tx.Commit(ctx, store.Commit{
			Through: claims[0].Position + 1, Steps: store.NewFolder(p).Fold(mutations),
			Log: claims[0].Applied.Log,
		})
		if err == nil {
			claims[0].Position++
		}
		return err
	}
	must(t, commit(parent("p"), child("a", "p", 1), parent("q"), child("b", "q", 2)))
	must(t, commit(child("c", "p", 3), parent("r"), child("d", "r", 4))) // d's parent comes in a later step
	must(t, commit(child("b", "q", 9), child("a", "p", 2), child("b", "q", 1)))
	wantRows(t, db, "SELECT id, parent, seat FROM family.child ORDER BY id", "a p 2;b q 1;c p 3;d r 4")
	for name, bad := range map[string]store.Mutation{
		"foreign key": child("e", "nobody", 7),
		"unique":      child("e", "p", 2),
	} {
		err := commit(parent("z"), bad)
		var rejection *store.RejectedError
		if !errors.As(err, &rejection) || rejection.Statement != "the batch" ||
			!strings.Contains(rejection.Reason, "constraint") {
			t.Errorf("%s: %v", name, err)
		}
	}
	wantRows(t, db, "SELECT count(*) FROM family.parent", "3")
}

// TestCommit_beyondTheLogIsOfAnotherLog: such a position was seen on another server, before a failover, and will
// be handed out again.
func TestCommit_beyondTheLogIsOfAnotherLog(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	r := newRig(t, db, db.DSN, postgres.Options{Lazy: true})
	ctx := t.Context()
	execute(t, db.Connect(t), "ALTER SEQUENCE pupwasm.events_global_position_seq RESTART")
	if err := r.commit(ctx, add("a", 1)); !errors.Is(err, store.ErrOtherLog) {
		t.Errorf("in an empty log: %v", err)
	}
	appendOne(t, r.store, "a")
	must(t, r.commit(ctx, add("a", 1)))
	if err := r.commit(ctx, add("a", 1)); !errors.Is(err, store.ErrOtherLog) {
		t.Errorf("at position 2 of 1: %v", err)
	}
	r.want("a 1")
}
