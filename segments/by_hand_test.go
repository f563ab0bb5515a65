package segments_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// scribeTable is the table of the rows itself.
var scribeTable = pgtest.Table("scribe", 1, "rows")

// byHandAt is a function that does something for the row of one event.
func byHandAt(stream string, id int, does string) string {
	return fmt.Sprintf(`CREATE FUNCTION by_hand() RETURNS trigger LANGUAGE plpgsql AS
		$$BEGIN IF NEW.stream = '%s' AND NEW.id = %d THEN %s; END IF; RETURN NULL; END$$;`, stream, id, does)
}

const deferredTrigger = "CREATE CONSTRAINT TRIGGER by_hand AFTER INSERT OR UPDATE ON %s DEFERRABLE INITIALLY DEFERRED " +
	"FOR EACH ROW EXECUTE FUNCTION by_hand()"

// TestByHand_whatIsRefusedAtCommitParksItsKey has constraints that an operator has added, which are checked at COMMIT.
// The event at fault is found among many, and everything else is applied.
func TestByHand_whatIsRefusedAtCommitParksItsKey(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, sql, fix, said string }{
		{
			"trigger", byHandAt("n3", 5, "RAISE EXCEPTION 'it is refused'") + fmt.Sprintf(deferredTrigger, scribeTable),
			"DROP TRIGGER by_hand ON " + scribeTable, "the database refuses the batch: it is refused",
		},
		{
			"foreign key", "CREATE TABLE others AS SELECT i AS id FROM generate_series(1, 20) i WHERE i <> 5; " +
				"ALTER TABLE others ADD PRIMARY KEY (id); " + // of the fifth event of each stream
				"ALTER TABLE " + scribeTable + " ADD CONSTRAINT by_hand FOREIGN KEY (id) REFERENCES others (id) DEFERRABLE INITIALLY DEFERRED",
			"ALTER TABLE " + scribeTable + " DROP CONSTRAINT by_hand", "foreign key constraint",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			s, counted := scribed(t, db, postgres.Options{})
			execute(t, db, test.sql)
			head := appendTo(t, s, lines(6, 10)...)
			options := parking()
			worker := startPrograms(t, s, options, scribe{})
			applied(t, s, "scribe", head)
			keys, err := s.Parked(t.Context(), store.ParkedRequest{Range: store.FullRange()})
			if err != nil || len(keys) == 0 {
				t.Fatalf("parked are %+v, %v", keys, err)
			}
			for _, key := range keys {
				if key.Events != 6 || !strings.Contains(key.Error, test.said) {
					t.Errorf("key %s has %d events and the error %q", key.Key, key.Events, key.Error)
				}
			}
			if got, want := counted(), 60-6*len(keys); got != want {
				t.Errorf("there are %d rows, must be %d", got, want)
			}
			execute(t, db, test.fix)
			for _, key := range keys {
				if err := s.Order(t.Context(), key.ParkedID, store.ActionRetry); err != nil {
					t.Fatal(err)
				}
			}
			testwait.Until(t, "nothing is parked", func() bool { return parkedIn(t, s) == "" })
			if got := counted(); got != 60 {
				t.Errorf("there are %d rows, must be 60", got)
			}
			worker.runs(t)
		})
	}
}

// TestByHand_aCommitWithoutEndIsRecorded has a deferred trigger that does not end for one event: it is taken for the
// fault of what is written, and not for trouble of the database.
func TestByHand_aCommitWithoutEndIsRecorded(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s, counted := scribed(t, db, postgres.Options{StatementTimeout: time.Second})
	execute(t, db, byHandAt("n3", 5, "PERFORM pg_sleep(3600)")+fmt.Sprintf(deferredTrigger, scribeTable))
	head := appendTo(t, s, lines(6, 10)...)
	worker := startPrograms(t, s, parking(), scribe{})
	var said string
	testwait.Until(t, "it is recorded", func() bool {
		for _, segment := range statusOf(t, s, "scribe").Segments {
			if segment.Failure != "" {
				said = segment.Failure
			}
		}
		keys, err := s.Parked(t.Context(), store.ParkedRequest{Range: store.FullRange()})
		if err == nil && len(keys) > 0 {
			said = keys[0].Error
		}
		return said != ""
	})
	const want = "the deferred constraints and triggers of the tables ran for longer than 1s: " +
		"Options.StatementTimeout raises the limit"
	if !strings.Contains(said, want) {
		t.Errorf("recorded is %q, must be %q", said, want)
	}
	execute(t, db, "DROP TRIGGER by_hand ON "+scribeTable)
	if _, err := s.Recover(t.Context(), scribe{}.Projection().ID()); err != nil {
		t.Fatal(err)
	}
	applied(t, s, "scribe", head)
	keys, err := s.Parked(t.Context(), store.ParkedRequest{Range: store.FullRange()})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		if err := s.Order(t.Context(), key.ParkedID, store.ActionRetry); err != nil {
			t.Fatal(err)
		}
	}
	testwait.Until(t, "all rows are there", func() bool { return counted() == 60 })
	worker.runs(t)
}

// TestByHand_changedTablesStopTheSegment has somebody change the tables under a worker. No event is at fault: nothing
// is parked, the failure is recorded and told once, and after it is fixed all rows are there.
func TestByHand_changedTablesStopTheSegment(t *testing.T) {
	t.Parallel()
	raise := func(state string) string {
		return "CREATE FUNCTION by_hand() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'it is refused' USING ERRCODE = '" +
			state + "'; END$$; "
	}
	for _, test := range []struct{ name, sql, fix, said string }{
		{
			"a table is gone", "ALTER TABLE " + scribeTable + " RENAME TO gone",
			"ALTER TABLE " + pgtest.Table("scribe", 1, "gone") + " RENAME TO rows", "does not exist",
		},
		{
			"a column is gone", "ALTER TABLE " + scribeTable + " RENAME COLUMN note TO gone",
			"ALTER TABLE " + scribeTable + " RENAME COLUMN gone TO note", "does not exist",
		},
		{
			"a column has another type", "DROP VIEW scribe.rows; ALTER TABLE " + scribeTable + " ALTER COLUMN note TYPE bytea USING ''",
			"ALTER TABLE " + scribeTable + " ALTER COLUMN note TYPE text USING ''; CREATE VIEW scribe.rows AS SELECT * FROM " + scribeTable,
			"is of type bytea but expression is of type text",
		},
		{
			"a schema is gone", "ALTER SCHEMA scribe__v1 RENAME TO gone", "ALTER SCHEMA gone RENAME TO scribe__v1", "does not exist",
		},
		{
			"a right is gone", "REVOKE ALL ON " + scribeTable + " FROM pupwasm__scribe; ALTER TABLE " + scribeTable + " OWNER TO postgres",
			"ALTER TABLE " + scribeTable + " OWNER TO pupwasm__scribe; GRANT ALL ON " + scribeTable + " TO pupwasm__scribe",
			"permission denied for table rows",
		},
		{
			"a deferred trigger may not do what it does",
			raise("42501") + fmt.Sprintf(deferredTrigger, scribeTable), "DROP TRIGGER by_hand ON " + scribeTable,
			"the database cannot run the batch, whatever the event is: it is refused",
		},
		{
			"the database is damaged", raise("XX001") + "CREATE TRIGGER by_hand BEFORE INSERT OR UPDATE ON " + scribeTable +
				" FOR EACH ROW EXECUTE FUNCTION by_hand()", "DROP TRIGGER by_hand ON " + scribeTable, "it is refused",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := pgtest.Shared(t)
			if strings.Contains(test.sql, "pupwasm__scribe") { // roles belong to the whole server
				var err error
				if server, err = pgtest.Start(); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(server.Stop)
			}
			db := server.New(t)
			s, counted := scribed(t, db, postgres.Options{Isolation: isolationOf(test.sql)})
			said := &logBuffer{}
			options := parking()
			options.Logger, options.Segments = zerolog.New(said), 1
			worker := startPrograms(t, s, options, scribe{})
			applied(t, s, "scribe", appendTo(t, s, lines(3, 2)...))
			execute(t, db, test.sql)
			head := appendTo(t, s, lines(3, 10)...)
			failure := failureOf(t, s, "scribe")
			if !strings.Contains(failure, test.said) || !strings.Contains(failure, "whatever the event is") || strings.Contains(failure, "\n") {
				t.Errorf("the failure is %q, must say %q", failure, test.said)
			}
			if parked := parkedIn(t, s); parked != "" {
				t.Errorf("parked are %s", parked)
			}
			testwait.Until(t, "it is told", func() bool { return strings.Contains(said.String(), "segment failed") })
			execute(t, db, test.fix)
			if _, err := s.Recover(t.Context(), scribe{}.Projection().ID()); err != nil {
				t.Fatal(err)
			}
			applied(t, s, "scribe", head)
			if got := counted(); got != 36 {
				t.Errorf("there are %d rows, must be 36", got)
			}
			if n := strings.Count(said.String(), `"level":"error"`); n != 1 {
				t.Errorf("%d errors are told, must be 1:\n%s", n, said)
			}
			worker.runs(t)
		})
	}
}

// isolationOf gives the projection a role of its own where a test takes rights from that.
func isolationOf(sql string) postgres.Isolation {
	if strings.Contains(sql, "pupwasm__scribe") {
		return postgres.IsolationRole
	}
	return postgres.IsolationNone
}

// TestByHand_aWorkerThatRunsOnceDoesNotWaitForAnOperator takes a right of pupwasm itself, which keeps the failure from
// being recorded too, or only what a commit does.
func TestByHand_aWorkerThatRunsOnceDoesNotWaitForAnOperator(t *testing.T) {
	t.Parallel()
	for name, when := range map[string]string{
		"of a commit": "UPDATE OF position", "of everything": "UPDATE OF position, failure",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			s, counted := scribed(t, db, postgres.Options{})
			appendTo(t, s, lines(3, 2)...)
			execute(t, db, `CREATE FUNCTION by_hand() RETURNS trigger LANGUAGE plpgsql AS
				$$BEGIN RAISE EXCEPTION 'it is refused' USING ERRCODE = '42501'; END$$;
				CREATE TRIGGER by_hand BEFORE `+when+` ON pupwasm.segments FOR EACH ROW EXECUTE FUNCTION by_hand()`)
			options := quick()
			options.Once = true
			worker, err := segments.New(s, s, options)
			if err != nil {
				t.Fatal(err)
			}
			worker.SetProgram(scribe{})
			var failed *segments.FailedError
			if err := worker.Run(t.Context()); !errors.As(err, &failed) || !strings.Contains(err.Error(), "it is refused") {
				t.Errorf("Run returns %v", err)
			}
			if n := counted(); n != 0 {
				t.Errorf("there are %d rows", n)
			}
		})
	}
}

// TestByHand_aRowOfBefore has somebody add rows of keys that a segment takes for new, since it has written all rows since
// the first event. It finds out, and changes them.
func TestByHand_aRowOfBefore(t *testing.T) {
	t.Parallel()
	for _, events := range []int{1, 2, 700} {
		t.Run(fmt.Sprint(events), func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			s, breaks := openPostgres(t, db), new(atomic.Int64)
			worker := startPrograms(t, s, quick(), &ledger{code: "1", breaks: breaks})
			testwait.Until(t, "it is installed", func() bool { return count(t, db, "pg_class WHERE oid = to_regclass('ledger.streams')") == 1 })
			execute(t, db, "INSERT INTO ledger__v1.streams VALUES ('n0', 0)")
			applied(t, s, "ledger", poisoned(t, s, events, 1, 0))
			if n := count(t, db, "ledger.streams WHERE version = 1"); n != events || breaks.Load() != 0 || parkedIn(t, s) != "" {
				t.Errorf("%d rows are right, want %d; parked are %s", n, events, parkedIn(t, s))
			}
			worker.runs(t)
		})
	}
}
