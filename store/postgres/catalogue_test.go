package postgres_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

func TestInstall_makesTheTableAsDeclared(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	p := &store.Projection{
		Name: "shapes", Version: 1, Order: store.OrderGlobal,
		Tables: []store.Table{{
			Name: "row", Key: []string{"b", "a"}, Indexes: [][]string{{"n"}, {"t", "n"}},
			Columns: []store.Column{
				{Name: "a", Type: typed("i64")},
				{Name: "b", Type: typed("uuid")},
				{Name: "n", Type: typed("numeric"), NotNull: true, Default: []byte("1.50")},
				{Name: "t", Type: typed("text"), Default: []byte(`"it's"`)},
				{Name: "at", Type: typed("timestamptz")},
				{Name: "tags", Type: typed("text[]")},
				{Name: "j", Type: typed("json")},
				{Name: "y", Type: typed("bytes")},
				{Name: "f", Type: typed("f64")},
				{Name: "ok", Type: typed("bool"), Default: []byte("false")},
			},
		}},
	}
	_, err := s.Install(t.Context(), p, 1)
	must(t, err)
	wantRows(t, db, `SELECT a.attname, format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid)
		FROM pg_attribute a LEFT JOIN pg_attrdef d ON adrelid = attrelid AND adnum = attnum
		WHERE attrelid = 'shapes__v1.row'::regclass AND attnum > 0 ORDER BY attnum`,
		"a bigint t NULL;b uuid t NULL;n numeric t 1.50;t text f 'it''s'::text;at timestamp with time zone f "+
			"NULL;tags text[] f NULL;j jsonb f NULL;y bytea f NULL;f double precision f NULL;ok boolean f false")
	wantRows(t, db, "SELECT indexdef FROM pg_indexes WHERE schemaname = 'shapes__v1' ORDER BY indexname",
		`CREATE INDEX row_index_1 ON shapes__v1."row" USING btree (n);CREATE INDEX row_index_2 ON shapes__v1."row" USING btree (t, n);`+
			`CREATE UNIQUE INDEX row_pkey ON shapes__v1."row" USING btree (b, a)`)
	// no probe is left
	wantRows(t, db, "SELECT count(*) FROM pg_proc p WHERE pronamespace IN ('shapes'::regnamespace, 'shapes__v1'::regnamespace)", "0")
}

func TestInstall_aSchemaOfSomebodyElseIsRefused(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	execute(t, db.Connect(t), "CREATE SCHEMA sums; CREATE TABLE sums.precious (x int)")
	_, err := s.Install(t.Context(), sums(), 1)
	var fault *store.CatalogueError
	if !errors.As(err, &fault) || !strings.Contains(err.Error(), "not the projection's") {
		t.Errorf("got %v", err)
	}
	var input *store.InputError
	if err := s.Reset(t.Context(), "sums"); !errors.As(err, &input) {
		t.Errorf("reset: %v", err)
	}
	wantRows(t, db, "SELECT count(*) FROM sums.precious", "0")
}

// TestInstall_whileAWorkerCommits has one host install what another runs: neither waits for the other's
// transaction to time out.
func TestInstall_whileAWorkerCommits(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	r := newRig(t, db, db.DSN, postgres.Options{Lazy: true})
	other := open(t, db)
	done := make(chan error)
	go func() {
		var err error
		for range 10 {
			if _, err = other.Install(t.Context(), sums(), 1); err != nil {
				break
			}
		}
		done <- err
	}()
	for installing := true; installing; {
		select {
		case err := <-done:
			must(t, err)
			installing = false
		default:
			must(t, r.commit(t.Context(), add("a", 1)))
		}
	}
}

func TestQuery_resultThatIsTooLarge(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	p := sums()
	p.Queries = append(p.Queries, store.Query{Name: "huge", SQL: anySQL("SELECT repeat('x', 1000000) FROM " +
		"generate_series(1, 100)"), Results: []store.Type{typed("text")}, Unordered: true})
	catalogue, err := s.Install(t.Context(), p, 1)
	must(t, err)
	must(t, s.Heartbeat(t.Context(), store.Worker{Name: "w"}, time.Hour))
	claims, err := s.Claim(t.Context(), store.ClaimRequest{Projection: sums().ID(), Worker: "w", Limit: 1})
	must(t, err)
	tx := catalogue.Begin(claims[0])
	defer tx.Rollback()
	var rows store.Rows
	var rejection *store.RejectedError
	if err := tx.Query(t.Context(), len(p.Queries)-1, nil, &rows); !errors.As(err, &rejection) ||
		rejection.Statement != `query "huge"` {
		t.Errorf("got %v", err)
	}
}
