package sqlite_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/ncruces/go-sqlite3"

	"github.com/pupwasm/pupwasm/migrations"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

func TestOpen_refusesAFileInUTF16(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "wide.db")
	db, err := sqlite3.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Exec("PRAGMA encoding = 'UTF-16le'; CREATE TABLE notes (text TEXT)"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	const want = "has the encoding UTF-16le, pupwasm needs UTF-8: use a new file"
	handle, err := sqlite.OpenSQL(path)
	if err != nil {
		t.Fatal(err)
	}
	defer handle.Close()
	migrator, err := migrations.New(handle, migrations.SQLite, "pupwasm")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := migrator.Up(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("migrating: %v", err)
	}
	if err := open(t, path, sqlite.Options{}).Ping(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("opening: %v", err)
	}
}
