package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/ncruces/go-sqlite3"

	"github.com/pupwasm/pupwasm/internal/oneline"
	"github.com/pupwasm/pupwasm/store"
)

// translate puts an error of a statement that is ours into the words of package store. Cancelled contexts stay as
// they are.
func (s *Store) translate(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	// A context that ends shows as SQLITE_INTERRUPT, or as SQLITE_BUSY while the statement waits for another process.
	if over := ctx.Err(); over != nil && (errors.Is(err, over) || errors.Is(err, sqlite3.INTERRUPT) ||
		errors.Is(err, sqlite3.BUSY)) {
		if errors.Is(over, context.Canceled) {
			return over
		}
		return fmt.Errorf("%w: %w", store.ErrTransient, over)
	}
	return describeFile(s.path, err)
}

// describeFile puts SQLite's errors into the words of package store and names the file.
func describeFile(path string, err error) error {
	var code sqlite3.ErrorCode
	if !errors.As(err, &code) {
		return err
	}
	switch code {
	case sqlite3.BUSY, sqlite3.LOCKED, sqlite3.PROTOCOL:
		return fmt.Errorf("%w: the database is locked: another process or connection writes to %s", store.ErrTransient,
			path)
	case sqlite3.READONLY:
		return fmt.Errorf("the database file %s cannot be written: %s", path, reason(err))
	case sqlite3.NOTADB:
		return fmt.Errorf("the file %s is not a SQLite database", path)
	case sqlite3.CORRUPT:
		return fmt.Errorf("the database file %s is damaged: %s", path, reason(err))
	case sqlite3.CANTOPEN:
		return cannotOpen(path, err)
	case sqlite3.PERM:
		return fmt.Errorf("the database file %s is out of reach: %s", path, reason(err))
	}
	if missing(err) {
		return fmt.Errorf("%w (%s in %s)", store.ErrNotMigrated, reason(err), path)
	}
	if mayPass(err) {
		return fmt.Errorf("%w: %s: %s", store.ErrTransient, path, reason(err))
	}
	return err
}

// cannotOpen finds out what SQLite does not say: whether the file is missing, a folder, or out of reach.
func cannotOpen(path string, err error) error {
	info, stat := os.Stat(path)
	switch {
	case errors.Is(stat, fs.ErrNotExist):
		if _, folder := os.Stat(filepath.Dir(path)); folder != nil {
			return fmt.Errorf("the folder of the database file cannot be reached: %w", folder)
		}
		return fmt.Errorf("%w (there is no file %s)", store.ErrNotMigrated, path)
	case stat != nil:
		return fmt.Errorf("the database file cannot be opened: %w", stat)
	case info.IsDir():
		return fmt.Errorf("the database file %s is a folder", path)
	}
	return fmt.Errorf("the database file %s cannot be opened: %s", path, reason(err))
}

// missing reports that a table or a column is gone, or a function of ours, for which SQLite has no code of its own.
func missing(err error) bool {
	text := reason(err)
	return errors.Is(err, sqlite3.ERROR) &&
		(strings.HasPrefix(text, "no such ") || strings.Contains(text, " has no column named "))
}

// mayPass reports that a statement of ours may do better later.
func mayPass(err error) bool {
	found, is := verdictsOn(err)
	return is && found.Own == waits
}

// ofTheFile reports whether a failure lies with the file or with time, and not with the statement.
func ofTheFile(err error) bool {
	found, is := verdictsOn(err)
	return is && (found.Module == waits || found.Module == needsRepair)
}

// reason is SQLite's message in one line, without the names of the driver and the class of the error.
func reason(err error) string {
	text := oneline.Of(err)
	for _, prefix := range []string{"sqlite3: ", "SQL logic error: ", "constraint failed: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	return text
}

// namesColumn reports whether a violated constraint is on the column, by SQLite's message: "UNIQUE constraint
// failed: t.c".
func namesColumn(err error, column string) bool {
	return strings.HasSuffix(err.Error(), "."+column)
}
