package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

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
		x.begun, x.native = true, lentTx{begun}
	}
	return x.native, nil
}

// beginOn begins a transaction of the driver, or joins one that has begun.
func beginOn(ctx context.Context, conn *pgx.Conn, begun bool) (pgx.Tx, error) {
	options := pgx.TxOptions{IsoLevel: pgx.ReadCommitted}
	if begun {
		options = pgx.TxOptions{BeginQuery: "SELECT"} // the driver needs a statement
	}
	return conn.BeginTx(ctx, options)
}

// lentTx is a transaction of the store in the hands of a program.
type lentTx struct{ pgx.Tx }

var errLent = errors.New("the transaction ends with the batch: return an error to roll it back")

// errEnded is what the commit says when it was ended all the same.
var errEnded = &store.RejectedError{
	Statement: "the transaction", Reason: "was ended by SQL of the program, or has failed within it",
}

// Commit refuses: the store commits, together with the checkpoint.
func (lentTx) Commit(context.Context) error { return errLent }

// Rollback refuses: an error that the handler returns rolls back.
func (lentTx) Rollback(context.Context) error { return errLent }

var _ store.NativeTx = (*tx)(nil)
