// Package storetest is the conformance suite that every store passes.
//
//	func TestStore(t *testing.T) { storetest.Run(t, driver()) }
//
// RunApart runs what concerns tables with the log in another database.
//
// A driver brings its own tests beside it for what only its database has: pools, servers that go away, other writers.
package storetest

import (
	"context"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/store"
)

// Driver is a kind of store under test.
type Driver struct {
	Dialect store.Dialect
	// New creates an empty database with the tables of package migrations, which is gone when the test ends.
	New func(t testing.TB) Database
}

// Database is one database of a driver.
type Database struct {
	// Open opens a store on the database, as one more host would. It closes when the test ends.
	Open func(t testing.TB) store.Store
	// Table is the name of a table in the database's SQL: of a projection's, by its plain name, that of the view for
	// readers.
	Table func(projection, table string) string
	// Query runs SQL past the store and returns all values as text, NULL as "NULL".
	Query func(t testing.TB, sql string) [][]string
	// Prepare prepares a query on a connection of its own, as a reader does, and returns what runs it.
	Prepare func(t testing.TB, sql string) func() [][]string
	// Exec runs SQL by a handle that [store.NativeTx] has given.
	Exec func(ctx context.Context, handle any, sql string) error
	// Transactions are the ways in which the caller of a store has a transaction of its own, each with a name. It is
	// committed when fn returns nil.
	Transactions map[string]func(t testing.TB, s store.Store, fn func(tx store.StreamsTx) error) error
	// HoldAppend appends an event to the stream in a transaction that stays open until finish is called. It is nil
	// where an append keeps other writers waiting.
	HoldAppend func(t testing.TB, stream store.Stream) (finish func(commit bool))
	// BeginAfter makes the log, which is empty, begin after a position, as if so many events had come and gone.
	BeginAfter func(t testing.TB, position int64)
	// Clock gives a store of the database, before its first use, a clock that stands still until set moves it: to
	// so long after a moment that is the same for all stores.
	Clock func(t testing.TB, s store.Store) (set func(since time.Duration))

	log *Database // where the log is in another one
}

// begins are the positions after which logs begin: nowhere, and where a number of 32 bits, or one that went
// through a float, is wrong after a few events.
var begins = []int64{0, 1<<31 - 3, 1<<53 - 3}

// beginOf is where the log of a case begins. The cases take turns, since each of them at each place would take
// three times as long; with PUPWASM_TEST_BEGIN=0, 1 or 2 all of them begin at the same place.
func beginOf(t testing.TB, group, number int) int64 {
	t.Helper()
	place := (group + number) % len(begins)
	if chosen := os.Getenv("PUPWASM_TEST_BEGIN"); chosen != "" {
		var err error
		if place, err = strconv.Atoi(chosen); err != nil || place < 0 || place >= len(begins) {
			t.Fatalf("PUPWASM_TEST_BEGIN is %q, want 0 to %d", chosen, len(begins)-1)
		}
	}
	return begins[place]
}

// Run runs the suite, every case on a database of its own.
func Run(t *testing.T, driver Driver) {
	runGroups(t, driver, []caseGroup{
		{"append", appendCases},
		{"append_bulk", through(appendCases, bulkAppender)},
		{"bulk", bulkCases},
		{"read", readCases},
		{"stream", streamCases},
		{"snapshot", snapshotCases},
		{"horizon", horizonCases},
		{"log", logCases},
		{"log_identity", logIdentityCases},
		{"install", installCases},
		{"declaration", declarationCases},
		{"addition", additionCases},
		{"index", indexCases},
		{"expression", expressionCases},
		{"apply", applyCases},
		{"many", manyCases},
		{"rejection", rejectionCases},
		{"types", typeCases},
		{"query", queryCases},
		{"native", nativeCases},
		{"fence", fenceCases},
		{"by_hand", byHandCases},
		{"parking", parkingCases},
		{"fold", foldCases},
		{"lease", leaseCases},
		{"lease_name", leaseNameCases},
		{"pause", pauseCases},
		{"lease_model", leaseModelCases},
		{"layout", layoutCases},
		{"division", divisionCases},
		{"status", statusCases},
		{"reset", resetCases},
		{"versions", versionCases},
		{"compare", compareCases},
		{"readers", readerCases},
		{"rows", rowsCases},
		{"published", publishedCases},
		{"parking_model", parkingModelCases},
		{"rebuild", rebuildCases},
		{"outbox", outboxCases},
		{"outbox_begin", outboxBeginCases},
		{"outbox_versions", outboxVersionCases},
		{"outbox_held", outboxHeldCases},
		{"outbox_model", outboxModelCases},
		{"relay", relayCases},
	})
}

// caseGroup is what runs as one subtest.
type caseGroup struct {
	name  string
	cases []testCase
}

func runGroups(t *testing.T, driver Driver, groups []caseGroup) {
	t.Helper()
	for i, group := range groups {
		t.Run(group.name, func(t *testing.T) {
			t.Parallel()
			for j, c := range group.cases {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					c.run(newFixture(t, driver, beginOf(t, i, j)))
				})
			}
		})
	}
}

type testCase struct {
	name string
	run  func(f *fixture)
}

// fixture is what a case works with: its database and a store on it.
type fixture struct {
	*testing.T
	Database
	store   store.Store
	append  appendFunc
	origin  int64 // the position after which the log begins
	driver  Driver
	dialect store.Dialect
	ctx     context.Context
	cases   int // how many a test has made within one database
}

// appendFunc is a way to append.
type appendFunc func(ctx context.Context, options store.AppendOptions, appends ...store.StreamAppend) ([]store.Appended,
	error)

func newFixture(t *testing.T, driver Driver, origin int64) *fixture {
	t.Helper()
	database := driver.New(t)
	database.BeginAfter(t, origin)
	s := database.Open(t)
	return &fixture{
		T: t, Database: database, store: s, append: s.Append, origin: origin, driver: driver,
		dialect: driver.Dialect, ctx: t.Context(),
	}
}

// through runs cases with another way to append.
func through(cases []testCase, way func(f *fixture) appendFunc) []testCase {
	changed := make([]testCase, len(cases))
	for i, c := range cases {
		changed[i] = testCase{c.name, func(f *fixture) {
			f.append = way(f)
			c.run(f)
		}}
	}
	return changed
}

// must ends the test when a step that has to work does not.
func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// await polls until condition holds.
func (f *fixture) await(what string, condition func() bool) {
	f.Helper()
	testwait.Until(f.T, what, condition)
}

// typed reads a type name that the suite itself wrote.
func typed(name string) store.Type {
	t, err := store.ParseType(name)
	if err != nil {
		panic(err)
	}
	return t
}

func types(names ...string) []store.Type {
	all := make([]store.Type, len(names))
	for i, name := range names {
		all[i] = typed(name)
	}
	return all
}

// anySQL is a statement for every dialect.
func anySQL(text string) store.Statement { return store.Statement{store.DialectAny: text} }
