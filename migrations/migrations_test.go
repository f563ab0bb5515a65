package migrations_test

import (
	"context"
	"database/sql"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/pupwasm/pupwasm/migrations"
	"github.com/pupwasm/pupwasm/store"
)

var dialects = []migrations.Dialect{migrations.Postgres, migrations.SQLite, migrations.MySQL}

func TestUp_bringsEverythingAndIsRepeatable(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, db database) {
		handle := db.open(t)
		m := migrator(t, db, handle, "pupwasm")
		if got := applied(t, m); got != db.upTo(t, 0) || count(t, handle, db.objects) != 0 {
			t.Errorf("at first the status is %q, and asking made %d objects", got, count(t, handle, db.objects))
		}
		done, err := m.Up(t.Context())
		must(t, err)
		if len(done) != len(db.steps(t)) || done[0].Name != "events" || done[1].Name != "projections" ||
			applied(t, m) != db.all(t) {
			t.Errorf("applied %d migrations, the status is %q", len(done), applied(t, m))
		}
		objects := count(t, handle, db.objects)
		done, err = m.Up(t.Context())
		must(t, err)
		if len(done) != 0 || count(t, handle, db.objects) != objects {
			t.Errorf("the second time applied %d migrations", len(done))
		}
		for _, table := range []string{"events", "projections", "segments", "workers"} {
			if got := count(t, handle, "SELECT count(*) FROM "+db.table("pupwasm", table)); got != 0 {
				t.Errorf("%s has %d rows", table, got)
			}
		}
	})
}

func TestDown_takesStepsBackAndUpBringsThemAgain(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, db database) {
		handle := db.open(t)
		m := migrator(t, db, handle, "pupwasm")
		_, err := m.Up(t.Context())
		must(t, err)
		objects := count(t, handle, db.objects)
		all := len(db.steps(t))
		for _, step := range []struct{ steps, left int }{{0, all}, {1, all - 1}, {all - 2, 1}, {1, 0}, {1, 0}} {
			_, err := m.Down(t.Context(), step.steps)
			must(t, err)
			if want := db.upTo(t, step.left); applied(t, m) != want {
				t.Errorf("after down %d the status is %q, want %q", step.steps, applied(t, m), want)
			}
		}
		for range 2 {
			_, err = m.Up(t.Context())
			must(t, err)
			if got := count(t, handle, db.objects); got != objects {
				t.Errorf("after down and up there are %d objects, before there were %d", got, objects)
			}
			done, err := m.Down(t.Context(), 99)
			must(t, err)
			if len(done) != all || done[0].Number != all {
				t.Errorf("down of everything reverted %d, first %d", len(done), done[0].Number)
			}
		}
	})
}

func TestDown_ofPartLeavesTheRest(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, db database) {
		handle := db.open(t)
		m := migrator(t, db, handle, "pupwasm")
		_, err := m.Up(t.Context())
		must(t, err)
		_, err = m.Down(t.Context(), len(db.steps(t))-1)
		must(t, err)
		if got := count(t, handle, "SELECT count(*) FROM "+db.table("pupwasm", "events")); got != 0 {
			t.Errorf("events has %d rows", got)
		}
		done, err := m.Up(t.Context())
		must(t, err)
		if len(done) != len(db.steps(t))-1 || done[0].Number != 2 {
			t.Errorf("applied %+v", done)
		}
	})
}

// TestDown_isRefusedWhileAProjectionIsInstalled and leaves everything as it was: what lies in the schema of its
// tables may be somebody else's.
func TestDown_isRefusedWhileAProjectionIsInstalled(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, db database) {
		handle := db.open(t)
		m := migrator(t, db, handle, "pupwasm")
		_, err := m.Up(t.Context())
		must(t, err)
		columns, values := "name, version, segments, next_segment, declaration, shapes, live", "'total', 1, 1, 1, '{}', '[]', true"
		if db.dialect != migrations.Postgres {
			columns, values = columns+", installed_at", values+", 0"
		}
		_, err = handle.ExecContext(t.Context(), "INSERT INTO "+db.table("pupwasm", "projections")+" ("+columns+
			") VALUES ("+values+")")
		must(t, err)
		reverted, err := m.Down(t.Context(), len(db.steps(t)))
		if err == nil || !strings.Contains(err.Error(), "use Store.Reset(NAME) for each of them first") ||
			len(reverted) > 0 {
			t.Errorf("down of %v: %v", reverted, err)
		}
		if state := applied(t, m); state != db.all(t) {
			t.Errorf("applied are %v", state)
		}
		_, err = handle.ExecContext(t.Context(), "DELETE FROM "+db.table("pupwasm", "projections"))
		must(t, err)
		_, err = m.Down(t.Context(), len(db.steps(t)))
		must(t, err)
	})
}

// TestDown_bringsReplacedFunctionsBack compares the functions, after each step down, with those of a database that
// never went further up.
func TestDown_bringsReplacedFunctionsBack(t *testing.T) {
	t.Parallel()
	functions := func(handle *sql.DB) (text string) {
		must(t, handle.QueryRowContext(t.Context(), `SELECT string_agg(pg_get_functiondef(oid), '' ORDER BY proname)
			FROM pg_proc WHERE pronamespace = 'pupwasm'::regnamespace`).Scan(&text))
		return text
	}
	db, other := postgresDatabase(t), postgresDatabase(t)
	steps := db.steps(t)
	fresh := other.open(t)
	_, err := fresh.ExecContext(t.Context(), "CREATE SCHEMA pupwasm")
	must(t, err)
	was := make([]string, len(steps)+1)
	for i, step := range steps {
		_, err := fresh.ExecContext(t.Context(), step.Up)
		must(t, err)
		was[i+1] = functions(fresh)
	}
	handle := db.open(t)
	m := migrator(t, db, handle, "pupwasm")
	_, err = m.Up(t.Context())
	must(t, err)
	for left := len(steps); left > 0; left-- {
		if functions(handle) != was[left] {
			t.Errorf("with %d steps left the functions are not those that the steps make", left)
		}
		_, err := handle.ExecContext(t.Context(), `SELECT pupwasm.append('c', 't', 'i', '[{"event_type": "e"}]')`)
		must(t, err)
		_, err = m.Down(t.Context(), 1)
		must(t, err)
	}
}

func TestUp_manyAtOnce(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, db database) {
		const hosts = 16
		shared := db.open(t)
		var group sync.WaitGroup
		done := make([]int, hosts)
		errs := make([]error, hosts)
		for i := range hosts {
			handle := shared
			if i%2 == 0 {
				handle = db.open(t)
			}
			m := migrator(t, db, handle, "pupwasm")
			group.Go(func() {
				steps, err := m.Up(t.Context())
				done[i], errs[i] = len(steps), err
			})
		}
		group.Wait()
		total := 0
		for i := range hosts {
			must(t, errs[i])
			total += done[i]
		}
		if total != len(db.steps(t)) || applied(t, migrator(t, db, shared, "pupwasm")) != db.all(t) {
			t.Errorf("%d migrations were applied by %d hosts", total, hosts)
		}
	})
}

func TestUp_schemasStandBesideEachOther(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, db database) {
		handle := db.open(t)
		for _, schema := range []string{"pupwasm", "second", "select", "a1"} {
			m := migrator(t, db, handle, schema)
			_, err := m.Up(t.Context())
			must(t, err)
			if got := count(t, handle, "SELECT count(*) FROM "+db.table(schema, "events")); got != 0 ||
				applied(t, m) != db.all(t) {
				t.Errorf("%s: %d events, status %q", schema, got, applied(t, m))
			}
		}
		_, err := migrator(t, db, handle, "second").Down(t.Context(), 99)
		must(t, err)
		if got := applied(t, migrator(t, db, handle, "pupwasm")); got != db.all(t) {
			t.Errorf("the other schema's status is %q", got)
		}
	})
}

func TestNew_refusesBadSchemaNames(t *testing.T) {
	t.Parallel()
	for _, schema := range []string{
		"", "Pup", "1a", "_a", "a-b", "a b", `a"b`, "a'b", "a;DROP TABLE x", "ä", "pg_mine",
		"a__b", strings.Repeat("a", 17), "a\n",
	} {
		for _, dialect := range dialects {
			if _, err := migrations.New(nil, dialect, schema); err == nil || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: schema %q: %v", dialect, schema, err)
			}
		}
		if store.CheckSchema(schema) == nil {
			t.Errorf("a store takes the schema %q, which migrations refuse", schema)
		}
	}
	must(t, migrations.CheckSchema(strings.Repeat("a", 16)))
	must(t, store.CheckSchema(strings.Repeat("a", 16)))
}

func TestUp_newerDatabaseThanBinary(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, db database) {
		handle := db.open(t)
		m := migrator(t, db, handle, "pupwasm")
		_, err := m.Up(t.Context())
		must(t, err)
		_, err = handle.ExecContext(t.Context(), "UPDATE "+db.table("pupwasm", "migration")+" SET version = 99")
		must(t, err)
		_, up := m.Up(t.Context())
		_, down := m.Down(t.Context(), 1)
		for _, err := range []error{up, down} {
			if err == nil || !strings.Contains(err.Error(), "at migration 99") ||
				!strings.Contains(err.Error(), "newer pupwasm") {
				t.Errorf("got %v", err)
			}
		}
		if got := applied(t, m); got != db.all(t) {
			t.Errorf("status is %q", got)
		}
	})
}

// TestUp_failureLeavesNothing of the migration that fails, and, except on MariaDB, nothing of those before it.
func TestUp_failureLeavesNothing(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, db database) {
		handle := db.open(t)
		block := "CREATE TABLE " + db.table("pupwasm", "workers") + " (x int)"
		if db.dialect == migrations.Postgres {
			block = "CREATE SCHEMA pupwasm; " + block
		}
		_, err := handle.ExecContext(t.Context(), block)
		must(t, err)
		m := migrator(t, db, handle, "pupwasm")
		left := 0
		if db.dialect == migrations.MySQL {
			left = 1
			_, err := migrator(t, db, handle, "pupwasm").Up(t.Context())
			if done := db.upTo(t, left); err == nil || applied(t, m) != done {
				t.Errorf("got %v, applied are %s", err, applied(t, m))
			}
		}
		before := count(t, handle, db.objects)
		for range 3 { // and the handle's connections stay usable
			if _, err := m.Up(t.Context()); err == nil || !strings.Contains(err.Error(), "002_projections") {
				t.Errorf("got %v", err)
			}
			if got := count(t, handle, db.objects); got != before {
				t.Errorf("%d objects are there, %d before", got, before)
			}
			if want := db.upTo(t, left); applied(t, m) != want {
				t.Errorf("applied are %s, want %s", applied(t, m), want)
			}
		}
		_, err = handle.ExecContext(t.Context(), "DROP TABLE "+db.table("pupwasm", "workers"))
		must(t, err)
		_, err = m.Up(t.Context())
		must(t, err)
	})
}

func TestUp_cancelledLeavesNothing(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, db database) {
		handle := db.open(t)
		m := migrator(t, db, handle, "pupwasm")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := m.Up(ctx); err == nil {
			t.Error("a cancelled call reports success")
		}
		if got := count(t, handle, db.objects); got != 0 {
			t.Errorf("%d objects are there", got)
		}
		_, err := m.Up(t.Context())
		must(t, err)
	})
}

// TestUp_searchPathDoesNotMatter runs with a search path that has tables of the same names in front.
func TestUp_searchPathDoesNotMatter(t *testing.T) {
	t.Parallel()
	db := postgresDatabase(t)
	handle := db.open(t)
	_, err := handle.ExecContext(t.Context(), `CREATE SCHEMA decoy; CREATE TABLE decoy.events (x int); CREATE TABLE decoy.migration (version int);
		DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = decoy', current_database()); END $$`)
	must(t, err)
	other := db.open(t)
	_, err = migrator(t, db, other, "pupwasm").Up(t.Context())
	must(t, err)
	_, err = other.ExecContext(t.Context(), `SELECT pupwasm.append('c', 't', 'i', '[{"event_type": "e"}]')`)
	must(t, err)
	if got := count(t, other, "SELECT count(*) FROM pupwasm.events"); got != 1 {
		t.Errorf("%d events are there", got)
	}
}

func TestLoad_everyScriptIsComplete(t *testing.T) {
	t.Parallel()
	for _, dialect := range dialects {
		steps, err := migrations.Load(dialect, "mine")
		must(t, err)
		if len(steps) < 2 {
			t.Errorf("%s has %d migrations", dialect, len(steps))
		}
		for i, step := range steps {
			if step.Number != i+1 || step.Name == "" {
				t.Errorf("%s: migration %d is %03d_%s", dialect, i, step.Number, step.Name)
			}
			for _, script := range []string{step.Up, step.Down} {
				if strings.TrimSpace(script) == "" || strings.Contains(script, "{schema}") ||
					!strings.Contains(script, "mine") {
					t.Errorf("%s: a script of %03d_%s is not filled in", dialect, step.Number, step.Name)
				}
				if dialect != migrations.MySQL && regexp.MustCompile(`(?i)\b(commit|rollback)\b\s*;`).MatchString(script) {
					t.Errorf("%s: %03d_%s ends the transaction that all scripts share", dialect, step.Number, step.Name)
				}
			}
		}
	}
	if steps, err := migrations.Load("oracle", "mine"); err == nil && len(steps) != 0 {
		t.Errorf("an unknown dialect has %d migrations", len(steps))
	}
}
