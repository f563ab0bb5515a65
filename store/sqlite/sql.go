package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	sqlitedriver "github.com/ncruces/go-sqlite3/driver"

	"github.com/pupwasm/pupwasm/store"
)

// migrationTimeout is how long a migration waits for other processes.
const migrationTimeout = 30 * time.Second

// OpenSQL opens the file for database/sql, and creates it, for its owner alone, when it is missing. It is meant
// for package migrations; the caller closes it.
//
// # Errors
//
// A path that names no file. A file that cannot be opened is found by the first use.
func OpenSQL(path string) (*sql.DB, error) {
	if err := checkPath(path); err != nil {
		return nil, err
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("finding %s: %w", path, err)
	}
	// A URI, because the driver would read one out of a name with a question mark or a percent sign.
	name := filepath.ToSlash(absolute)
	if !strings.HasPrefix(name, "/") {
		name = "/" + name
	}
	uri := url.URL{Scheme: "file", Path: name, RawQuery: "_txlock=immediate"}
	inner, err := (&sqlitedriver.SQLite{}).OpenConnector(uri.String())
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	return sql.OpenDB(&connector{Connector: inner, path: path}), nil
}

// connector makes connections with the settings of this package, and errors that name the file.
type connector struct {
	driver.Connector
	path string
}

// Connect opens the file.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	createPrivate(c.path)
	opened, err := c.Connector.Connect(ctx)
	if err != nil {
		described := describeFile(c.path, err)
		if errors.Is(described, store.ErrNotMigrated) {
			return nil, fmt.Errorf("the database file %s cannot be created: %s", c.path, reason(err))
		}
		return nil, described
	}
	db := opened.(sqlitedriver.Conn).Raw()
	if err := useWAL(ctx, db, migrationTimeout); err != nil {
		_ = opened.Close()
		return nil, describeFile(c.path, err)
	}
	if err := db.Exec("PRAGMA foreign_keys = ON"); err != nil {
		_ = opened.Close()
		return nil, describeFile(c.path, err)
	}
	if err := shareMode(c.path); err != nil {
		_ = opened.Close()
		return nil, err
	}
	return opened, nil
}

// createPrivate makes the file when it is missing, for its owner alone: it has what the log has. What does not
// work is told by SQLite.
func createPrivate(path string) {
	if file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err == nil {
		_ = file.Close()
	}
}

// shareMode gives the files beside the database, which have its pages before it has them, the mode of the
// database. They are there once a connection has read, and have nothing in them before one writes.
func shareMode(path string) error {
	of, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("looking at the mode of %s: %w", path, err)
	}
	for _, suffix := range []string{"-wal", "-shm"} {
		beside, err := os.Stat(path + suffix)
		if err != nil || beside.Mode().Perm()&^of.Mode().Perm() == 0 {
			continue
		}
		if err := os.Chmod(path+suffix, of.Mode().Perm()); err != nil && !errors.Is(err, fs.ErrNotExist) &&
			!errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("keeping %s%s to its owner: %w", path, suffix, err)
		}
	}
	return nil
}
