package mysql

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

// limit is the time that is left for something, and the error when it is over. Without time there is none.
type limit struct {
	left time.Duration
	over func(statement string) error
}

// timeLeft is what SQL of the module has, or all queries of the transaction together.
func (x *tx) timeLeft(module bool) (l limit) {
	options := &x.catalogue.store.options
	if module && options.StatementTimeout > 0 {
		l = limit{options.StatementTimeout, func(statement string) error {
			return store.StatementTooLong(statement, options.StatementTimeout)
		}}
	}
	whole := max(options.TransactionTimeout-x.spent, time.Microsecond)
	if options.TransactionTimeout > 0 && (l.left == 0 || whole < l.left) {
		l = limit{whole, func(statement string) error {
			return store.TransactionTooLong(statement, options.TransactionTimeout)
		}}
	}
	return l
}

// spend takes time away.
func (l *limit) spend(took time.Duration) {
	if l.left > 0 {
		l.left = max(l.left-took, time.Microsecond)
	}
}

// patience is a context for SQL of the module that has the limit: the server does not look at the time while it computes
// one row, and then the connection is given up after some silence beyond the limit.
func (l *limit) patience(ctx context.Context, silence time.Duration) (context.Context, context.CancelFunc) {
	if l.left <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, l.left+silence)
}

// gaveUp reports whether an error comes from the end of the patience, and not from that of the caller.
func gaveUp(err error, patience, ctx context.Context) bool {
	return err != nil && ofTheConnection(err) && errors.Is(patience.Err(), context.DeadlineExceeded) && ctx.Err() == nil
}

// bounds begins a statement that has the limit.
func (l *limit) bounds(out []byte) []byte {
	if l.left > 0 {
		out = fmt.Appendf(out, "SET STATEMENT max_statement_time = %.6f FOR ", l.left.Seconds())
	}
	return out
}
