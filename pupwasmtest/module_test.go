package pupwasmtest_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/guestbuild"
	"github.com/pupwasm/pupwasm/pupwasmtest"
)

func TestMain(m *testing.M) {
	host.CompilerMain()
	os.Exit(m.Run())
}

// userCounter is the path of an example module that was built.
func userCounter(t testing.TB) string {
	t.Helper()
	path := t.TempDir() + "/user_counter.wasm"
	if err := os.WriteFile(path, guestbuild.Example(t, guestbuild.Go, "user_counter"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// caught runs a part of a test that must fail, and returns what it said.
type caught struct {
	testing.TB
	said []string
}

func (c *caught) Error(args ...any) { c.said = append(c.said, fmt.Sprint(args...)) }
func (c *caught) Fatal(args ...any) { c.Error(args...); panic(c) }
func (c *caught) Helper()           {}

func (c *caught) run(part func()) (said string) {
	defer func() {
		said = strings.Join(c.said, "\n")
		if problem := recover(); problem != nil && problem != any(c) {
			panic(problem)
		}
	}()
	c.said = nil
	part()
	return ""
}

func TestProjection_givenWhenThen(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]pupwasmtest.Options{"SQLite": {}, "PostgreSQL": {Postgres: true}, "MariaDB": {MariaDB: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := pupwasmtest.Load(t, userCounter(t), options)
			p.Given(pupwasmtest.Event("Shop/User/ann", "Registered", nil)).
				When(
					pupwasmtest.Event("Shop/User/ann", "LoggedIn", "{}"),
					pupwasmtest.Event("Shop/Order/o/1", "Placed", map[string]any{"user_id": "bob"}),
				).
				Then(pupwasmtest.Rows("users",
					pupwasmtest.Row{"user_id": "bob", "events": 1, "last_seen": "2024-01-01T00:00:03Z"},
					pupwasmtest.Row{"user_id": "ann", "events": 2},
				))
			p.When(pupwasmtest.Event("Shop/Order/o1", "Placed", json.RawMessage(`{"user_id": 7}`))).
				Then(pupwasmtest.Fault(1, "not a string"), pupwasmtest.Rows("users"))
		})
	}
}

func TestProjection_failsTheTest(t *testing.T) {
	t.Parallel()
	c := &caught{TB: t}
	p := pupwasmtest.Load(c, userCounter(t), pupwasmtest.Options{Rounds: -1})
	event := pupwasmtest.Event("Shop/User/ann", "Registered", nil)
	for want, part := range map[string]func(){
		"users user_id=ann: events is 1, want 2": func() {
			p.When(event).Then(pupwasmtest.Rows("users", pupwasmtest.Row{"user_id": "ann", "events": 2}))
		},
		"users: there is a row besides: user_id=ann": func() { p.When(event).Then(pupwasmtest.Rows("users")) },
		"no table or view user":                      func() { p.When(event).Then(pupwasmtest.Rows("user")) },
		"no event fails":                             func() { p.When(event).Then(pupwasmtest.Fault(1, "x")) },
		"the case has no events":                     func() { p.Given(event).Then() },
		`event 1 of "when" (Placed) fails`: func() {
			p.When(pupwasmtest.Event("Shop/Order/1", "Placed", `{"user_id": 7}`)).Then()
		},
		"a row of users: column events: json": func() {
			p.When(event).Then(pupwasmtest.Rows("users", pupwasmtest.Row{"user_id": "a", "events": func() {}}))
		},
		"nowhere: there are no cases": func() { p.Cases("nowhere") },
	} {
		if said := c.run(part); !strings.Contains(said, want) {
			t.Errorf("said %q, want %q", said, want)
		}
	}
}

func TestEvent_panicsForWhatIsNone(t *testing.T) {
	t.Parallel()
	for _, wrong := range []func(){
		func() { pupwasmtest.Event("Shop/User", "E", nil) },
		func() { pupwasmtest.Event("Shop/User/1", "E", make(chan int)) },
	} {
		func() {
			defer func() {
				if problem, _ := recover().(string); !strings.HasPrefix(problem, "pupwasmtest: the ") {
					t.Errorf("it panicked with %q", problem)
				}
			}()
			wrong()
		}()
	}
}
