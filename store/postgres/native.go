package postgres

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pupwasm/pupwasm/store"
)

// Native returns the transaction as a [pgx.Tx] that does not end it. See [store.NativeTx].
func (x *tx) Native(ctx context.Context) (any, error) {
	if err := x.connect(ctx); err != nil {
		return nil, err
	}
	if x.native == nil {
		begun, err := beginOn(ctx, x.conn.Conn(), x.begun)
		if err != nil {
			x.giveBack()
			return nil, translate(err)
		}
		x.begun, x.native, x.deadline.lent = true, lentTx{begun}, true
	}
	return x.native, nil
}

// markTransaction notes in the transaction who has begun it. A setting that is local ends with it, so that none that
// follows has the note: neither one of COMMIT AND CHAIN, nor of a BEGIN behind a COMMIT.
const markTransaction = "SELECT pg_catalog.set_config('pupwasm.batch', current_user || ' ' || " +
	"pg_catalog.current_setting('transaction_read_only'), true)"

// checkMark comes before the fence, and fails where the transaction is not as it was lent: it casts a word to a number.
// It needs no rights, since a role that the program has taken may have none in our schema.
var checkMark = statement{sql: "SELECT CASE coalesce(pg_catalog.current_setting('pupwasm.batch', true), '') " +
	"WHEN '' THEN '" + markEnded + "' " +
	"WHEN current_user || ' ' || pg_catalog.current_setting('transaction_read_only') THEN '0' " +
	"WHEN current_user || ' off' THEN '" + markReadOnly + "' " +
	"ELSE '" + markRole + "' END::integer"}

// The words of checkMark.
const (
	markEnded    = "pupwasm_ended"
	markReadOnly = "pupwasm_read_only"
	markRole     = "pupwasm_role"
)

// beginOn begins a transaction of the driver, or joins one that has begun. Both are one round trip.
func beginOn(ctx context.Context, conn *pgx.Conn, begun bool) (pgx.Tx, error) {
	begin := markTransaction
	if !begun {
		begin = beginStatement.sql + "; " + markTransaction
	}
	return conn.BeginTx(ctx, pgx.TxOptions{BeginQuery: begin})
}

// lentTx is a transaction of the store in the hands of a program.
type lentTx struct{ pgx.Tx }

var errLent = errors.New("the transaction ends with the batch: return an error to roll it back")

// What the commit says of a transaction that the program has changed in spite of that.
var (
	errEnded = lentFault("was ended by SQL of the program: take out its COMMIT, ROLLBACK or PREPARE TRANSACTION; " +
		"what it has committed stays in the database, without the checkpoint")
	errFailed = lentFault("has failed within it, and the program has not returned the error of the statement that failed")
	errRole   = lentFault("has another role than it began with: the program must RESET ROLE before it returns")
	errWrites = lentFault("was made read-only by the program, and the checkpoint is written in it")
	errClosed = &store.LimitError{
		Statement: "the program", Limit: "has left the connection of its transaction closed",
		Remedy: "it must not close it, and must return the error of the statement that failed",
	}
)

func lentFault(reason string) error {
	return &store.RejectedError{Statement: "the transaction", Reason: reason}
}

// checkLent looks at a lent transaction without asking the server. A connection that broke while the program kept the
// error for itself looks like one that it has closed, so that this is a limit: it counts when it happens again.
func (x *tx) checkLent() error {
	if x.native == nil {
		return nil
	}
	switch conn := x.conn.Conn().PgConn(); {
	case conn.IsClosed():
		return errClosed
	case conn.TxStatus() == 'E':
		return errFailed
	case conn.TxStatus() != 'T':
		return errEnded
	}
	return nil
}

// markFault is what an error of checkMark means, or nil when it means nothing about the mark.
func markFault(err error) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Code != stateInvalidText {
		return nil
	}
	switch {
	case strings.Contains(pg.Message, markEnded):
		return errEnded
	case strings.Contains(pg.Message, markReadOnly):
		return errWrites
	}
	return errRole
}

// Commit refuses: the store commits, together with the checkpoint.
func (lentTx) Commit(context.Context) error { return errLent }

// Rollback refuses: an error that the handler returns rolls back.
func (lentTx) Rollback(context.Context) error { return errLent }

var _ store.NativeTx = (*tx)(nil)
