package pupwasmtest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/build"
	"github.com/pupwasm/pupwasm/internal/cases"
	"github.com/pupwasm/pupwasm/internal/eventline"
	"github.com/pupwasm/pupwasm/internal/mariadbserver"
	"github.com/pupwasm/pupwasm/internal/pgserver"
	"github.com/pupwasm/pupwasm/internal/settings"
	"github.com/pupwasm/pupwasm/store"
)

// Options says how a projection is tested. The zero value is ready to use.
type Options struct {
	// Compiler is "tinygo", "go" or "auto", which is TinyGo where it is installed. Defaults to "auto".
	Compiler string
	// Postgres starts a private PostgreSQL server, whose programs must be installed. Defaults to SQLite.
	Postgres bool
	// MariaDB is the same for a private MariaDB server.
	MariaDB bool
	// Database is the URL of a PostgreSQL or MariaDB server that is there, for a role or user that may create databases.
	// Each run makes one of its own and drops it.
	Database string
	// Seed is that of what is random in the runs.
	Seed uint64
	// Rounds is how often each case runs in 1, 2, 4 and 8 segments. Defaults to 1; -1 runs it once and nothing else.
	Rounds int
}

// Projection is a projection module under test. Each case runs in empty databases of its own: first in one segment, and
// then in 1, 2, 4 and 8, with batches and restarts at random places, new instances and old ones, and other random numbers.
// The test fails when what comes of the events is not the same in all of them.
type Projection struct {
	t       testing.TB
	module  *cases.Module
	options cases.Options
}

// Build compiles the projection in a folder. It fails the test when it does not compile.
func Build(t testing.TB, folder string, options Options) *Projection {
	t.Helper()
	if options.Compiler == "" {
		options.Compiler = string(build.Auto)
	}
	name, err := filepath.Abs(folder)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), filepath.Base(name)+".wasm")
	if _, err := build.Module(t.Context(), build.Compiler(options.Compiler), folder, file); err != nil {
		t.Fatal(err)
	}
	return Load(t, file, options)
}

// Load reads a module that was built.
func Load(t testing.TB, file string, options Options) *Projection {
	t.Helper()
	runtimes, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	wasm, err := runtimes.First.ReadModule(file)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	p := &Projection{
		t: t, options: cases.Options{Seed: options.Seed, Rounds: max(options.Rounds, 0)},
		module: &cases.Module{Runtimes: runtimes, File: filepath.Base(file), Wasm: wasm, Database: database(t, options)},
	}
	if options.Rounds == 0 {
		p.options.Rounds = 1
	}
	return p
}

// shared are the runtimes of all tests, so that a module is compiled once.
var shared = sync.OnceValues(func() (cases.Runtimes, error) {
	options := host.Options{}
	if folder, err := os.UserCacheDir(); err == nil {
		options.CacheDir = filepath.Join(folder, "pupwasm", "compiled")
	}
	runtimes, err := cases.NewRuntimes(context.Background(), options)
	if err != nil && options.CacheDir != "" {
		return cases.NewRuntimes(context.Background(), host.Options{})
	}
	return runtimes, err
})

// database is where the runs of a test are.
func database(t testing.TB, options Options) cases.Database {
	t.Helper()
	url, connect := options.Database, cases.Postgres
	switch {
	case url != "":
	case options.Postgres:
		url = privatePostgres.use(t)
	case options.MariaDB:
		url = privateMariaDB.use(t)
	default:
		return cases.SQLite(t.TempDir())
	}
	if scheme, _, _ := strings.Cut(strings.ToLower(url), ":"); scheme == "mysql" || scheme == "mariadb" {
		connect = cases.MariaDB
	}
	server, err := connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server.Database
}

// The private servers of the tests that are running.
var (
	privatePostgres = privateServer{start: func() (string, func(), error) {
		server, err := pgserver.Start()
		if err != nil {
			return "", nil, err
		}
		return server.DSN, server.Stop, nil
	}}
	privateMariaDB = privateServer{start: func() (string, func(), error) {
		server, err := mariadbserver.Start()
		if err != nil {
			return "", nil, err
		}
		return server.URL("mysql"), server.Stop, nil
	}}
)

type privateServer struct {
	start func() (url string, stop func(), err error)

	mu    sync.Mutex
	url   string
	stop  func()
	users int
}

// use returns the server's URL. The server ends with the last test that uses it.
func (p *privateServer) use(t testing.TB) string {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.users == 0 {
		var err error
		if p.url, p.stop, err = p.start(); err != nil {
			t.Fatal(err)
		}
	}
	p.users++
	t.Cleanup(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.users--; p.users == 0 {
			p.stop()
		}
	})
	return p.url
}

// Event returns an event of a stream CONTEXT/TYPE/ID. A payload that is a string, []byte or [json.RawMessage] is taken as
// it is; anything else is encoded as JSON, and nil is none. The event has a time and an id that are the same each time. It
// panics for what is no stream, and for a payload that has no JSON.
func Event(stream, eventType string, payload any) store.StreamAppend {
	of, ok := eventline.ParseStream(stream)
	if !ok {
		panic(fmt.Sprintf("pupwasmtest: the stream %q must be CONTEXT/TYPE/ID", stream))
	}
	event := store.Event{Type: eventType, Version: 1}
	switch p := payload.(type) {
	case nil:
	case string:
		event.Payload = []byte(p)
	case []byte:
		event.Payload = p
	case json.RawMessage:
		event.Payload = p
	default:
		text, err := json.Marshal(payload)
		if err != nil {
			panic(fmt.Sprintf("pupwasmtest: the payload of a %s: %v", eventType, err))
		}
		event.Payload = text
	}
	return store.StreamAppend{Stream: of, Events: []store.Event{event}}
}

// Given begins a case with events that were there before. An event that the projection fails at fails the test.
func (p *Projection) Given(events ...store.StreamAppend) *Case {
	return &Case{projection: p, given: linesOf(events)}
}

// When begins a case without events before.
func (p *Projection) When(events ...store.StreamAppend) *Case { return p.Given().When(events...) }

// Case is a case: the events of Given, then those of When, and what must come of them.
type Case struct {
	projection  *Projection
	given, when []eventline.Line
}

// When adds events.
func (c *Case) When(events ...store.StreamAppend) *Case {
	c.when = append(c.when, linesOf(events)...)
	return c
}

// Expectation is something that must come of the events of a case.
type Expectation func(then *cases.Then) error

// Row is a row by column. Columns that it does not have are not compared, but those of the key must be there. A value is
// what [encoding/json] makes of it; bytes are compared in hex, numbers by their value.
type Row map[string]any

// Rows are all rows of a table or view, in any order.
func Rows(table string, rows ...Row) Expectation {
	return func(then *cases.Then) error {
		of := cases.Table{Name: table}
		for _, row := range rows {
			r, err := cases.RowOf(settings.Place{}, row)
			if err != nil {
				return fmt.Errorf("a row of %s: %w", table, err)
			}
			of.Rows = append(of.Rows, r)
		}
		then.Tables = append(then.Tables, of)
		return nil
	}
}

// Fault is an event that the projection fails at: its number among those of When, from 1, or 0 for any; and a part of the
// error. An event that fails without a Fault fails the test.
func Fault(event int, part string) Expectation {
	return func(then *cases.Then) error {
		then.Faults = append(then.Faults, cases.Fault{Event: event, Error: part})
		return nil
	}
}

// Then runs the case, and fails the test when something else comes of the events.
func (c *Case) Then(expectations ...Expectation) {
	p := c.projection
	p.t.Helper()
	of := cases.New(p.t.Name(), settings.Place{}, c.given, c.when)
	of.Then = &cases.Then{}
	for _, expectation := range expectations {
		if err := expectation(of.Then); err != nil {
			p.t.Fatal(err)
		}
	}
	if len(c.when) == 0 {
		p.t.Fatal("the case has no events: give When some")
	}
	p.run(of)
}

// run runs a case.
func (p *Projection) run(c *cases.Case) {
	p.t.Helper()
	result, err := p.module.Run(p.t.Context(), c, p.options)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, failure := range result.Failures {
		if failure.Where != "" {
			failure.Text = failure.Where + ": " + failure.Text
		}
		p.t.Error(failure.Text)
	}
}

// Cases runs the files of cases in a folder, as 'pupwasm test' does.
func (p *Projection) Cases(folder string) {
	p.t.Helper()
	files, err := cases.Find(folder)
	if err != nil {
		p.t.Fatal(err)
	}
	if len(files) == 0 {
		p.t.Fatal(folder + ": there are no cases")
	}
	for _, file := range files {
		all, err := cases.Read(file)
		if err != nil {
			p.t.Error(err)
		}
		for _, c := range all {
			p.run(c)
		}
	}
}

// linesOf are single events.
func linesOf(events []store.StreamAppend) (lines []eventline.Line) {
	for _, of := range events {
		for _, event := range of.Events {
			lines = append(lines, eventline.Line{Stream: of.Stream, Event: event})
		}
	}
	return lines
}
