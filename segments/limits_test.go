package segments_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/host/abi"
	"github.com/pupwasm/pupwasm/host/hosttest"
	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/segments/internal/logtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// Statements that do not end.
const (
	endlessSQLite   = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"
	endlessPostgres = "SELECT count(*) FROM generate_series(1, 100000000000) a, generate_series(1, 100000000000) b"
)

// loadHostile loads a guest that asks its query again and again, or so many times, and then writes once.
func loadHostile(t *testing.T, name, write, query string, asks int) *host.Module {
	t.Helper()
	describe := fmt.Sprintf(`{"name":%q,"version":1,"ordering":"global","tables":[{"name":"t","columns":[{"name":"id","type":"i64"}],"key":["id"]}],
		"writes":[{"name":"w","sql":%q,"unordered":true}],"queries":[{"name":"q","sql":%q,"results":["i64"],"unordered":true}]}`, name, write, query)
	guest := &hosttest.Guest{Describe: describe, Reply: append(abi.AppendReply(nil, 1, abi.MutationHeaderSize),
		abi.AppendMutation(nil, 0, 0, 0)...)}
	if asks != 0 {
		guest.Imports = []hosttest.Import{hosttest.ImportQuery}
		const asked = 2 // the local that is left
		guest.Apply = hosttest.Code(
			hosttest.Loop(
				hosttest.I32Const(16), hosttest.I32Const(8), hosttest.I32Const(0), hosttest.I32Const(0), hosttest.Call(0), hosttest.Drop,
				hosttest.LocalGet(asked), hosttest.I32Const(1), hosttest.I32Add, hosttest.LocalTee(asked),
				hosttest.I32Const(asks), hosttest.I32LtU, hosttest.BrIf(0),
			),
			guest.GoodReply(),
		)
	}
	module, err := newRuntime(t, zerolog.Nop()).Load(t.Context(), name+".wasm", guest.Wasm())
	if err != nil {
		t.Fatal(err)
	}
	return module
}

// failureOf waits until the only segment of a projection has failed.
func failureOf(t *testing.T, s store.Store, projection string) (failure string) {
	t.Helper()
	testwait.Until(t, projection+" has failed", func() bool {
		all, err := s.Status(t.Context(), projection)
		if err != nil {
			t.Fatal(err)
		}
		if len(all) == 1 {
			failure = all[0].Segments[0].Failure
		}
		return failure != ""
	})
	return failure
}

// TestLimits_aStatementThatMeetsItsLimitAgainAndAgainIsAtFault runs each attack beside a projection that is
// well, whose events go on.
func TestLimits_aStatementThatMeetsItsLimitAgainAndAgainIsAtFault(t *testing.T) {
	t.Parallel()
	const insert = "INSERT INTO {t} (id) VALUES (1)"
	fill := func(endless string) string { return "INSERT INTO {t} (id) " + endless }
	onSQLite := func(options sqlite.Options) func(t *testing.T) store.Store {
		return func(t *testing.T) store.Store {
			t.Helper()
			path := filepath.Join(t.TempDir(), "log.db")
			logtest.At(t, path)
			s, err := sqlite.Open(path, options)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.Close)
			return s.Backend()
		}
	}
	onPostgres := func(options postgres.Options) func(t *testing.T) store.Store {
		return func(t *testing.T) store.Store {
			t.Helper()
			s, err := postgres.Open(pgtest.New(t).DSN, options)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.Close)
			return s.Backend()
		}
	}
	short := 200 * time.Millisecond
	for _, test := range []struct {
		name         string
		open         func(t *testing.T) store.Store
		write, query string
		asks         int
		want         string
	}{
		{
			"sqlite write", onSQLite(sqlite.Options{StatementTimeout: short}), fill(endlessSQLite), "SELECT 1", 0,
			`write "w" ran for longer than 200ms: Options.StatementTimeout raises the limit`,
		},
		{
			"sqlite query", onSQLite(sqlite.Options{StatementTimeout: short}), insert, endlessSQLite, 1,
			`query "q" ran for longer than 200ms: Options.StatementTimeout raises the limit`,
		},
		{
			"sqlite storm", onSQLite(sqlite.Options{TransactionTimeout: short}), insert, "SELECT 1", 2_000_000_000,
			`query "q" ran when all statements and queries of the batch had taken longer than 200ms: Options.TransactionTimeout`,
		},
		{
			"postgres write", onPostgres(postgres.Options{StatementTimeout: short}), fill(endlessPostgres), "SELECT 1::bigint",
			0, `write "w" ran for longer than 200ms: Options.StatementTimeout raises the limit`,
		},
		{
			"postgres query", onPostgres(postgres.Options{StatementTimeout: short}), insert, endlessPostgres, 1,
			`query "q" ran for longer than 200ms: Options.StatementTimeout raises the limit`,
		},
		{
			"postgres storm", onPostgres(postgres.Options{TransactionTimeout: short}), insert, "SELECT 1::bigint", 2_000_000_000,
			`query "q" ran when all statements and queries of the batch had taken longer than 200ms: Options.TransactionTimeout`,
		},
		{
			"postgres files", onPostgres(postgres.Options{TempFileBytesMax: 64 << 10}), insert,
			"SELECT count(*) FROM (SELECT repeat(md5(i::text), 300) AS s FROM generate_series(1, 100000000) AS i ORDER BY 1) x", 1, `query "q" was stopped: temporary file size exceeds temp_file_limit (64kB): Options.TempFileBytesMax raises it`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := test.open(t)
			head := appendTo(t, s, noted("Fine"))
			worker := startWorker(t, s, quick(), loadHostile(t, "evil", test.write, test.query, test.asks),
				loadExample(t, newRuntime(t, zerolog.Nop()), "activity_log"))
			applied(t, s, "activity_log", head)
			failure := failureOf(t, s, "evil")
			if want := fmt.Sprintf("3 times in a row, event %d: %s", head,
				test.want); !strings.HasPrefix(strings.ReplaceAll(failure, `"temp_file_limit"`, "temp_file_limit"), want) {
				t.Errorf("the failure is %q, must be %q", failure, want)
			}
			applied(t, s, "activity_log", appendTo(t, s, noted("Fine")))
			worker.runs(t)
		})
	}
}

// TestLimits_aBusyDatabaseIsNobodysFault has statements of a module wait for a lock, as often as it takes.
func TestLimits_aBusyDatabaseIsNobodysFault(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	// an install on a busy machine takes its time too
	opened, err := postgres.Open(db.DSN, postgres.Options{StatementTimeout: 8 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(opened.Close)
	s := opened.Backend()
	var tries atomic.Int32
	watch := &commitWatch{Store: s, instead: func(_, _ int64, commit func() error) error {
		err := commit()
		if err != nil {
			tries.Add(1)
		}
		return err
	}}
	options := quick()
	options.Concurrency = 2
	startWorker(t, watch, options, loadHostile(t, "waits", "INSERT INTO {t} (id) VALUES (1) ON CONFLICT DO NOTHING",
		"SELECT 1::bigint", 0))
	applied(t, s, "waits", appendTo(t, s, noted("Fine")))
	lock, err := db.Connect(t).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lock.Exec(t.Context(), "LOCK TABLE "+pgtest.Table("waits", 1, "t")); err != nil {
		t.Fatal(err)
	}
	head := appendTo(t, s, noted("Fine"))
	testwait.Until(t, "the commit was tried often", func() bool { return tries.Load() > 6 })
	if failure := statusOf(t, s, "waits").Segments[0].Failure; failure != "" {
		t.Errorf("the segment has failed: %s", failure)
	}
	if err := lock.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	applied(t, s, "waits", head)
}

// TestLimits_whatCounts has commits end with errors: limits count, at one position and in a row; what else is
// transient does not.
func TestLimits_whatCounts(t *testing.T) {
	t.Parallel()
	limit := store.StatementTooLong(`write "w"`, time.Second)
	for _, test := range []struct {
		name   string
		errors []error // of the commits, one after the other
		fails  bool
	}{
		{"twice", []error{limit, limit}, false},
		{"three times", []error{limit, limit, limit}, true},
		{
			"other errors in between",
			[]error{limit, limit, store.ErrTransient, limit, limit, store.ErrTransient, limit},
			false,
		},
		{"three times after others", []error{limit, store.ErrTransient, limit, limit, limit}, true},
		{
			"other errors alone",
			[]error{store.ErrTransient, store.ErrTransient, store.ErrTransient, store.ErrTransient},
			false,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var tries atomic.Int32
			watch := &commitWatch{Store: logtest.New(t), instead: func(_, _ int64, commit func() error) error {
				if n := int(tries.Add(1)); n <= len(test.errors) {
					return test.errors[n-1]
				}
				return commit()
			}}
			appendTo(t, watch, payments("A1", 1))
			options := quick()
			err := runOnce(t, watch, options, loadExample(t, newRuntime(t, zerolog.Nop()), "fine_balance"))
			var failed *segments.FailedError
			if errors.As(err, &failed) != test.fails || !test.fails && err != nil {
				t.Errorf("Run returns %v", err)
			}
			if test.fails && !strings.Contains(err.Error(), `3 times in a row, event 1: write "w" ran for longer than 1s`) {
				t.Errorf("Run returns %v", err)
			}
		})
	}
}

// TestLimits_batchesAreTriedByThemselves has a limit that several batches exceed together, and none alone.
func TestLimits_batchesAreTriedByThemselves(t *testing.T) {
	t.Parallel()
	watch := &commitWatch{Store: logtest.New(t), instead: func(from, through int64, commit func() error) error {
		if through-from > 10 {
			return store.StatementTooLong(`write "w"`, time.Second)
		}
		return commit()
	}}
	appendTo(t, watch, manyPayments(300, 7)...)
	options := quick()
	options.BatchEvents = 10
	if err := runOnce(t, watch, options, loadExample(t, newRuntime(t, zerolog.Nop()), "fine_balance")); err != nil {
		t.Error(err)
	}
	if moves, _ := watch.seen(); moves[len(moves)-1][1] != 300 {
		t.Errorf("the last commit is %v", moves[len(moves)-1])
	}
}

// TestLimits_aStopEndsAnEndlessStatement: a signal waits for a batch, and not for a statement that may have no end.
func TestLimits_aStopEndsAnEndlessStatement(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log.db")
	logtest.At(t, path)
	opened, err := sqlite.Open(path, sqlite.Options{StatementTimeout: 100 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(opened.Close)
	s := opened.Backend()
	appendTo(t, s, noted("Fine"))
	commits := make(chan struct{}, 1)
	watch := &commitWatch{Store: s, instead: func(_, _ int64, commit func() error) error {
		select {
		case commits <- struct{}{}:
		default:
		}
		return commit()
	}}
	worker := startWorker(t, watch, quick(), loadHostile(t, "evil", "INSERT INTO {t} (id) "+endlessSQLite, "SELECT 1", 0))
	<-commits
	worker.stop()
	appendTo(t, s, noted("Fine")) // the writer is free again
	if failure := statusOf(t, s, "evil").Segments[0].Failure; failure != "" {
		t.Errorf("the segment has failed: %s", failure)
	}
}
