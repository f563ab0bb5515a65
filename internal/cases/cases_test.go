package cases_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/cases"
	"github.com/pupwasm/pupwasm/internal/guestbuild"
	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/internal/pgtest"
)

// compiled and compiler are options of the hosts of these tests, see [guestbuild.SharedCache].
var compiled, compiler string

func TestMain(m *testing.M) {
	host.CompilerMain()
	os.Exit(guestbuild.SharedCache(func(cache, program string) int {
		compiled, compiler = cache, program
		defer mariadbtest.Stop()
		return pgtest.Main(m)
	}))
}

// shared are the runtimes of all tests: each reads the compiled code of a module once.
var shared = sync.OnceValues(func() (cases.Runtimes, error) {
	return cases.NewRuntimes(context.Background(), host.Options{CacheDir: compiled, Compiler: compiler})
})

// module returns a compiled example, whose cases run on SQLite.
func module(t *testing.T, name string) *cases.Module {
	t.Helper()
	runtimes, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return &cases.Module{
		Runtimes: runtimes, File: name + ".wasm", Wasm: guestbuild.Example(t, guestbuild.Go, name),
		Database: cases.SQLite(t.TempDir()),
	}
}

// write writes a file of cases.
func write(t *testing.T, name, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// run runs all cases of a file in all variations.
func run(t *testing.T, m *cases.Module, path string) []*cases.Result {
	t.Helper()
	return runRounds(t, m, path, 1)
}

func runRounds(t *testing.T, m *cases.Module, path string, rounds int) []*cases.Result {
	t.Helper()
	all, err := cases.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	var results []*cases.Result
	for _, c := range all {
		r, err := m.Run(t.Context(), c, cases.Options{Seed: 1, Rounds: rounds})
		if err != nil {
			t.Fatal(err)
		}
		results = append(results, r)
	}
	return results
}

func failures(path string, r *cases.Result) string {
	var b strings.Builder
	for _, f := range r.Failures {
		b.WriteString(strings.TrimPrefix(f.Where, path) + " " + f.Text + "\n")
	}
	return b.String()
}

const counts = `# Users of the shop.
defaults: {bounded_context: Shop, aggregate_type: User}
cases:
  - name: counts events of each user
    given:
      - {aggregate_id: ann, event_type: Registered, created_at: 2024-05-01T10:00:00Z}
    when:
      - {aggregate_id: ann, event_type: LoggedIn, created_at: 2024-05-02T10:00:00+02:00}
      - stream: Shop/Order/o1
        event_type: Placed
        payload: {user_id: bob, total: 12.50}
    then:
      rows:
        users:
          - {user_id: ann, events: 2, last_seen: "2024-05-02T08:00:00Z"}
          - {user_id: bob, events: 1}
  - name: a payload that is wrong
    when:
      - {aggregate_id: ann, event_type: Registered}
      - {stream: Shop/Order/o1, event_type: Placed, payload: {user_id: 17}}
    then:
      fault: {event: 2, error: "not a string"}
      rows:
        users: [{user_id: ann, events: 1}]
`

func TestRun_rowsAndFaults(t *testing.T) {
	t.Parallel()
	m := module(t, "user_counter")
	path := write(t, "counts.yaml", counts)
	for _, r := range run(t, m, path) {
		if !r.Passed() {
			t.Errorf("%s:\n%s", r.Case.Name, failures(path, r))
		}
		if r.Runs != 9 {
			t.Errorf("%s was run %d times", r.Case.Name, r.Runs)
		}
	}
}

func TestRun_onPostgreSQL(t *testing.T) {
	t.Parallel()
	m := module(t, "user_counter")
	server, err := cases.Postgres(t.Context(), pgtest.Empty(t).DSN)
	if err != nil {
		t.Fatal(err)
	}
	m.Database = server.Database
	path := write(t, "counts.yaml", counts)
	for _, r := range run(t, m, path) {
		if !r.Passed() {
			t.Errorf("%s:\n%s", r.Case.Name, failures(path, r))
		}
	}
	server.Close()
	left := 0
	row := pgtest.Empty(t).Connect(t).QueryRow(t.Context(), "SELECT count(*) FROM pg_database WHERE datname LIKE 'pupwasm_test%'")
	if err := row.Scan(&left); err != nil || left != 0 {
		t.Errorf("%d databases are left; %v", left, err)
	}
}

func TestRun_onMariaDB(t *testing.T) {
	t.Parallel()
	m := module(t, "customer_totals") // which has a view
	at := mariadbtest.Empty(t)
	server, err := cases.MariaDB(t.Context(), at.URL)
	if err != nil {
		t.Fatal(err)
	}
	m.Database = server.Database
	path := write(t, "totals.yaml", totals)
	for _, r := range run(t, m, path) {
		if !r.Passed() {
			t.Errorf("%s:\n%s", r.Case.Name, failures(path, r))
		}
	}
	server.Close()
	left := 0
	row := at.Connect(t).QueryRowContext(t.Context(), `SELECT (SELECT count(*) FROM information_schema.schemata
		WHERE schema_name LIKE 'pup|_%' ESCAPE '|') + (SELECT count(*) FROM mysql.global_priv WHERE user LIKE '%pup|_%' ESCAPE '|')`)
	if err := row.Scan(&left); err != nil || left != 0 {
		t.Errorf("%d databases and users are left; %v", left, err)
	}
}

const totals = `
defaults: {bounded_context: Sales}
cases:
  - name: a customer who has paid twice
    when:
      - {stream: Sales/Customer/c1, event_type: CustomerRegistered, payload: {name: Ada}}
      - {stream: Sales/Order/o1, event_type: OrderPaid, payload: {customer_id: c1, amount: 7}}
      - {stream: Sales/Order/o2, event_type: OrderPaid, payload: {customer_id: c1, amount: 1.01}}
    then:
      rows:
        customers: [{customer_id: c1, name: Ada, orders: 2, paid_cents: 801, last_order: o2}]
        averages: [{customer_id: c1, average_cents: 400}]
`

func TestRun_tellsWhatDiffers(t *testing.T) {
	t.Parallel()
	m := module(t, "user_counter")
	path := write(t, "wrong.yaml", strings.NewReplacer("ann, events: 2", "ann, events: 3", "bob, events: 1", "eve, events: 1",
		`event: 2, error: "not a string"`, `event: 1, error: "not a string"`).Replace(counts))
	results := run(t, m, path)
	want := ":15:13 users user_id=ann: events is 2, want 3\n" +
		":16:13 users: there is no row user_id=eve events=1\n" +
		":14:9 users: there is a row besides: user_id=bob events=1 last_seen=2024-01-01T00:00:03Z\n"
	if got := failures(path, results[0]); got != want {
		t.Errorf("said\n%swant\n%s", got, want)
	}
	if got := failures(path, results[1]); !strings.Contains(got, `:22:14 want the fault "not a string" of event 1, and event 2 of "when" (Placed) fails: `) {
		t.Errorf("said\n%s", got)
	}
}

// TestRun_findsWhatDependsOnMoreThanTheEvents has a module whose rows depend, by the type of the events, on what an
// instance remembers, on where batches end, on random numbers, the order of a map, and the time.
func TestRun_findsWhatDependsOnMoreThanTheEvents(t *testing.T) {
	t.Parallel()
	m := module(t, filepath.Join("testdata", "depends"))
	for eventType, depends := range map[string]bool{"Global": true, "Batch": true, "Random": true, "Map": true, "Time": true, "Fine": false} {
		path := write(t, "many.yaml", "cases:\n  - name: many\n    when: events.jsonl\n    then: {rows: {}}\n")
		var lines strings.Builder
		for i := range 16 {
			lines.WriteString(`{"bounded_context":"Shop","aggregate_type":"User","aggregate_id":"u` + string(rune('a'+i%7)) + `","event_type":"` + eventType + `"}` + "\n")
		}
		if err := os.WriteFile(filepath.Join(filepath.Dir(path), "events.jsonl"), []byte(lines.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		r := run(t, m, path)[0]
		if got := failures(path, r); strings.Contains(got, "what comes of the events depends on more than them") != depends {
			t.Errorf("%s: said %q", eventType, got)
		}
	}
}

func TestRead_tellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	const head = "cases:\n  - name: a\n"
	for text, want := range map[string]string{
		"":                                  ": has no cases",
		"cases: 3":                          ":1:8: cases must be a list, it is 3",
		"tests: []":                         ":1:1: tests is not known here: there may be defaults, cases",
		"cases: [7]":                        ":1:9: a case must have members such as \"name: value\", it is 7",
		"cases:\n  - when: []":              ":2:5: the case has no name",
		head:                                `:2:5: case a has no events in "when"`,
		head + "    whem: []":               ":3:5: whem is not known here: there may be name, given, when, then: did you mean when?",
		head + "    when: [{event_typ: E}]": `:3:12: the event: member "event_typ" is not known`,
		head + "    when: [{stream: a/b, event_type: E}]":                                                ":3:21: stream must be CONTEXT/TYPE/ID, it is a/b",
		head + "    when: missing.jsonl":                                                                 "missing.jsonl: no such file or directory",
		head + "    when: [{stream: a/b/c, event_type: E}]\n    then: 3":                                 ":4:11: then must have the members rows, messages or fault, it is 3",
		head + "    when: [{stream: a/b/c, event_type: E}]\n    then: {message: []}":                     ":4:12: message is not known here: there may be rows, messages, fault: did you mean messages?",
		head + "    when: [{stream: a/b/c, event_type: E}]\n    then: {messages: {}}":                    ":4:22: messages must be a list ([] for none), it is a section",
		head + "    when: [{stream: a/b/c, event_type: E}]\n    then: {messages: [a]}":                   ":4:23: a message must be members with values, such as {subject: shop.paid, data: {n: 1}}, it is a",
		head + "    when: [{stream: a/b/c, event_type: E}]\n    then: {messages: [{key: a}]}":            ":4:23: the message has no subject",
		head + "    when: [{stream: a/b/c, event_type: E}]\n    then: {messages: [{subject: a, id: b}]}": "id is not known here: there may be subject, key, type, content_type, data",
		head + "    when: [{stream: a/b/c, event_type: E}]\n    then: {messages: [{subject: [a]}]}":      "subject must be a text, it is a list",
		head + "    when: [{stream: a/b/c, event_type: E}]\n    then: {rows: {t: 3}}":                    ":4:22: the rows of t must be a list ([] for none), it is 3",
		head + "    when: [{stream: a/b/c, event_type: E}]\n    then: {fault: {event: 2}}":               `:4:27: event must be the number of an event in "when", from 1 to 1, it is 2`,
		head + "    when: &x [1]": ":3:11: has an anchor or an alias",
		head + "    when: [{stream: a/b/c, event_type: E}]\n  - name: a\n    when: [{stream: a/b/c, event_type: E}]": ":4:11: there is a case a in line 2",
	} {
		path := write(t, "case.yaml", text)
		_, err := cases.Read(path)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: the error is %v", text, err)
		}
	}
	if _, err := cases.Read(filepath.Join(t.TempDir(), "none.yaml")); err == nil || !strings.HasSuffix(err.Error(), "none.yaml: cannot be read: no such file or directory") {
		t.Errorf("of a file that is missing: %v", err)
	}
}

func TestRun_tellsWhatCannotBeARow(t *testing.T) {
	t.Parallel()
	m := module(t, "user_counter")
	for then, want := range map[string]string{
		"{rows: {usrs: []}}":                         "the projection has no table or view usrs: it has users: did you mean users?",
		"{rows: {users: [{user: ann}]}}":             "users has no column user: it has user_id, events, last_seen",
		"{rows: {users: [{events: 1}]}}":             "the row has no user_id: the key tells rows of users apart",
		"{rows: {users: [{user_id: a, events: b}]}}": `column events: "b" is no i64, such as -42`,
		"{rows: {users: [{user_id: [a]}]}}":          "column user_id: must be a value of type text, it is a list",
		"":                                           `the case does not say what comes of the events: write "then", or run 'pupwasm test --update'`,
	} {
		path := write(t, "case.yaml", "cases:\n  - name: a\n    when: [{stream: Shop/User/ann, event_type: E}]\n    then: "+then+"\n")
		if got := failures(path, runRounds(t, m, path, 0)[0]); !strings.Contains(got, want) {
			t.Errorf("%s: said %q", then, got)
		}
	}
}

// TestUpdate_writesWhatCame updates files, which then pass, and keeps all else of them.
func TestUpdate_writesWhatCame(t *testing.T) {
	t.Parallel()
	m := module(t, "user_counter")
	const users = `users:
          - {user_id: ann, events: 1, last_seen: "2024-01-01T00:00:01Z"}
`
	for name, test := range map[string]struct{ before, after string }{
		"no then.yaml": {
			"cases:\n  - name: a # first\n    when: [{stream: Shop/User/ann, event_type: E}]\n\n# end\n",
			"cases:\n  - name: a # first\n    when: [{stream: Shop/User/ann, event_type: E}]\n    then:\n      rows:\n        " + users + "\n# end\n",
		},
		"no line end.yaml": {
			"cases:\n- name: a\n  when: [{stream: Shop/User/ann, event_type: E}]",
			"cases:\n- name: a\n  when: [{stream: Shop/User/ann, event_type: E}]\n  then:\n    rows:\n      " + strings.ReplaceAll(users, "          -", "        -"),
		},
		"between.yaml": {
			"cases:\n  - when: [{stream: Shop/User/ann, event_type: E}]\n    then:\n      rows:\n        users:\n          # old\n          - {user_id: bob, events: 2}\n    name: a\n  - name: b\n    when: [{stream: Shop/User/ann, event_type: E}]\n    then: {rows: {users: [{user_id: ann}]}}\n",
			"cases:\n  - when: [{stream: Shop/User/ann, event_type: E}]\n    then:\n      rows:\n        users:\n          - {user_id: ann, events: 1}\n    name: a\n  - name: b\n    when: [{stream: Shop/User/ann, event_type: E}]\n    then: {rows: {users: [{user_id: ann}]}}\n",
		},
		"lines.jsonl": {
			`{"name": "a", "then": {"rows": {"users": []}}, "when": [{"stream": "Shop/User/ann", "event_type": "E"}]}` + "\r\n" + `{"name":"b","when":[{"stream":"Shop/User/ann","event_type":"E"}]}`,
			`{"name": "a", "then": {"rows": {"users": [{"user_id":"ann","events":1,"last_seen":"2024-01-01T00:00:01Z"}]}}, "when": [{"stream": "Shop/User/ann", "event_type": "E"}]}` + "\r\n" + `{"name":"b","when":[{"stream":"Shop/User/ann","event_type":"E"}], "then": {"rows": {"users": [{"user_id":"ann","events":1,"last_seen":"2024-01-01T00:00:01Z"}]}}}`,
		},
		"fault.yaml": {
			"cases:\n  - name: a\n    when: [{stream: Shop/Order/o, event_type: E, payload: {user_id: 1}}]\n    then:\n",
			"",
		},
	} {
		path := write(t, name, test.before)
		if _, err := cases.Update(path, runRounds(t, m, path, 0)); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		after, err := os.ReadFile(path)
		if err != nil || test.after != "" && string(after) != test.after {
			t.Errorf("%s is\n%s\nwant\n%s\n%v", name, after, test.after, err)
		}
		for _, r := range runRounds(t, m, path, 0) {
			if !r.Passed() {
				t.Errorf("%s: after the update case %s fails: %s\n%s", name, r.Case.Name, failures(path, r), after)
			}
		}
	}
	path := write(t, "braces.yaml", "cases: [{name: a, when: [{stream: Shop/User/ann, event_type: E}]}]\n")
	if _, err := cases.Update(path, runRounds(t, m, path, 0)); err == nil || !strings.Contains(err.Error(), "the case is within braces") {
		t.Errorf("of a case in braces: %v", err)
	}
}

func TestFind_isEmptyWithoutAFolder(t *testing.T) {
	t.Parallel()
	files, err := cases.Find(filepath.Join(t.TempDir(), "none"))
	if err != nil || len(files) != 0 {
		t.Error(files, err)
	}
	if _, err := cases.Find("cases.go"); err == nil || errors.Is(err, os.ErrNotExist) {
		t.Error("a file is a folder:", err)
	}
}
