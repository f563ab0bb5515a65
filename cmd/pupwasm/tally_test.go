package main_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pupwasm/pupwasm/internal/guestbuild"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
)

// tallyModule is a version of tally, whose versions have the same rows.
func tallyModule(t *testing.T, version int) []byte {
	t.Helper()
	return guestbuild.Example(t, guestbuild.Go, fmt.Sprint("testdata/tally_", version))
}

// tallyReader reads the views of tally all the time, as an application does, over one connection and by one prepared
// statement. The two tables must always have the same rows, none may go, and no number may become less: but for what a
// crash of the server may take, so that what is seen in one life of a server is compared.
type tallyReader struct {
	t    *testing.T
	db   database
	stop context.CancelFunc
	done sync.WaitGroup

	life  string // of the server
	seen  map[string]counted
	reads int // with rows
	lives int
}

// counted is a row of tally.
type counted struct{ events, position int64 }

// readerPace is the rest of a reader between two reads.
const readerPace = 10 * time.Millisecond

func startTallyReader(t *testing.T, db database) *tallyReader {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	r := &tallyReader{t: t, db: db, stop: cancel}
	r.done.Go(func() {
		tick := time.NewTicker(readerPace)
		defer tick.Stop()
		for ctx.Err() == nil && !t.Failed() {
			if err := r.connect(ctx, tick.C); ctx.Err() == nil && !isAway(err) {
				t.Errorf("a reader meets: %v", err)
			}
			<-tick.C
		}
	})
	t.Cleanup(r.finish)
	return r
}

// finish stops the reader.
func (r *tallyReader) finish() {
	r.stop()
	r.done.Wait()
}

// isAway reports that an error is of a connection, and not of what was asked.
func isAway(err error) bool {
	var maria *mysql.MySQLError
	if errors.As(err, &maria) {
		return maria.Number == 1927 || maria.Number == 1053 // killed, or the server ends
	}
	var pg *pgconn.PgError
	return !errors.As(err, &pg) || strings.HasPrefix(pg.Code, "57P") || strings.HasPrefix(pg.Code, "08")
}

const readTally = `SELECT life, stream, s.events, s.position, t.events, t.position
	FROM (SELECT pg_postmaster_start_time()::text) AS l (life)
	LEFT JOIN (tally.streams AS s FULL JOIN tally.twin AS t USING (stream)) ON true`

// connect reads over one connection until that breaks or ctx ends.
func (r *tallyReader) connect(ctx context.Context, tick <-chan time.Time) error {
	read, end, err := r.open(ctx)
	if err != nil {
		return err
	}
	defer end()
	for {
		if err := r.read(read); err != nil {
			return err
		}
		select {
		case <-tick:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// tallyRow is a row of readTally.
type tallyRow struct {
	life                                       string
	stream                                     *string
	events, position, twinEvents, twinPosition *int64
}

func (r *tallyRow) targets() []any {
	return []any{&r.life, &r.stream, &r.events, &r.position, &r.twinEvents, &r.twinPosition}
}

// open connects, and returns how to read all rows.
func (r *tallyReader) open(ctx context.Context) (read func(into *tallyRow, each func() error) error, end func(), err error) {
	if r.db.kind == onMariaDB {
		return r.openMariaDB(ctx)
	}
	conn, err := pgx.Connect(ctx, r.db.DSN)
	if err != nil {
		return nil, nil, err
	}
	return func(into *tallyRow, each func() error) error {
		rows, err := conn.Query(ctx, readTally)
		if err != nil {
			return err
		}
		_, err = pgx.ForEachRow(rows, into.targets(), each)
		return err
	}, func() { _ = conn.Close(context.WithoutCancel(ctx)) }, nil
}

func (r *tallyReader) read(all func(into *tallyRow, each func() error) error) error {
	now := map[string]counted{}
	var row tallyRow
	if err := all(&row, func() error {
		if row.stream == nil {
			return nil // there are no rows
		}
		if row.events == nil || row.twinEvents == nil || *row.events != *row.twinEvents || *row.position != *row.twinPosition {
			r.t.Errorf("a reader sees %s with %v and %v events, at %v and %v", *row.stream, show(row.events), show(row.twinEvents),
				show(row.position), show(row.twinPosition))
			return nil
		}
		now[*row.stream] = counted{*row.events, *row.position}
		return nil
	}); err != nil {
		return err
	}
	if row.life != r.life {
		r.life, r.seen = row.life, nil
		r.lives++
	}
	for stream, before := range r.seen {
		if is := now[stream]; is.events < before.events || is.position < before.position {
			r.t.Errorf("a reader sees %s with %+v after %+v", stream, is, before)
		}
	}
	r.seen = now
	if len(now) > 0 {
		r.reads++
	}
	return nil
}

func show(n *int64) string {
	if n == nil {
		return "no"
	}
	return fmt.Sprint(*n)
}

// liveTally returns the version of tally that is live. It fails the test unless there is one, and all views show it.
func liveTally(t *testing.T, db database) (live int) {
	t.Helper()
	var lives int
	var shown string
	if db.kind == onMariaDB {
		db.one(t, `SELECT sum(live), max(if(live, version, 0)), (SELECT group_concat(table_name, ' of ',
				regexp_substr(view_definition, 'tally__v[0-9]+') ORDER BY table_name SEPARATOR ', ')
			FROM information_schema.views WHERE table_schema = '`+db.maria.Name+`__tally' AND table_name NOT LIKE '%|_|_%' ESCAPE '|')
			FROM {own}projections WHERE name = 'tally'`, &lives, &live, &shown)
		return checkLive(t, lives, live, shown)
	}
	query(t, db.Database, `SELECT count(*) FILTER (WHERE live), coalesce(max(version) FILTER (WHERE live), 0),
		(SELECT string_agg(DISTINCT v.relname || ' of ' || n.nspname, ', ')
			FROM pg_class v JOIN pg_rewrite r ON r.ev_class = v.oid
			JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
			JOIN pg_class c ON c.oid = d.refobjid AND c.oid <> v.oid JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE v.relnamespace = 'tally'::regnamespace)
		FROM pupwasm.projections WHERE name = 'tally'`, &lives, &live, &shown)
	return checkLive(t, lives, live, shown)
}

func checkLive(t *testing.T, lives, live int, shown string) int {
	t.Helper()
	if want := fmt.Sprintf("streams of tally__v%[1]d, twin of tally__v%[1]d", live); lives != 1 || shown != want {
		t.Errorf("%d versions are live, and readers see %s, want %s", lives, shown, want)
	}
	return live
}

// compareTallyRows demands that the tables in schemas have the rows that the log says.
func compareTallyRows(t *testing.T, db database, log []loggedEvent, schemas ...string) {
	t.Helper()
	rows, events := tableRows{}, map[string]int64{}
	for _, e := range log {
		events[e.stream]++
		rows[e.stream] = fmt.Sprint(events[e.stream], " ", e.position)
	}
	for _, schema := range schemas {
		for _, table := range []string{"streams", "twin"} {
			rows.compare(t, db, "{"+schema+"}"+table, "stream", "events, position")
		}
	}
}

// compareTally demands that the versions have the rows that the log says, and that readers see one of them.
func compareTally(t *testing.T, db database, log []loggedEvent, versions ...int) {
	t.Helper()
	schemas := []string{"tally"}
	for _, version := range versions {
		schemas = append(schemas, fmt.Sprint("tally__v", version))
	}
	compareTallyRows(t, db, log, schemas...)
	tables := db.open(t).Backend()
	for _, version := range versions[1:] {
		a, b := store.ProjectionID{Name: "tally", Version: versions[0]}, store.ProjectionID{Name: "tally", Version: version}
		comparison, err := segments.Compare(t.Context(), tables, a, b, 3)
		if err != nil || comparison.Differ() {
			t.Errorf("versions %d and %d are compared: %+v, %v", versions[0], version, comparison, err)
		}
	}
	t.Logf("readers see version %d of %v", liveTally(t, db), versions)
}
