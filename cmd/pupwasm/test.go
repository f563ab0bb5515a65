package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/pupwasm/pupwasm/internal/build"
	"github.com/pupwasm/pupwasm/internal/cases"
	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/internal/mariadbserver"
	"github.com/pupwasm/pupwasm/internal/pgserver"
	"github.com/pupwasm/pupwasm/internal/settings"
)

type testOptions struct {
	*globalOptions

	folder   string // of the cases, in that of the projection
	only     string // names of cases
	update   bool
	rounds   int
	seed     uint64
	postgres bool
	mariadb  bool
	junit    string
	compiler compilerFlag
	runtime  runtimeOptions
}

const testHelp = `Build projections and test them by cases. A case says which events are given, which ones come then, and which rows,
messages or faults must come of them. Cases are in YAML or JSON lines, in the folder "cases" of a projection:

  defaults: {bounded_context: Shop}        # members that all events have
  cases:
    - name: counts orders of a user
      given: ../fixtures/events.jsonl      # a file, as 'pupwasm append' reads it, or a list
      when:
        - {stream: Shop/User/ann, event_type: Registered}
        - {stream: Shop/Order/1, event_type: Placed, payload: {user_id: ann, total: 12.50}}
      then:
        rows:
          users:                           # all rows of the table, in any order
            - {user_id: ann, events: 2}    # columns that are not named are not compared
        messages:                          # all that when sends, those of one key in order
          - {subject: shop.users.ann.seen, data: {user: ann}}
    - name: an order without a user
      when: [{stream: Shop/Order/1, event_type: Placed, payload: {user_id: 1}}]
      then:
        fault: {event: 1, error: not a string}

Each case runs on SQLite, in a database of its own. It also runs in 1, 2, 4 and 8 segments, with batches and restarts at
random places, with new instances and old ones, and with other random numbers, so that rows and messages are found
which depend on more than the events. --rounds 0 leaves that out, a larger number tries more.

--postgres starts a private PostgreSQL server for the cases, and removes it, and --mariadb one of MariaDB. --database
runs them on a server of either that is there, as a role or user that may create databases: each case makes one of its
own and drops it. Only the command line chooses a database here, no variable and no file.

--update writes what came of the events into the files, for cases that fail. Look at the difference before you keep it.

A file FILE.wasm is tested as it is, with the cases of the folder "cases" beside it.`

func newTestCommand(globals *globalOptions) *cobra.Command {
	opts := &testOptions{globalOptions: globals}
	cmd := &cobra.Command{
		Use:   "test [DIR|FILE.wasm]…",
		Short: "Test projections by cases: given events, then these rows",
		Long:  testHelp,
		Example: `  pupwasm test
  pupwasm test orders --run 'counts.*' --update
  pupwasm test orders --postgres --rounds 20
  pupwasm test orders --junit report.xml`,
		ValidArgsFunction: completeFiles(moduleFiles), // and folders
		RunE:              func(cmd *cobra.Command, args []string) error { return runTest(cmd.Context(), opts, args) },
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.folder, "cases", "cases", "`folder` of the cases, in that of the projection")
	flags.StringVar(&opts.only, "run", "", "run only cases whose names match this regular `expression`")
	flags.BoolVar(&opts.update, "update", false, "write what came of the events into the files of cases that fail")
	flags.IntVar(&opts.rounds, "rounds", 1, "how often each case runs in all divisions, each time otherwise")
	flags.Uint64Var(&opts.seed, "seed", 1, "seed of what is random in the runs")
	flags.BoolVar(&opts.postgres, "postgres", false, "run the cases on a private PostgreSQL server")
	flags.BoolVar(&opts.mariadb, "mariadb", false, "run the cases on a private MariaDB server")
	flags.StringVar(&opts.junit, "junit", "", "write the results to this `file` too, as JUnit's XML")
	opts.addJSON(flags, "print JSON lines, as 'go test -json' does")
	opts.compiler.addTo(cmd)
	opts.runtime.addFlags(flags)
	return cmd
}

func runTest(ctx context.Context, opts *testOptions, args []string) error {
	only, err := regexp.Compile(opts.only)
	switch {
	case err != nil:
		return usagef("--run %s: is no regular expression: %v", printable(opts.only), err)
	case opts.rounds < 0:
		return usagef("--rounds must be 0 or more, it is %d", opts.rounds)
	case opts.postgres && opts.mariadb:
		return usagef("--postgres and --mariadb exclude each other: both say where the cases run")
	case (opts.postgres || opts.mariadb) && opts.databaseGiven:
		return usagef("--%s and --database exclude each other: both say where the cases run", opts.private())
	}
	if err := opts.compiler.check(); err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "pupwasm-test-")
	if err != nil {
		return fmt.Errorf("making a folder for the cases: %w", err)
	}
	defer os.RemoveAll(folder)
	t := &tests{
		testOptions: opts, matching: only, folder: folder,
		workshop: &workshop{compiler: opts.compiler, cache: build.UserCache()},
	}
	defer t.workshop.close(context.WithoutCancel(ctx))
	stop, err := t.openDatabase(ctx)
	if err != nil {
		return err
	}
	defer stop()
	opts.log = opts.log.Level(max(opts.log.GetLevel(), zerolog.WarnLevel))
	if t.runtimes, err = opts.runtime.several(ctx, opts.globalOptions); err != nil {
		return err
	}
	defer t.runtimes.Close(context.WithoutCancel(ctx))
	if len(args) == 0 {
		args = []string{"."}
	}
	for _, arg := range args {
		if err := t.argument(ctx, arg); err != nil {
			return err
		}
	}
	return t.end()
}

// tests is one run of the command.
type tests struct {
	*testOptions
	matching *regexp.Regexp
	folder   string // for databases and modules
	database cases.Database
	runtimes cases.Runtimes
	workshop *workshop

	suites  []*cases.Suite
	updated int
	first   error // why a suite has no results
}

// private is the flag that starts a server.
func (o *testOptions) private() string {
	if o.mariadb {
		return "mariadb"
	}
	return "postgres"
}

// openDatabase chooses where cases run.
func (t *tests) openDatabase(ctx context.Context) (func(), error) {
	url, connect, stop := "", cases.Postgres, func() {}
	switch {
	case t.postgres:
		server, err := pgserver.Start()
		if err != nil {
			return nil, fmt.Errorf("--postgres: %w", err)
		}
		url, stop = server.DSN, server.Stop
	case t.mariadb:
		server, err := mariadbserver.Start()
		if err != nil {
			return nil, fmt.Errorf("--mariadb: %w", err)
		}
		url, connect, stop = server.URL("mysql"), cases.MariaDB, server.Stop
	case t.databaseGiven:
		at, err := t.target()
		if err != nil {
			return nil, err
		}
		if at.server == nil {
			return nil, usagef("--database %s: cases run on SQLite without it; name a server of PostgreSQL or MariaDB",
				printable(t.globalOptions.database))
		}
		url, connect = at.address, at.server
	default:
		t.database = cases.SQLite(t.folder)
		return stop, nil
	}
	server, err := connect(ctx, url)
	if err != nil {
		stop()
		return nil, err
	}
	t.database = server.Database
	return func() { server.Close(); stop() }, nil
}

// argument tests a file, or the projections of a folder.
func (t *tests) argument(ctx context.Context, path string) error {
	name := strings.TrimSuffix(filepath.Base(path), ".wasm")
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		return t.test(ctx, name, filepath.Dir(path), func() (string, error) { return path, nil })
	}
	var projects []build.Project
	if err == nil {
		projects, err = build.Projects([]string{path})
	}
	if err != nil {
		return t.test(ctx, name, path, func() (string, error) { return "", err })
	}
	for _, project := range projects {
		err := t.test(ctx, project.Name, build.Relative(project.Folder), func() (string, error) {
			file := filepath.Join(t.folder, strconv.Itoa(len(t.suites)), project.Name+".wasm")
			_, err := t.workshop.build(ctx, project, file)
			return file, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// test runs the cases of a projection. It fails only when nothing can go on.
func (t *tests) test(ctx context.Context, name, folder string, module func() (file string, err error)) error {
	suite := &cases.Suite{Name: name, Began: clock.Now()}
	t.suites = append(t.suites, suite)
	file, err := module()
	lines := mistakeLines(err)
	if err != nil {
		err = buildError(folder, err)
	} else {
		err = t.suite(ctx, suite, file, filepath.Join(folder, t.testOptions.folder))
	}
	var faults settings.Faults
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &faults):
		for _, fault := range faults {
			lines = append(lines, fault.Error())
		}
		err = &inputError{where: faults[0].File, err: fmt.Errorf("has %s", count(int64(len(faults)), "mistake"))}
	}
	if err != nil {
		suite.Error = strings.Join(append(lines, errorText(err)), "\n")
		if t.first == nil {
			t.first = err
		}
	}
	if t.json {
		return cases.WriteGoTest(t.out, suite)
	}
	if suite.Error != "" {
		fmt.Fprintf(t.out, "FAIL  %s\n", printable(suite.Name))
		for line := range strings.Lines(suite.Error) {
			fmt.Fprintf(t.out, "      %s\n", printable(strings.TrimRight(line, "\r\n")))
		}
	}
	return nil
}

// suite runs the files of cases in a folder.
func (t *tests) suite(ctx context.Context, suite *cases.Suite, file, folder string) error {
	wasm, err := readModule(t.runtimes.First, file)
	if err != nil {
		return err
	}
	own, err := settings.Beside(filepath.Dir(file)).ForRegistry().Read(filepath.Base(file))
	if err != nil {
		return err
	}
	m := &cases.Module{
		Runtimes: t.runtimes, File: filepath.Base(file), Wasm: wasm, Settings: own, Database: t.database,
	}
	files, err := cases.Find(folder)
	if err == nil && len(files) == 0 {
		err = &inputError{where: folder, err: errors.New("there are no cases: see 'pupwasm test --help'")}
	}
	for _, file := range files {
		if err := t.file(ctx, suite, m, file); err != nil {
			return err
		}
	}
	return err
}

func (t *tests) file(ctx context.Context, suite *cases.Suite, m *cases.Module, path string) error {
	all, err := cases.Read(path)
	if err != nil {
		return err
	}
	var results []*cases.Result
	defer func() { suite.Results = append(suite.Results, results...) }()
	for _, c := range all {
		if !t.matching.MatchString(c.Name) {
			continue
		}
		r, err := m.Run(ctx, c, cases.Options{Seed: t.seed, Rounds: t.rounds})
		if err != nil {
			return fmt.Errorf("case %s: %w", c.Name, err)
		}
		results = append(results, r)
		if !t.json {
			printResult(t.out, suite.Name, r, t.update)
		}
	}
	if !t.update {
		return nil
	}
	updated, err := cases.Update(path, results)
	t.updated += updated
	if updated > 0 && !t.json {
		fmt.Fprintf(t.out, "      %s updated in %s\n", count(int64(updated), "case"), printable(path))
	}
	return err
}

// printResult prints a line of a case, and of each thing that is not as it must be, unless it is going to be updated.
func printResult(out io.Writer, name string, r *cases.Result, update bool) {
	outcome, failures := "ok  ", r.Failures
	switch {
	case update && r.Updatable():
		outcome, failures = "upd ", nil
	case !r.Passed():
		outcome = "FAIL"
	}
	fmt.Fprintf(out, "%s  %s: %s  (%s, %.1fs)\n", outcome, printable(name), printable(r.Case.Name), count(int64(r.Runs), "run"),
		r.Took.Seconds())
	for _, f := range failures {
		fmt.Fprintf(out, "      %s: %s\n", printable(f.Where), printable(f.Text))
	}
}

// end writes what is written at the end, and makes the error of the whole.
func (t *tests) end() error {
	if t.junit != "" {
		if err := t.writeJUnit(); err != nil {
			return err
		}
	}
	all, failed, broken := 0, 0, 0
	for _, s := range t.suites {
		all, failed = all+len(s.Results), failed+s.Failed()
		if s.Error != "" {
			broken++
		}
	}
	failed -= t.updated
	switch {
	case broken > 0:
		said := count(int64(broken), "projection") + " cannot be tested"
		if failed > 0 {
			said += fmt.Sprintf(", and %d of %s fail", failed, count(int64(all), "case"))
		}
		return &summedUp{said, t.first}
	case failed > 0:
		return fmt.Errorf("%d of %s fail (--seed %d)", failed, count(int64(all), "case"), t.seed)
	case all == 0:
		return usagef("no case has a name that matches --run %s", printable(t.only))
	case !t.json && all > t.updated:
		fmt.Fprintf(t.out, "%s passed\n", count(int64(all-t.updated), "case"))
	}
	return nil
}

// summedUp is an error whose text was printed before.
type summedUp struct {
	said  string
	cause error // from which the exit code comes
}

// Error sums up.
func (e *summedUp) Error() string { return e.said }

// Unwrap returns the first cause.
func (e *summedUp) Unwrap() error { return e.cause }

func (t *tests) writeJUnit() error {
	file, err := os.Create(t.junit)
	if err != nil {
		return usagef("--junit %s: %v", printable(t.junit), unwrapPath(err))
	}
	return errors.Join(cases.WriteJUnit(file, t.suites), file.Close())
}
