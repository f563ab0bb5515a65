package pupwasm_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/ncruces/go-sqlite3"

	"github.com/pupwasm/pupwasm"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
	"github.com/pupwasm/pupwasm/store/postgres"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// TestConsumer_mistakesAreFaults has handlers leave things behind, and end what is not theirs. Each stops its segment
// with a reason, writes nothing, and holds up nobody.
func TestConsumer_mistakesAreFaults(t *testing.T) {
	t.Parallel()
	const ended = "was ended by SQL of the program"
	onPgx := func(handle func(ctx context.Context, tx pgx.Tx) error) store.Handler {
		return postgres.Handler(func(ctx context.Context, tx pgx.Tx, _ []store.RecordedEvent) error {
			if _, err := tx.Exec(ctx, "INSERT INTO seen (n, stream, payload) VALUES (1, '', '')"); err != nil {
				return err
			}
			return handle(ctx, tx)
		})
	}
	onLite := func(handle func(conn *sqlite3.Conn) error) store.Handler {
		return sqlite.Handler(func(_ context.Context, conn *sqlite3.Conn, _ []store.RecordedEvent) error {
			if err := conn.Exec("INSERT INTO seen (n) VALUES (1)"); err != nil {
				return err
			}
			return handle(conn)
		})
	}
	onMaria := func(handle func(ctx context.Context, tx *sql.Tx) error) store.Handler {
		return mysql.Handler(func(ctx context.Context, tx *sql.Tx, _ []store.RecordedEvent) error {
			if _, err := tx.ExecContext(ctx, "INSERT INTO seen (n, stream, payload) VALUES (1, '', '')"); err != nil {
				return err
			}
			return handle(ctx, tx)
		})
	}
	executed := func(statements ...string) func(ctx context.Context, tx *sql.Tx) error {
		return func(ctx context.Context, tx *sql.Tx) error {
			for _, text := range statements {
				if _, err := tx.ExecContext(ctx, text); err != nil {
					return err
				}
			}
			return nil
		}
	}
	execute := func(statements ...string) func(ctx context.Context, tx pgx.Tx) error {
		return func(ctx context.Context, tx pgx.Tx) error {
			for _, sql := range statements {
				if _, err := tx.Exec(ctx, sql); err != nil {
					return err
				}
			}
			return nil
		}
	}
	for name, mistake := range map[string]struct {
		open    func(t *testing.T) database
		handler store.Handler
		want    string
	}{
		"postgres, a query left open": {onPostgres, onPgx(func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Query(ctx, "SELECT generate_series(1, 1000)")
			return err
		}), "has left a query open"},
		"postgres, ended by SQL": {onPostgres, onPgx(func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "ROLLBACK")
			return err
		}), ended},
		"postgres, an error ignored": {onPostgres, onPgx(func(ctx context.Context, tx pgx.Tx) error {
			_, _ = tx.Exec(ctx, "SELECT 1 / 0")
			return nil
		}), "has failed within it"},
		"postgres, committed and chained":   {onPostgres, onPgx(execute("COMMIT AND CHAIN")), ended},
		"postgres, rolled back and chained": {onPostgres, onPgx(execute("ROLLBACK AND CHAIN")), ended},
		"postgres, committed":               {onPostgres, onPgx(execute("COMMIT")), ended},
		"postgres, committed and begun":     {onPostgres, onPgx(execute("COMMIT", "BEGIN")), ended},
		"postgres, prepared":                {onPostgres, onPgx(execute("PREPARE TRANSACTION 'mistaken'", "ROLLBACK PREPARED 'mistaken'")), ended},
		"postgres, committed by the driver": {
			onPostgres,
			onPgx(func(ctx context.Context, tx pgx.Tx) error { return tx.Commit(ctx) }), "the transaction ends with the batch",
		},
		"postgres, another role": {
			onPostgres, onPgx(execute("SET LOCAL ROLE pg_monitor")),
			"has another role than it began with",
		},
		"postgres, read-only": {
			onPostgres, onPgx(execute("SET TRANSACTION READ ONLY")),
			"was made read-only by the program",
		},
		"postgres, read-only before it writes": {
			onPostgres,
			postgres.Handler(func(ctx context.Context, tx pgx.Tx, _ []store.RecordedEvent) error {
				return execute("SET TRANSACTION READ ONLY", "INSERT INTO seen (n) VALUES (1)")(ctx, tx)
			}), "3 times in a row, events 1 to 2: the handler met a read-only transaction, and the server takes writes",
		},
		"postgres, closed": {
			onPostgres, onPgx(func(ctx context.Context, tx pgx.Tx) error { return tx.Conn().Close(ctx) }),
			"3 times in a row, events 1 to 2: the program has left the connection of its transaction closed",
		},
		"postgres, closed and gone on": {onPostgres, onPgx(func(ctx context.Context, tx pgx.Tx) error {
			_ = tx.Conn().Close(ctx)
			return execute("SELECT 1")(ctx, tx)
		}), "3 times in a row, events 1 to 2: the program has left the connection of its transaction closed"},
		"postgres, a deadline of its own": {onPostgres, onPgx(func(ctx context.Context, tx pgx.Tx) error {
			ctx, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
			defer cancel()
			return execute("SELECT pg_sleep(60)")(ctx, tx)
		}), "3 times in a row, events 1 to 2: the handler met a limit"},
		"postgres, a timeout of its own": {
			onPostgres, onPgx(execute("SET LOCAL statement_timeout = '20ms'", "SELECT pg_sleep(60)")),
			"3 times in a row, events 1 to 2: the handler met a limit",
		},
		"postgres, a timeout of its own at the commit": {onPostgres, onPgx(execute(
			"CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$",
			"CREATE TRIGGER slow BEFORE UPDATE ON pupwasm.segments FOR EACH ROW EXECUTE FUNCTION slow()",
			"SET LOCAL statement_timeout = '20ms'")), "3 times in a row, events 1 to 2: the transaction of the program was stopped while it was committed"},
		"mariadb, ended by SQL":       {onMariaDB, onMaria(executed("ROLLBACK")), ended},
		"mariadb, committed":          {onMariaDB, onMaria(executed("COMMIT")), ended},
		"mariadb, committed by DDL":   {onMariaDB, onMaria(executed("CREATE TABLE IF NOT EXISTS more (n bigint)")), ended},
		"mariadb, rolled back, begun": {onMariaDB, onMaria(executed("ROLLBACK", "START TRANSACTION")), ended},
		"mariadb, a query left open": {onMariaDB, onMaria(func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.QueryContext(ctx, "SELECT seq FROM seq_1_to_100000") //nolint:rowserrcheck,sqlclosecheck // the mistake
			return err
		}), "3 times in a row, events 1 to 2: the program has left the connection of its transaction closed, or rows of a query open"},
		"mariadb, a deadline of its own": {onMariaDB, onMaria(func(ctx context.Context, tx *sql.Tx) error {
			ctx, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
			defer cancel()
			return executed("DO sleep(60)")(ctx, tx)
		}), "3 times in a row, events 1 to 2: the handler met a limit"},
		"sqlite, rolled back and begun": {
			onSQLite,
			onLite(func(conn *sqlite3.Conn) error { return conn.Exec("ROLLBACK; BEGIN; INSERT INTO seen (n) VALUES (2)") }), "was ended by a statement within it",
		},
		"sqlite, committed and begun": {onSQLite, onLite(func(conn *sqlite3.Conn) error {
			_ = conn.Exec("COMMIT")
			return conn.Exec("BEGIN; INSERT INTO seen (n) VALUES (2)")
		}), "was ended by a statement within it"},
		"sqlite, read-only": {
			onSQLite,
			onLite(func(conn *sqlite3.Conn) error { return conn.Exec("PRAGMA query_only = ON") }), "was made read-only by the program",
		},
		"sqlite, rolled back": {
			onSQLite, onLite(func(conn *sqlite3.Conn) error { return conn.Exec("ROLLBACK") }),
			"was ended by a statement within it",
		},
		"sqlite, committed and gone on": {onSQLite, onLite(func(conn *sqlite3.Conn) error {
			_ = conn.Exec("COMMIT")
			_ = conn.Exec("INSERT INTO seen (n) VALUES (2)")
			return nil
		}), "was ended by a statement within it"},
		"sqlite, its goroutine ended": {onSQLite, onLite(func(*sqlite3.Conn) error {
			runtime.Goexit()
			return nil
		}), "has ended its goroutine"},
		"postgres, its goroutine ended": {onPostgres, onPgx(func(context.Context, pgx.Tx) error {
			runtime.Goexit()
			return nil
		}), "has ended its goroutine"},
		"several lines": {
			onSQLite,
			onLite(func(*sqlite3.Conn) error { return errors.Join(errors.New("one"), errors.New("two")) }), "one; two",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := mistake.open(t)
			last := orders(t, db, 1, 2)
			h := runHost(t, db, pupwasm.Options{
				Worker:    quickly(),
				Consumers: []pupwasm.Consumer{{Name: "mistaken", Handle: mistake.handler}},
			})
			var failed *segments.FailedError
			if err := h.Wait(t.Context(), "mistaken", last); !errors.As(err, &failed) ||
				!strings.Contains(failed.Reason, mistake.want) {
				t.Errorf("the wait returns %v", err)
			}
			orders(t, db, 1, 1) // nothing holds an append up
			// What SQL has committed is there, and the checkpoint is not.
			if rows := db.rows(t); len(rows) != 0 && !strings.Contains(name, ", committed") {
				t.Errorf("rows %v", rows)
			}
			status, err := h.Status(t.Context(), "mistaken")
			must(err)
			if position := status[0].Segments[0].Position; position != 0 {
				t.Errorf("the checkpoint is %d", position)
			}
		})
	}
}

// TestConsumer_aStatementLeftOpenHoldsNobodyUp has a handler on SQLite step once through what it has prepared.
func TestConsumer_aStatementLeftOpenHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	db := onSQLite(t)
	last := orders(t, db, 2, 3)
	h := runHost(t, db, pupwasm.Options{Worker: quickly(), Consumers: []pupwasm.Consumer{{
		Name: "open", Handle: sqlite.Handler(func(_ context.Context, conn *sqlite3.Conn, events []store.RecordedEvent) error {
			for i := range events {
				insert, _, err := conn.Prepare(fmt.Sprintf("INSERT INTO seen VALUES (%d, '%s', '') RETURNING n", events[i].Position,
					events[i].AggregateID))
				if err != nil {
					return err
				}
				insert.Step()
			}
			return nil
		}),
	}}})
	must(h.Wait(t.Context(), "open", last))
	must(h.Wait(t.Context(), "open", orders(t, db, 2, 1)))
	if rows := db.rows(t); len(rows["order-0"]) != 4 || len(rows["order-1"]) != 4 {
		t.Errorf("rows %v", rows)
	}
}
