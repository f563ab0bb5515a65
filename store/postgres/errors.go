package postgres

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pupwasm/pupwasm/internal/oneline"
	"github.com/pupwasm/pupwasm/store"
)

// The SQLSTATEs that our own functions raise.
const (
	stateVersionConflict = "PW001"
	stateFenced          = "PW002"
	stateOtherLog        = "PW003"
	stateSameDatabase    = "PW004"
	stateNotParked       = "PW005"
	stateParkedMax       = "PW006"
)

// classDataException begins the SQLSTATEs of values that a type cannot hold.
const classDataException = "22"

// classShutdown begins the SQLSTATEs by which a server ends connections, or takes none, since it goes down or comes up.
const classShutdown = "57P"

const (
	stateInvalidText        = "22P02"
	stateSyntaxError        = "42601"
	stateUniqueViolation    = "23505"
	stateUndefinedTable     = "42P01"
	stateUndefinedFunction  = "42883"
	stateUndefinedObject    = "42704"
	stateInvalidSchema      = "3F000"
	stateInvalidDefinition  = "42P16"
	stateDependentObjects   = "2BP01"
	stateReadOnly           = "25006"
	stateDeadlock           = "40P01"
	stateSerialization      = "40001"
	stateUndefinedColumn    = "42703"
	stateIdleTransaction    = "25P03"
	stateLockNotAvailable   = "55P03"
	stateInvalidPassword    = "28P01"
	stateInvalidAuth        = "28000"
	stateUndefinedDatabase  = "3D000"
	stateInsufficientRights = "42501"
	stateProtocolViolation  = "08P01"
	stateUndefinedStatement = "26000"
	stateDuplicateStatement = "42P05"
)

// translate puts an error of a statement that is ours into the words of package store. Cancelled contexts stay as
// they are.
func translate(err error) error {
	if err == nil {
		return nil
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code {
		case stateFenced:
			return store.ErrFenced
		case stateOtherLog:
			return fmt.Errorf("%w: %s", store.ErrOtherLog, pg.Message)
		case stateSameDatabase:
			return store.ErrSameDatabase
		case stateNotParked:
			return store.ErrNotParked
		case stateUndefinedTable, stateUndefinedColumn, stateUndefinedFunction, stateInvalidSchema:
			return fmt.Errorf("%w (%s)", store.ErrNotMigrated, pg.Message)
		case stateInvalidPassword, stateInvalidAuth, stateUndefinedDatabase, stateInsufficientRights:
			return fmt.Errorf("the database refuses the connection or the rights: %s", pg.Message)
		case stateDeadlock:
			return fmt.Errorf("%w (%s)", store.ErrDeadlock, oneline.Text(pg.Detail))
		case stateSerialization:
			return fmt.Errorf("%w (%s)", store.ErrSerialization, pg.Message)
		case stateReadOnly:
			return fmt.Errorf("%w: %w: %s", store.ErrTransient, store.ErrReadOnly, pg.Message)
		case stateLockNotAvailable:
			return fmt.Errorf("%w: %w: %s", store.ErrTransient, store.ErrLocked, pg.Message)
		}
		if mayPass(pg.Code) {
			return fmt.Errorf("%w: %s", store.ErrTransient, pg.Message)
		}
		return err
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	if transientFailure(err) {
		return fmt.Errorf("%w: %s", store.ErrTransient, firstAttempt(err))
	}
	return err
}

// commits reports that the batch is committed: its rows are written.
func (s *statement) commits() bool { return s == &deferredStatement || s == &commitStatement }

// Transient reports whether an error of another connection to PostgreSQL than a store's, such as that of a
// migration, which goes through database/sql, may pass by itself.
func Transient(err error) bool {
	return errors.Is(err, driver.ErrBadConn) || errors.Is(translate(err), store.ErrTransient)
}

// transientFailure reports whether an error that is no answer of the server comes from the connection.
func transientFailure(err error) bool {
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || pgconn.Timeout(err) || pgconn.SafeToRetry(err) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

func describe(pg *pgconn.PgError) string {
	text := pg.Message
	if pg.Detail != "" {
		text += ": " + pg.Detail
	}
	return oneline.Text(text)
}

// describeError is the text of an error, without the words of the driver where the server has answered.
func describeError(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return describe(pg)
	}
	return oneline.Of(err)
}

// refusedFor is an error by which the server refuses an entry of the catalogue, in the words of package store, or
// err for any other.
func refusedFor(item string, err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && !mayPass(pg.Code) {
		return &store.CatalogueError{Item: item, Reason: describe(pg)}
	}
	return err
}

// firstAttempt is the text of a failed connection with the first address that was tried: the others, and the same
// without TLS, mostly say the same.
func firstAttempt(err error) string {
	lines := strings.SplitN(err.Error(), "\n", 3)
	return oneline.Text(strings.Join(lines[:min(len(lines), 2)], " "))
}
