package mysql_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
)

// lent returns a transaction of the rig, and the handle that a program gets.
func (r *rig) lent() (store.Tx, *sql.Tx) {
	r.Helper()
	tx := r.catalogue.Begin(r.claim)
	handle, err := tx.(store.NativeTx).Native(r.Context())
	must(r, err)
	return tx, handle.(*sql.Tx)
}

// TestNative_whatAProgramLeaves has programs leave their transaction in ways in which nothing can be committed with the
// checkpoint.
func TestNative_whatAProgramLeaves(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	r := newRig(t, at, at.URL, mysql.Options{})
	must(t, r.commit(t.Context(), add("a", 1)))
	exec := func(tx *sql.Tx, statements ...string) {
		t.Helper()
		for _, statement := range statements {
			if _, err := tx.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
	}
	write := "INSERT INTO " + r.table("total") + " VALUES ('before', 1)"
	for name, c := range map[string]struct {
		leaves func(tx *sql.Tx)
		says   string
	}{
		"committed":       {func(tx *sql.Tx) { must(t, tx.Commit()) }, "was ended by"},
		"rolled back":     {func(tx *sql.Tx) { must(t, tx.Rollback()) }, "was ended by"},
		"a table made":    {func(tx *sql.Tx) { exec(tx, "CREATE TABLE made (a INT)") }, "was ended by"},
		"autocommit":      {func(tx *sql.Tx) { exec(tx, "COMMIT", "SET autocommit = 0", write, "SET autocommit = 1") }, "was ended by"},
		"the mark":        {func(tx *sql.Tx) { exec(tx, "RELEASE SAVEPOINT pupwasm_batch") }, "was ended by"},
		"closed":          {func(tx *sql.Tx) { exec(tx, "SET @id = CONNECTION_ID()"); killed(t, r.db, tx) }, "left the connection"},
		"rows left open":  {func(tx *sql.Tx) { leftOpen(t, tx) }, "left the connection"},
		"another session": {func(tx *sql.Tx) { exec(tx, "USE mysql", "SET sql_mode = '', NAMES latin1, time_zone = '+03:00'") }, ""},
	} {
		tx, handle := r.lent()
		c.leaves(handle)
		err := r.end(t.Context(), tx, add("b", 1))
		switch {
		case c.says == "" && err != nil, c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%s: the commit returns %v", name, err)
		}
		tx.Rollback()
		execute(t, r.db, "DELETE FROM "+r.table("total")+" WHERE name <> 'a'")
		must(t, r.commit(t.Context(), add("näme", 1)))
		r.want("a 1; näme 1")
		execute(t, r.db, "DELETE FROM "+r.table("total")+" WHERE name <> 'a'")
	}
	wantSessions(t, r)
}

// leftOpen begins to read rows.
func leftOpen(t *testing.T, tx *sql.Tx) {
	t.Helper()
	_, err := tx.QueryContext(t.Context(), "SELECT seq FROM seq_1_to_100000") //nolint:rowserrcheck,sqlclosecheck // so it is
	must(t, err)
}

// killed ends the session of a transaction.
func killed(t *testing.T, db *sql.DB, tx *sql.Tx) {
	t.Helper()
	var id int64
	must(t, tx.QueryRowContext(t.Context(), "SELECT @id").Scan(&id))
	execute(t, db, fmt.Sprint("KILL ", id))
	for err := error(nil); err == nil; {
		_, err = tx.ExecContext(t.Context(), "DO 1")
	}
}

// wantSessions checks that the connections of the store have its settings.
func wantSessions(t *testing.T, r *rig) {
	t.Helper()
	const settings = "SELECT CONCAT_WS(' ', @@sql_mode, @@time_zone, @@character_set_client, DATABASE(), @@autocommit, " +
		"@@max_statement_time, @@innodb_lock_wait_timeout, @@tx_isolation, @@tx_read_only, @@completion_type, @@sql_safe_updates)"
	fresh, err := mysql.OpenSQL(r.at.URL)
	must(t, err)
	defer fresh.Close()
	want := text(t, fresh, settings)
	for range 20 {
		tx, handle := r.lent()
		var got string
		must(t, handle.QueryRowContext(t.Context(), settings).Scan(&got))
		if got != want {
			t.Errorf("a connection has %s, must have %s", got, want)
		}
		tx.Rollback()
	}
}

func TestHandler(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	r := newRig(t, at, at.URL, mysql.Options{})
	must(t, r.commit(t.Context(), add("a", 1)))
	other := errors.New("another error")
	for name, c := range map[string]struct {
		fails func(ctx context.Context, tx *sql.Tx) error
		want  error
	}{
		"its own error": {func(context.Context, *sql.Tx) error { return other }, other},
		"a statement that is refused": {func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, "INSERT INTO "+r.table("total")+" VALUES ('a', 1)")
			return err
		}, nil},
		"a session that is ended": {func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, "KILL CONNECTION_ID()")
			return err
		}, store.ErrTransient},
		"a lock": {func(ctx context.Context, tx *sql.Tx) error {
			holder := begun(t, at, "UPDATE "+r.table("total")+" SET n = 2 WHERE name = 'a'")
			defer func() { _ = holder.Rollback() }()
			if _, err := tx.ExecContext(ctx, "SET innodb_lock_wait_timeout = 0"); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, "UPDATE "+r.table("total")+" SET n = 3 WHERE name = 'a'")
			return err
		}, store.ErrLocked},
		"a limit": {func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, "SET STATEMENT max_statement_time = 0.01 FOR SELECT COUNT(*) FROM "+
				"seq_1_to_10000 AS a, seq_1_to_10000 AS b")
			return err
		}, &store.LimitError{}},
	} {
		tx, handle := r.lent()
		err := mysql.Handler(func(ctx context.Context, tx *sql.Tx, _ []store.RecordedEvent) error {
			return c.fails(ctx, tx)
		})(t.Context(), handle, nil)
		tx.Rollback()
		var limit *store.LimitError
		switch {
		case errors.As(c.want, &limit):
			if !errors.As(err, &limit) {
				t.Errorf("%s: got %v", name, err)
			}
		case c.want == nil:
			if err == nil || errors.Is(err, store.ErrTransient) {
				t.Errorf("%s: got %v", name, err)
			}
		case !errors.Is(err, c.want):
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	if err := mysql.Handler(nil)(t.Context(), 7, nil); err == nil || !strings.Contains(err.Error(), "type int") {
		t.Errorf("with another handle: %v", err)
	}
	r.want("a 1")
	wantSessions(t, r)
}
