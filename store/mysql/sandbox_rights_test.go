package mysql_test

import (
	"strings"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
)

// TestSandbox_rightsAreTheLastWall runs what no check would let through: the rights of the projection's user end at the
// projection's tables.
func TestSandbox_rightsAreTheLastWall(t *testing.T) {
	t.Parallel()
	db := mariadbtest.New(t)
	neighbours(t, db)
	s := open(t, db.URL, mysql.Options{})
	s.ChecksOff()
	statements := []string{
		"DELETE FROM {db}.secrets", "SELECT n FROM {db}.secrets", "SELECT n FROM {others}.row", "SELECT n FROM {db}.look",
		"UPDATE {db}.pupwasm__segments SET position = 7", "DELETE FROM {db}.pupwasm__events",
		"SELECT subject FROM {db}.pupwasm__outbox", "DELETE FROM {db}.pupwasm__outbox",
		"DELETE FROM {db}.pupwasm__outbox_failures", "UPDATE {db}.pupwasm__outbox_sent SET position = 0",
		"INSERT INTO {db}.pupwasm__outbox_unsent VALUES ('guest', 1, NULL)", "DELETE FROM {db}.pupwasm__outbox_relays",
		"INSERT INTO {other} SELECT user, 1 FROM mysql.user", "SELECT 1 FROM mysql.global_priv",
		"SELECT NEXT VALUE FOR {db}.counter", "SELECT {db}.innocent('a')", "CALL {db}.hello()",
		"SELECT id FROM {row} INTO OUTFILE '/tmp/pupwasm_hostile'", "LOAD DATA INFILE '/etc/passwd' INTO TABLE {other}",
		"CREATE TABLE {mine}.more (a INT)", "CREATE TABLE {db}.more (a INT)", "ALTER TABLE {row} ADD COLUMN a INT", "DROP TABLE {row}",
		"TRUNCATE TABLE {row}", "DROP TABLE {db}.secrets", "CREATE VIEW {mine}.v AS SELECT 1", "CREATE PROCEDURE {mine}.p() SELECT 1",
		"CREATE TRIGGER {mine}.t BEFORE INSERT ON {row} FOR EACH ROW SET @a = 1", "CREATE DATABASE more", "DROP DATABASE {db}", "CREATE USER mallory",
		"CREATE ROLE mallory", "GRANT ALL ON *.* TO root@localhost", "SET GLOBAL max_connections = 1", "SET PASSWORD FOR root@localhost = ''", "SHUTDOWN",
		"EXECUTE IMMEDIATE 'DELETE FROM {db}.secrets'", "BEGIN NOT ATOMIC DELETE FROM {db}.secrets; END", "LOCK TABLES {db}.secrets WRITE", "FLUSH TABLES",
		"HANDLER {db}.secrets OPEN", "INSTALL SONAME 'auth_pam'", "CHANGE MASTER TO MASTER_HOST = 'a'", "RESET MASTER", "SHOW GRANTS FOR root@localhost",
		"SELECT LOAD_FILE('/etc/passwd') + 1 FROM {db}.secrets", "WITH a AS (SELECT n FROM {db}.secrets) SELECT n FROM a",
	}
	for _, sql := range statements {
		if err := runUnchecked(t, s, at(db, sql)); err == nil {
			t.Errorf("%s has run", sql)
		} else {
			t.Logf("%s: %v", sql, err)
		}
	}
	wantUntouched(t, db)
}

// runUnchecked installs a statement, runs it, and drops it. It returns what is said against it.
func runUnchecked(t *testing.T, s mysql.Backend, sql string) error {
	t.Helper()
	p := subject("guest")
	asks := strings.HasPrefix(sql, "SELECT") || strings.HasPrefix(sql, "WITH")
	if asks {
		p.Queries = []store.Query{{Name: "q", SQL: anySQL(sql), Results: []store.Type{ofText}}}
	} else {
		p.Writes = []store.Write{{Name: "w", SQL: anySQL(sql)}}
	}
	catalogue, err := s.Install(t.Context(), p, 1)
	if err != nil {
		return err
	}
	must(t, s.Heartbeat(t.Context(), store.Worker{Name: "w"}, time.Hour))
	claims, err := s.Claim(t.Context(), store.ClaimRequest{Projection: p.ID(), Worker: "w", Limit: 1})
	must(t, err)
	tx := catalogue.Begin(claims[0])
	var rows store.Rows
	if asks {
		err = tx.Query(t.Context(), 0, nil, &rows)
	} else {
		err = tx.Commit(t.Context(), store.Commit{Steps: []store.Step{{Count: 1}}, Log: claims[0].Applied.Log})
	}
	tx.Rollback()
	must(t, s.Leave(t.Context(), store.Worker{Name: "w"}))
	must(t, s.Reset(t.Context(), "guest"))
	return err
}
