package migrations_test

import (
	"database/sql"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/migrations"
	"github.com/pupwasm/pupwasm/store/mysql"
)

var commentOrSpace = regexp.MustCompile(`(?:--[^\n]*\n|\s)+`)

// layout is all that a database has of pupwasm. The program mariadb leaves comments out.
func layout(t *testing.T, handle *sql.DB) string {
	t.Helper()
	var text string
	must(t, handle.QueryRowContext(t.Context(), `SELECT GROUP_CONCAT(what ORDER BY what SEPARATOR '|') FROM (
		SELECT CONCAT_WS(' ', 'column', table_name, ordinal_position, column_name, column_type, is_nullable, column_default,
			extra, collation_name) AS what FROM information_schema.columns WHERE table_schema = DATABASE()
		UNION ALL SELECT CONCAT_WS(' ', 'table', table_name, engine, table_collation) FROM information_schema.tables
			WHERE table_schema = DATABASE()
		UNION ALL SELECT CONCAT_WS(' ', 'index', table_name, index_name, seq_in_index, column_name, non_unique)
			FROM information_schema.statistics WHERE table_schema = DATABASE()
		UNION ALL SELECT CONCAT_WS(' ', 'check', table_name, constraint_name, check_clause)
			FROM information_schema.check_constraints WHERE constraint_schema = DATABASE()
		UNION ALL SELECT CONCAT_WS(' ', 'key', table_name, constraint_name, referenced_table_name, delete_rule, update_rule)
			FROM information_schema.referential_constraints WHERE constraint_schema = DATABASE()
		UNION ALL SELECT CONCAT_WS(' ', 'routine', routine_name, routine_type, security_type, sql_mode, routine_definition)
			FROM information_schema.routines WHERE routine_schema = DATABASE()
		UNION ALL SELECT CONCAT_WS(' ', 'trigger', trigger_name, event_manipulation, action_timing, sql_mode, action_statement)
			FROM information_schema.triggers WHERE trigger_schema = DATABASE()
		UNION ALL SELECT CONCAT_WS(' ', 'fence', slot) FROM pupwasm__fence) AS layout`).Scan(&text))
	return commentOrSpace.ReplaceAllString(text, " ")
}

// migratedLayout is that of a database that was migrated at once.
func migratedLayout(t *testing.T) string {
	t.Helper()
	db := mariadbDatabase(t)
	handle := db.open(t)
	_, err := migrator(t, db, handle, "pupwasm").Up(t.Context())
	must(t, err)
	return layout(t, handle)
}

// client runs a text by the program mariadb.
func client(t *testing.T, at mariadbtest.Database, text string) {
	t.Helper()
	program, err := exec.LookPath("mariadb")
	if err != nil {
		t.Skip("the program mariadb is not installed")
	}
	cmd := exec.CommandContext(t.Context(), program, "--no-defaults", "--user=root", "--database="+at.Name,
		"--socket="+filepath.Join(at.Server.Folder, "socket"))
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func TestScript_byTheProgramMariaDB(t *testing.T) {
	t.Parallel()
	at := mariadbtest.Empty(t)
	handle := closed(t)(mysql.OpenSQL(at.URL))
	script := func(down bool) string {
		text, err := migrations.Script(migrations.MySQL, "pupwasm", down)
		must(t, err)
		return text
	}
	m, err := migrations.New(at.Connect(t), migrations.MySQL, "pupwasm") // a handle with the driver's settings
	must(t, err)
	want := migratedLayout(t)
	for range 2 { // the second time it finds everything there
		client(t, at, script(false))
		if got := layout(t, handle); got != want {
			t.Errorf("the script makes another layout than Up:\n%s", cmp.Diff(strings.Split(want, "|"), strings.Split(got, "|")))
		}
	}
	if done, err := m.Up(t.Context()); err != nil || len(done) != 0 {
		t.Errorf("after it %d migrations were missing, %v", len(done), err)
	}
	client(t, at, script(true))
	if got := count(t, handle, "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE()"); got != 1 {
		t.Errorf("the script down leaves %d tables", got)
	}
	done, err := m.Up(t.Context())
	must(t, err)
	if len(done) != len(mariadbDatabase(t).steps(t)) || layout(t, handle) != want {
		t.Errorf("after it %d migrations were missing", len(done))
	}
}

// statements are the parts of a script that a client may have run when it was killed.
func statements(script string) []string {
	return strings.SplitAfter(strings.TrimSpace(script), ";\n\n")
}

// TestUp_goesOnWhereOneWasInterrupted leaves a database behind as an Up and a Down do that end anywhere.
func TestUp_goesOnWhereOneWasInterrupted(t *testing.T) {
	t.Parallel()
	want := migratedLayout(t)
	steps := mariadbDatabase(t).steps(t)
	for _, step := range steps {
		for after := range statements(step.Up) {
			t.Run(fmt.Sprintf("up/%s/%d", step.Name, after), func(t *testing.T) {
				t.Parallel()
				db := mariadbDatabase(t)
				handle := db.open(t)
				m := migrator(t, db, handle, "pupwasm")
				_, err := m.Up(t.Context())
				must(t, err)
				_, err = m.Down(t.Context(), len(steps)-step.Number+1)
				must(t, err)
				interrupt(t, handle, step, statements(step.Up)[:after])
				checkBothWays(t, db, handle, step, want)
			})
		}
		drops := strings.SplitAfter(step.Down, ";\nDROP") // where the first statement has several lines
		for after := range len(drops) + 1 {
			t.Run(fmt.Sprintf("down/%s/%d", step.Name, after), func(t *testing.T) {
				t.Parallel()
				db := mariadbDatabase(t)
				handle := db.open(t)
				m := migrator(t, db, handle, "pupwasm")
				_, err := m.Up(t.Context())
				must(t, err)
				_, err = m.Down(t.Context(), len(steps)-step.Number)
				must(t, err)
				interrupt(t, handle, step, []string{strings.TrimSuffix(strings.Join(drops[:after], ""), "DROP")})
				checkBothWays(t, db, handle, step, want)
			})
		}
	}
}

// interrupt does what a migration has done when it ends within a step.
func interrupt(t *testing.T, handle *sql.DB, step migrations.Migration, done []string) {
	t.Helper()
	for _, text := range append([]string{
		fmt.Sprintf("UPDATE pupwasm__migration SET version = %d, begun = %d", step.Number-1, step.Number),
	}, done...) {
		if strings.TrimSpace(text) == "" {
			continue
		}
		if _, err := handle.ExecContext(t.Context(), text); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
	}
}

// checkBothWays has the next call go up, or down, from an interrupted one.
func checkBothWays(t *testing.T, db database, handle *sql.DB, step migrations.Migration, want string) {
	t.Helper()
	m := migrator(t, db, handle, "pupwasm")
	if got := applied(t, m); got != db.upTo(t, step.Number-1) {
		t.Errorf("applied are %s", got)
	}
	if _, err := m.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := layout(t, handle); got != want {
		t.Errorf("it comes to another layout:\n%s", cmp.Diff(strings.Split(want, "|"), strings.Split(got, "|")))
	}
	_, err := m.Down(t.Context(), 9)
	must(t, err)
	if got := count(t, handle, db.objects); got != 1 {
		t.Errorf("%d objects are left", got)
	}
}

// TestDown_goesOnWhereOneWasInterrupted has a part of a step there, and nothing else to undo.
func TestDown_goesOnWhereOneWasInterrupted(t *testing.T) {
	t.Parallel()
	db := mariadbDatabase(t)
	handle := db.open(t)
	m := migrator(t, db, handle, "pupwasm")
	for number, step := range db.steps(t) {
		_, err := m.Up(t.Context())
		must(t, err)
		_, err = m.Down(t.Context(), len(db.steps(t))-number-1)
		must(t, err)
		interrupt(t, handle, step, nil)
		done, err := m.Down(t.Context(), 9)
		must(t, err)
		if got := count(t, handle, db.objects); got != 1 || len(done) != number {
			t.Errorf("%s: %d objects are left, and %d steps were undone", step.Name, got, len(done))
		}
	}
}

func TestUp_refusesWhatItCannotUse(t *testing.T) {
	t.Parallel()
	at := mariadbtest.Empty(t)
	for name, refused := range map[string]struct{ dsn, want string }{
		"no such database": {at.Server.DSN("missing"), "the server has no such database: create it by CREATE DATABASE, or correct the URL"},
		"no database":      {at.Server.DSN(""), "the connection is in no database: name one in the URL"},
		"one statement at a time": {
			strings.TrimSuffix(at.Server.DSN(at.Name), "?multiStatements=true"), "the connection takes one statement at a time",
		},
	} {
		handle := closed(t)(sql.Open("mysql", refused.dsn))
		m, err := migrations.New(handle, migrations.MySQL, "pupwasm")
		must(t, err)
		if _, err := m.Up(t.Context()); err == nil || !strings.HasPrefix(err.Error(), refused.want) ||
			strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCheckMariaDB(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]string{
		"10.11.19-MariaDB-0+deb12u1":        "",
		"10.6.0-MariaDB":                    "",
		"12.0.2-MariaDB-log":                "",
		"10.5.29-MariaDB":                   "the server is MariaDB 10.5.29-MariaDB, pupwasm needs 10.6 or later",
		"8.4.3":                             "the server is MySQL 8.4.3 or another that is not MariaDB: pupwasm needs MariaDB 10.6 or later",
		"8.0.11-TiDB-v8.5.0":                "that is not MariaDB",
		"8.4.3" + strings.Repeat("x", 1000): "that is not MariaDB",
	} {
		err := migrations.CheckMariaDB(version)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 200) {
			t.Errorf("%.40s: %v", version, err)
		}
	}
}
