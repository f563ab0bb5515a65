package sqlite

import (
	"context"

	"github.com/ncruces/go-sqlite3"
)

// RegisterTextFunctions puts the functions of this package in the place of those of SQLite.
func RegisterTextFunctions(db *sqlite3.Conn) error { return registerTextFunctions(db) }

// UseClock makes the store take the time from an SQL expression, for tests that move it. The store must not be in use.
func (s *Store) UseClock(expression string) { s.queries = queriesFor(s.options.Schema, expression) }

// HandOut has the log, which is empty, begin far on: no checkpoint moves beyond the last position.
func (s *Store) HandOut(ctx context.Context) error {
	return s.change(ctx, "INSERT INTO sqlite_sequence (name, seq) SELECT $1, 1000000 WHERE NOT EXISTS (SELECT 1 "+
		"FROM sqlite_sequence WHERE name = $1)",
		s.options.Schema+"__events")
}

// Synchronous returns the setting that the writer's last commit had.
func (s *Store) Synchronous(ctx context.Context) (mode int, err error) {
	c, err := s.writer.acquire(ctx)
	if err != nil {
		return 0, err
	}
	defer s.writer.release(c)
	err = c.query("PRAGMA synchronous", func(row *prepared) error {
		mode = row.ColumnInt(0)
		return nil
	})
	return mode, err
}

// Backend is a store with all that hosts do in it.
type Backend = backend

// OpenBackend is Open.
func OpenBackend(path string, options Options) (Backend, error) {
	s, err := Open(path, options)
	return backend{s}, err
}

// ResultCodes is the table of docs/errors.md.
var ResultCodes = resultCodes
