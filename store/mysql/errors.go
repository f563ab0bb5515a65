package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/pupwasm/pupwasm/internal/oneline"
	"github.com/pupwasm/pupwasm/store"
)

// The SQLSTATEs that our own procedures raise.
const (
	stateFenced       = "45002"
	stateOtherLog     = "45003"
	stateSameDatabase = "45004"
	stateNotParked    = "45005"
	stateParkedMax    = "45006"
)

// translate puts an error of a statement that is ours into the words of package store. Cancelled contexts stay as
// they are.
func (s *Store) translate(ctx context.Context, err error) error {
	var failure *mysql.MySQLError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &failure):
		return s.describe(failure, err)
	case !ofTheConnection(err):
		return err
	}
	switch over := ctx.Err(); {
	case errors.Is(over, context.Canceled):
		return over
	case over != nil:
		return fmt.Errorf("%w: %s does not answer in time: %w", store.ErrTransient, s.shown, over)
	case errors.Is(err, mysql.ErrInvalidConn), errors.Is(err, driver.ErrBadConn), errors.Is(err, io.EOF):
		return fmt.Errorf("%w: the connection to %s was lost", store.ErrTransient, s.shown)
	}
	return fmt.Errorf("%w: %s: %s", store.ErrTransient, s.shown, oneline.Of(err))
}

// describe puts an error of the server into the words of package store.
func (s *Store) describe(failure *mysql.MySQLError, err error) error {
	message := reason(failure)
	if failure.Number == erSignal {
		if raised := raisedBy(failure); raised != nil {
			return raised
		}
	}
	switch failure.Number {
	case erNoSuchTable, erBadField, erNoSuchRoutine:
		return fmt.Errorf("%w (%s)", store.ErrNotMigrated, message)
	case erNoReferencedRow: // the only foreign key that a row of ours may lack
		if strings.Contains(failure.Message, "__parked_events_of") {
			return store.ErrNotParked
		}
	case erBadDatabase:
		return fmt.Errorf("%s: %s: create the database, or correct the URL", s.shown, message)
	case erAccessDenied:
		remedy := "correct the user or the password of the URL"
		if s.plain {
			remedy += ", or, where the server demands TLS (require_secure_transport), add ?tls=true"
		}
		return fmt.Errorf("%s refuses the user: %s: %s", s.shown, message, remedy)
	case erDatabaseDenied, erTableDenied, erColumnDenied, erPrivilegeMissing, erRoutineDenied:
		return fmt.Errorf("%s refuses the rights: %s: grant them to the user", s.shown, message)
	case erPacketTooLarge:
		return fmt.Errorf("%s: %s: raise max_allowed_packet of the server", s.shown, message)
	case erStatementsLogged:
		return fmt.Errorf("%s: %s: set binlog_format = MIXED or ROW on the server", s.shown, message)
	case erDeadlock:
		return fmt.Errorf("%w (%s)", store.ErrDeadlock, message)
	case erCheckRead:
		return fmt.Errorf("%w (%s)", store.ErrSerialization, message)
	case erLockWaitTimeout:
		return fmt.Errorf("%w: %w: %s", store.ErrTransient, store.ErrLocked, message)
	case erOptionPrevents, erReadOnlyTx, erReadOnlyMode:
		return fmt.Errorf("%w: %w: %s", store.ErrTransient, store.ErrReadOnly, message)
	}
	if errorNumbers.Of(failure.Number, 0).Own == waits {
		return fmt.Errorf("%w: %s: %s", store.ErrTransient, s.shown, message)
	}
	return err
}

// raisedBy is what an error of one of our procedures means, or nil for any other.
func raisedBy(failure *mysql.MySQLError) error {
	switch string(failure.SQLState[:]) {
	case stateFenced:
		return store.ErrFenced
	case stateOtherLog:
		return fmt.Errorf("%w: %s", store.ErrOtherLog, failure.Message)
	case stateSameDatabase:
		return store.ErrSameDatabase
	case stateNotParked:
		return store.ErrNotParked
	}
	return nil
}

// Transient reports whether an error of another connection to MariaDB than a store's, such as that of a migration,
// which goes through database/sql, may pass by itself.
func Transient(err error) bool {
	if found, is := verdictsOn(err); is {
		return found.Own == waits || found.Own == triedAtOnce
	}
	return ofTheConnection(err) && !errors.Is(err, context.Canceled)
}

// ofTheConnection reports whether an error that is no answer of the server comes from the connection, or from a context
// that ended it.
func ofTheConnection(err error) bool {
	var network net.Error
	for _, lost := range []error{
		driver.ErrBadConn, mysql.ErrInvalidConn, mysql.ErrPktSync, mysql.ErrPktSyncMul, mysql.ErrMalformPkt,
		mysql.ErrBusyBuffer, sql.ErrConnDone,
		io.EOF, io.ErrUnexpectedEOF, io.ErrShortWrite, net.ErrClosed, context.Canceled, context.DeadlineExceeded,
	} {
		if errors.Is(err, lost) {
			return true
		}
	}
	return errors.As(err, &network)
}

// reason is MariaDB's message in one line.
func reason(err error) string {
	var failure *mysql.MySQLError
	if errors.As(err, &failure) {
		return oneline.Text(failure.Message)
	}
	return oneline.Of(err)
}

// refusal returns why the server refuses a statement for good, "" for what may pass or is no answer of the server.
func refusal(err error) string {
	found, is := verdictsOn(err)
	if !is || found.Own == waits || found.Own == triedAtOnce {
		return ""
	}
	return reason(err)
}

// isNumber reports whether an error of the server has one of these numbers.
func isNumber(err error, numbers ...uint16) bool {
	var failure *mysql.MySQLError
	return errors.As(err, &failure) && slices.Contains(numbers, failure.Number)
}

// isDenied reports that a statement needs a right that the user does not have.
func isDenied(err error) bool { return isNumber(err, erPrivilegeMissing) }
