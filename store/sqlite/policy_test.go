package sqlite

import (
	"path/filepath"
	"testing"
)

// TestPolicy_refusesWithoutTheFirstWord prepares statements that are refused for their first word already, to see
// that the authorizer alone refuses them too, or that SQLite runs them not at all within a transaction.
func TestPolicy_refusesWithoutTheFirstWord(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	db, err := OpenSQL(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE fines__total (id TEXT PRIMARY KEY); CREATE TABLE other "+
		"(id TEXT)"); err != nil {
		t.Fatal(err)
	}
	options := Options{}
	options.withDefaults()
	c, err := openConn(t.Context(), path, options, false)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	own := &policy{projection: "fines", tables: map[string]bool{"fines__total": true}}
	if err := c.under(own, func() error { return c.db.Exec("INSERT INTO fines__total VALUES ('a')") }); err != nil {
		t.Fatal(err)
	}
	if err := c.db.Exec("BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		"PRAGMA writable_schema = ON", "PRAGMA user_version", "ATTACH ':memory:' AS more", "DETACH main",
		"COMMIT", "ROLLBACK", "SAVEPOINT a", "RELEASE a", "BEGIN", "VACUUM", "VACUUM INTO 'x'", "REINDEX", "ANALYZE",
		"CREATE TABLE t (a)", "CREATE TEMP TABLE t (a)", "CREATE INDEX x ON fines__total (id)",
		"DROP TABLE fines__total",
		"ALTER TABLE fines__total ADD COLUMN b", "CREATE VIEW v AS SELECT 1", "CREATE TEMP VIEW v AS SELECT 1",
		"CREATE TRIGGER x AFTER INSERT ON fines__total BEGIN SELECT 1; END",
		"CREATE VIRTUAL TABLE v USING generate_series", "DROP TABLE other", "DELETE FROM other",
		"EXPLAIN DELETE FROM other",
		"UPDATE sqlite_master SET sql = ''", "INSERT INTO sqlite_sequence VALUES ('x', 1)",
	} {
		err := c.under(own, func() error { return c.db.Exec(sql) })
		if err == nil {
			t.Errorf("%s was not refused", sql)
		}
		if c.db.GetAutocommit() {
			t.Fatalf("%s ended the transaction", sql)
		}
	}
}
