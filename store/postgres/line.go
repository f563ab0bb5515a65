package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pupwasm/pupwasm/store"
)

// line is a connection on which one goroutine sends transactions while another takes the answers, which the driver's own pipeline
// leaves to one. The two share nothing but the names.
type line struct {
	conn   *pgxpool.Conn
	names  *names
	broken atomic.Bool // nobody knows what stands on the connection
}

// errLineBroken says that what is under way on a line has to be waited for, to fail, before there is another.
var errLineBroken = fmt.Errorf("%w: the connection has failed under the commit in front", store.ErrTransient)

// write sends a block of messages.
func (l *line) write(ctx context.Context, block []byte) error {
	if l.broken.Load() {
		return errLineBroken
	}
	conn := l.conn.Conn().PgConn().Conn()
	stop := atEnd(ctx, conn.SetWriteDeadline)
	_, err := conn.Write(block)
	return l.outcome(ctx, err, stop())
}

// await takes the answer to a transaction, and returns its failure in the words of package store.
func (l *line) await(ctx context.Context, one *commit) error {
	done, failure, err := l.receive(ctx, one)
	if failure != nil {
		return failureAt(l.names, one.statements, done, failure)
	}
	return err
}

// receive takes the answer to a transaction: how many of its statements were done, and what the server has refused it for.
func (l *line) receive(ctx context.Context, one *commit) (done int, failure *pgconn.PgError, err error) {
	conn := l.conn.Conn().PgConn()
	stop := atEnd(ctx, conn.Conn().SetReadDeadline)
	for parsed := 0; ; {
		var message pgproto3.BackendMessage
		// A context that could end would cost a goroutine for each message.
		if message, err = conn.ReceiveMessage(context.Background()); err != nil {
			break
		}
		switch message := message.(type) {
		case *pgproto3.ParseComplete:
			if s := one.parsed[parsed]; s != nil {
				l.names.prepared(s)
			}
			parsed++
			continue
		case *pgproto3.CommandComplete, *pgproto3.EmptyQueryResponse:
			done++
			continue
		case *pgproto3.ErrorResponse:
			failure = pgconn.ErrorResponseToPgError(message)
			continue
		case *pgproto3.ReadyForQuery:
		default:
			continue
		}
		break
	}
	if err == nil && failure == nil && done != len(one.statements) {
		err = fmt.Errorf("the server has answered %d statements of %d", done, len(one.statements))
	}
	return done, failure, l.outcome(ctx, err, stop())
}

// outcome judges a call on the connection. late tells that ctx ended before it did.
func (l *line) outcome(ctx context.Context, err error, late bool) error {
	if err != nil || late {
		l.broken.Store(true)
	}
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return translate(err)
}

// close gives the connection back, if it is of use. If not, the server is asked in the background to give up what it is at.
func (l *line) close() {
	if !l.broken.Load() {
		l.conn.Release()
		return
	}
	go func() {
		defer l.conn.Release()
		ctx, cancel := context.WithTimeout(context.Background(), rollbackTimeout)
		defer cancel()
		_ = l.conn.Conn().PgConn().CancelRequest(ctx)
		_ = l.conn.Conn().Close(ctx)
	}()
}

// atEnd ends a call on a connection by its deadline when ctx ends. stop tells whether it did.
func atEnd(ctx context.Context, setDeadline func(time.Time) error) (stop func() bool) {
	past := time.Unix(1, 0)
	release := context.AfterFunc(ctx, func() { _ = setDeadline(past) })
	return func() bool { return !release() }
}
