package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	sqlitedriver "github.com/ncruces/go-sqlite3/driver"

	"github.com/pupwasm/pupwasm/store"
)

// migrationTimeout is how long a migration waits for other processes.
const migrationTimeout = 30 * time.Second

// OpenSQL opens the file for database/sql, and creates it when it is missing. It is meant for package migrations; the
// caller closes it.
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
	return opened, nil
}
