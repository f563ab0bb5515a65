package postgres_test

import (
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/migrations"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// roleWithout creates a role that may do nothing, and returns the database as it sees it.
func roleWithout(t *testing.T, name string, prepare func(t *testing.T) pgtest.Database) (db, asRole pgtest.Database) {
	t.Helper()
	admin := connectTo(t, pgtest.Shared(t).DSN)
	execute(t, admin, "CREATE ROLE "+name+" LOGIN")
	t.Cleanup(func() { execute(t, admin, "DROP ROLE "+name) }) // once its database is gone
	db = prepare(t)
	asRole = db
	asRole.DSN = strings.Replace(db.DSN, "postgres@", name+"@", 1)
	return db, asRole
}

// TestRights_aHostNeedsNoneToCreateSchemas runs a projection by a role that may use the schemas that an
// administrator has made.
func TestRights_aHostNeedsNoneToCreateSchemas(t *testing.T) {
	t.Parallel()
	db, asRole := roleWithout(t, "rights_host", func(t *testing.T) pgtest.Database { t.Helper(); return pgtest.New(t) })
	ctx, admin, s := t.Context(), db.Connect(t), open(t, asRole)
	execute(t, admin, `GRANT USAGE ON SCHEMA pupwasm TO rights_host; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA pupwasm TO rights_host;
		GRANT USAGE, UPDATE ON ALL SEQUENCES IN SCHEMA pupwasm TO rights_host`)
	handle, err := sql.Open("pgx", asRole.DSN)
	must(t, err)
	t.Cleanup(func() { handle.Close() })
	migrator, err := migrations.New(handle, migrations.Postgres, "pupwasm")
	must(t, err)
	_, err = migrator.Up(ctx) // there is nothing to do
	must(t, err)
	must(t, s.Ping(ctx))
	appendOne(t, s, "a")

	var fault *store.CatalogueError
	_, err = s.Install(ctx, sums(), 1)
	if !errors.As(err, &fault) || !strings.Contains(err.Error(),
		`projection "sums": needs schemas sums and sums__v1, which this role may not create: have CREATE SCHEMA "sums" `+
			`AUTHORIZATION … and CREATE SCHEMA "sums__v1" AUTHORIZATION … run for it`) {
		t.Errorf("without the schema: %v", err)
	}
	execute(t, admin, "CREATE SCHEMA sums; CREATE SCHEMA sums__v1; GRANT USAGE ON SCHEMA sums, sums__v1 TO rights_host")
	_, err = s.Install(ctx, sums(), 1)
	if !errors.As(err, &fault) || !strings.Contains(err.Error(),
		`table "total": this role may not create it: have GRANT CREATE, USAGE ON SCHEMA "sums__v1"`) {
		t.Errorf("without the right to create in it: %v", err)
	}
	execute(t, admin, "GRANT CREATE ON SCHEMA sums__v1 TO rights_host")
	_, err = s.Install(ctx, sums(), 1)
	if !errors.As(err, &fault) || !strings.Contains(err.Error(),
		`table "total": this role may not create the view by which it is read: have GRANT CREATE, USAGE ON SCHEMA "sums"`) {
		t.Errorf("without the right to create a view: %v", err)
	}
	execute(t, admin, "GRANT CREATE ON SCHEMA sums TO rights_host")
	for range 2 {
		catalogue, err := s.Install(ctx, sums(), 1)
		must(t, err)
		must(t, s.Heartbeat(ctx, store.Worker{Name: "w"}, time.Minute))
		claims, err := s.Claim(ctx, store.ClaimRequest{Projection: sums().ID(), Worker: "w", Limit: 1})
		must(t, err)
		unit := catalogue.Begin(claims[0])
		must(t, unit.Commit(ctx, store.Commit{
			Through: 1, Steps: store.NewFolder(sums()).Fold([]store.Mutation{add("a", 1)}), Log: claims[0].Applied.Log,
		}))
		_, err = s.Arm(ctx, store.Listener{Name: "w"}, time.Minute)
		must(t, err)
		must(t, s.Disarm(ctx, store.Listener{Name: "w"}))
		must(t, s.Leave(ctx, store.Worker{Name: "w"}))
		wantRows(t, db, "SELECT name, n FROM sums.total", "a 1")
		// The schemas are not the role's: they stay, for the next install.
		must(t, s.Reset(ctx, "sums"))
		wantRows(t, db, "SELECT count(*) FROM pg_class WHERE relnamespace IN ('sums'::regnamespace, 'sums__v1'::regnamespace)", "0")
	}
}

// TestRights_aReaderOfTheLog has what docs/running.md grants to a host whose tables are elsewhere.
func TestRights_aReaderOfTheLog(t *testing.T) {
	t.Parallel()
	db, asRole := roleWithout(t, "rights_reader", func(t *testing.T) pgtest.Database { t.Helper(); return pgtest.New(t) })
	ctx, admin, s := t.Context(), db.Connect(t), open(t, asRole)
	position := appendOne(t, open(t, db), "a")
	execute(t, admin, `GRANT USAGE ON SCHEMA pupwasm TO rights_reader;
		GRANT SELECT ON ALL TABLES IN SCHEMA pupwasm TO rights_reader`)
	must(t, s.Ping(ctx))
	must(t, s.CheckLog(ctx))
	horizon, err := s.Horizon(ctx)
	must(t, err)
	var page store.Page
	must(t, s.Read(ctx, store.ReadRequest{Through: horizon.Position, Limit: 9, Range: store.FullRange()}, &page))
	_, err = s.Locate(ctx, horizon.Position)
	must(t, err)
	applied, err := s.AppliedAt(ctx, horizon.Position)
	must(t, err)
	if len(page.Events) != 1 || applied.Position != position {
		t.Errorf("%d events are read, the last one is %+v", len(page.Events), applied)
	}
	listener := store.Listener{Name: "w", Elsewhere: true}
	if _, err := s.Arm(ctx, listener, time.Minute); err == nil {
		t.Error("it arms without a right to")
	}
	execute(t, admin, `GRANT INSERT, UPDATE, DELETE ON pupwasm.listeners TO rights_reader;
		GRANT UPDATE ON SEQUENCE pupwasm.armed_until TO rights_reader`)
	quiet, err := s.Arm(ctx, listener, time.Minute)
	if err != nil || !quiet {
		t.Errorf("Arm: %t, %v", quiet, err)
	}
	wantRows(t, db, "SELECT worker FROM pupwasm.listeners", "w")
	must(t, s.Disarm(ctx, listener))
	wantRows(t, db, "SELECT (SELECT count(*) FROM pupwasm.listeners) + last_value FROM pupwasm.armed_until", "0")
}

// TestRights_migrationsNeedNoneToCreateASchemaThatIsThere sets pupwasm up by a role that owns its schema and no more.
func TestRights_migrationsNeedNoneToCreateASchemaThatIsThere(t *testing.T) {
	t.Parallel()
	db, asRole := roleWithout(t,
		"rights_migrator", func(t *testing.T) pgtest.Database { t.Helper(); return pgtest.Empty(t) })
	execute(t, db.Connect(t), "CREATE SCHEMA pupwasm AUTHORIZATION rights_migrator; CREATE SCHEMA sums "+
		"AUTHORIZATION rights_migrator; CREATE SCHEMA sums__v1 AUTHORIZATION rights_migrator")
	s, err := postgres.OpenBackend(asRole.WithSchema(t, "pupwasm").DSN, postgres.Options{})
	must(t, err)
	t.Cleanup(s.Close)
	appendOne(t, s, "a")
	_, err = s.Install(t.Context(), sums(), 1)
	must(t, err)
	must(t, s.Reset(t.Context(), "sums"))
	wantRows(t, db, "SELECT count(*) FROM pg_class WHERE relnamespace IN ('sums'::regnamespace, 'sums__v1'::regnamespace)",
		"0")
	_, err = s.Install(t.Context(), sums(), 1) // it could not make its schemas again
	must(t, err)
}
