// Package logtest has logs for tests.
package logtest

import (
	"path/filepath"
	"testing"

	"github.com/pupwasm/pupwasm/migrations"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// New opens a store of its own in a new file.
func New(t testing.TB) store.Store {
	t.Helper()
	return At(t, filepath.Join(t.TempDir(), "log.db"))
}

// At opens a store in a new file at path.
func At(t testing.TB, path string) store.Store {
	t.Helper()
	db, err := sqlite.OpenSQL(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	migrator, err := migrations.New(db, migrations.SQLite, "pupwasm")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := migrator.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, err := sqlite.Open(path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s.Backend()
}
