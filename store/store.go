package store

import "context"

// Log is a log that projections read. It is safe for concurrent use. A log may also be a [Notifier] and a [Peeker].
type Log interface {
	Reader
	LogChecker
	Database
}

// Tables are where projections write: rows, checkpoints and leases. They are safe for concurrent use.
//
// The log is in the same database or in another one. A store's own methods are for the log in the same database:
// each commit compares what was read with what the database has at that moment. Apart gives the same tables for a
// log in another database, with which a commit cannot compare. Neither can be taken for the other: own tables
// refuse what was read of a foreign log ([ErrOtherLog]), and tables apart refuse the log of their own database
// ([ErrSameDatabase]).
type Tables interface {
	Projections
	Versions
	Leases
	Parking
	Outbox
	Database

	// Apart returns these tables for a log in another database. They are open as long as the store is.
	Apart() Tables

	// OwnLog returns the identity of the log in the database of the tables. Migrations make one in each database,
	// and it stays empty where the log is elsewhere.
	//
	// # Errors
	//
	// [ErrTransient], [ErrNotMigrated].
	OwnLog(ctx context.Context) (LogID, error)

	// WritesAtOnce reports whether several transactions write at the same time. Otherwise a long one keeps all others
	// waiting.
	WritesAtOnce() bool
}

// Store is one database that has a log and tables.
type Store interface {
	Streams
	BulkAppender
	Log
	Tables
}

// Database is a connection to a database.
type Database interface {
	// Ping checks that the database answers and has the tables of this version.
	//
	// # Errors
	//
	// [ErrNotMigrated], [ErrTransient].
	Ping(ctx context.Context) error

	// Close waits for connections in use and closes all.
	Close()
}
