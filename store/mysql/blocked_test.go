package mysql_test

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
)

// bare is a projection without tables.
func bare() *store.Projection { return &store.Projection{Name: "sums", Version: 1} }

// bareOn installs bare with segments on a new database.
func bareOn(t testing.TB, segments int) (mariadbtest.Database, mysql.Backend) {
	t.Helper()
	at := mariadbtest.New(t)
	s := open(t, at.URL, mysql.Options{})
	_, err := s.Install(t.Context(), bare(), segments)
	must(t, err)
	return at, s
}

// claimedBy gives a worker a lease, and segments of bare.
func claimedBy(t testing.TB, s mysql.Backend, worker string, limit int) []store.Claim {
	t.Helper()
	must(t, s.Heartbeat(t.Context(), store.Worker{Name: worker}, time.Hour))
	claims, err := s.Claim(t.Context(), store.ClaimRequest{Projection: bare().ID(), Worker: worker, Limit: limit})
	must(t, err)
	return claims
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// begun starts a transaction with statements, which lock the rows that they name and no others.
func begun(t testing.TB, at mariadbtest.Database, statements ...string) *sql.Tx {
	t.Helper()
	tx, err := at.Connect(t).BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	must(t, err)
	t.Cleanup(func() { _ = tx.Rollback() })
	for _, statement := range statements {
		_, err := tx.ExecContext(t.Context(), statement)
		must(t, err)
	}
	return tx
}

// awaitBlocked returns when n sessions wait for rows of the database, or of one of its projections. The monitor's text is of the moment, which
// innodb_trx is not.
func awaitBlocked(t testing.TB, at mariadbtest.Database, n int) {
	t.Helper()
	db := at.Connect(t)
	testwait.Until(t, fmt.Sprint(n, " wait for a lock"), func() bool {
		waiting := 0
		for line := range strings.Lines(queryText(t, db, "SHOW ENGINE INNODB STATUS")[0][2]) {
			line = strings.ReplaceAll(line, `"`, "`") // names are quoted as the session that waits has it
			_, of, found := strings.Cut(line, "of table `"+at.Name)
			if found && (of[0] == '`' || strings.HasPrefix(of, "__")) && strings.HasSuffix(strings.TrimSpace(line), " waiting") {
				waiting++
			}
		}
		return waiting >= n
	})
}

// blockedConnection is the connection of a session whose statement begins so.
func blockedConnection(t testing.TB, at mariadbtest.Database, begins string) string {
	t.Helper()
	rows := queryText(t, at.Connect(t), "SELECT id FROM information_schema.processlist WHERE db = '"+at.Name+
		"' AND info LIKE '"+begins+"%'")
	if len(rows) != 1 {
		t.Fatalf("%d sessions run %s", len(rows), begins)
	}
	return rows[0][0]
}
