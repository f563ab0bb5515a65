package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

// The SQLSTATEs by which the server says that a limit is met.
const (
	stateCancelled          = "57014" // statement_timeout, and pg_cancel_backend
	stateTransactionTimeout = "25P04"
	stateTempFileLimit      = "53400"
	stateOutOfMemory        = "53200"
)

// transactionLimits are the limits of a projection's transaction as the function pin takes them. The server's own
// limit on a transaction is for a host that is gone: a live one notices first, and reports a better error.
func (s *Store) transactionLimits() store.Value {
	milliseconds := func(limit, beyond time.Duration) store.Value {
		if limit < 0 {
			return store.I64(0)
		}
		return store.I64(max((limit + beyond).Milliseconds(), 1))
	}
	return store.ArrayOf(store.KindI64, []store.Value{
		milliseconds(s.options.StatementTimeout, 0), milliseconds(s.options.TransactionTimeout, s.silence),
		store.I64(max(s.options.TempFileBytesMax/1024, 0)),
	})
}

// installLimits are those of an install, which may check many statements.
func (s *Store) installLimits() []int64 {
	return []int64{max(s.options.StatementTimeout.Milliseconds(), 0), 0, 0}
}

// deadline is the time that a transaction has from its first statement on, and whose SQL takes it.
type deadline struct {
	store  *Store
	until  time.Time // zero for none
	blamed []string  // what the module has asked or written, by name
	lent   bool      // a program has had the transaction, and may have set limits of its own
	ctx    context.Context
	sent   time.Time
}

// asked begins the time with a query.
func (d *deadline) asked(s *Store, query *statement) {
	d.begin(s)
	d.blame(query.name)
}

// writes begins the time with a commit. Where no SQL of the module runs in it, the limit of each statement does.
func (d *deadline) writes(c *catalogue, steps []store.Step) {
	d.begin(c.store)
	for i := range steps {
		if w := &c.writes[steps[i].Write]; w.computes {
			d.blame(w.name)
		}
	}
}

func (d *deadline) begin(s *Store) {
	d.store = s
	if d.until.IsZero() && s.options.TransactionTimeout > 0 {
		d.until = clock.Now().Add(s.options.TransactionTimeout)
	}
}

func (d *deadline) blame(name string) {
	if !slices.Contains(d.blamed, name) {
		d.blamed = append(d.blamed, name)
	}
}

// errOvertime is the cause that ends the context of a transaction that takes too long.
var errOvertime = errors.New("the transaction takes too long")

// within bounds a call. One statement has its own limit on the server, so that a longer silence says that the
// server is gone; several statements of a module may take longer.
func (d *deadline) within(ctx context.Context, single bool) (context.Context, context.CancelFunc) {
	d.sent = clock.Now()
	end := func() {}
	if single || len(d.blamed) == 0 {
		ctx, end = d.store.bounded(ctx)
	}
	d.ctx = ctx
	if d.until.IsZero() || len(d.blamed) == 0 {
		return ctx, end
	}
	within, cancel := context.WithDeadlineCause(ctx, d.until, errOvertime)
	d.ctx = within
	return within, func() {
		cancel()
		end()
	}
}

// attribute puts an error of a statement into the words of package store: that of a limit, of a statement of the
// catalogue, or of one of ours.
func (d *deadline) attribute(s *statement, err error) error {
	if exceeded := d.exceeded(s, err); exceeded != nil {
		return exceeded
	}
	if s.name != "" {
		return rejected(s, err)
	}
	return translate(err)
}

// exceeded is the error of a statement that has met a limit by SQL of the module, or nil for any other: a lock, a
// connection, and a session that somebody ends are nobody's fault.
func (d *deadline) exceeded(s *statement, err error) error {
	var pg *pgconn.PgError
	var long *pgproto3.ExceededMaxBodyLenErr
	switch {
	case d == nil:
		return nil
	case errors.As(err, &long) && s.name != "":
		return &store.RejectedError{Statement: s.name, Reason: fmt.Sprintf("a row of the result has more than %d MiB",
			store.ResultBytesMax>>20)}
	case errors.As(err, &pg):
		return d.refused(s, pg)
	}
	return nil
}

// attributeError looks at what a call has ended with when its time was up. A server that does not answer any more
// is to blame itself.
func (d *deadline) attributeError(err error) error {
	var limit *store.LimitError
	if errors.Is(err, store.ErrTransient) && !errors.As(err, &limit) && errors.Is(context.Cause(d.ctx), errOvertime) &&
		d.store.answers() {
		return d.overtime()
	}
	return err
}

func (d *deadline) overtime() error {
	return store.TransactionTooLong(strings.Join(d.blamed, ", "), d.store.options.TransactionTimeout)
}

// refused looks at an error of the server.
func (d *deadline) refused(s *statement, pg *pgconn.PgError) error {
	limit := d.store.options.StatementTimeout
	byHand := strings.Contains(pg.Message, "user request")
	switch {
	case d.lent && pg.Code == stateCancelled && !byHand:
		return &store.LimitError{
			Statement: "the transaction of the program", Limit: "was stopped while it was committed: " + describe(pg),
			Remedy: "raise the limit, or have fewer events in a batch",
		}
	case pg.Code == stateTransactionTimeout && len(d.blamed) > 0:
		return d.overtime()
	case s.name == "":
		return nil
	case pg.Code == stateTempFileLimit:
		return stopped(s, pg, "Options.TempFileBytesMax raises it, where the server has none that is lower")
	case pg.Code == stateOutOfMemory:
		return stopped(s, pg, "the memory that the server's processes may have is the limit, see docs/security.md")
	case pg.Code != stateCancelled || byHand || !s.computes && !s.commits():
		return nil
	case limit > 0 && clock.Since(d.sent) >= limit:
		return store.StatementTooLong(timed(s), limit)
	case strings.Contains(pg.Message, "statement timeout"): // in English: otherwise somebody may have cancelled it
		return stopped(s, pg, "the server, the database or the role has a statement_timeout below "+
			"Options.StatementTimeout")
	}
	return nil
}

// timed names a statement that took too long.
func timed(s *statement) string {
	if s.commits() {
		return "the deferred constraints and triggers of the tables"
	}
	return s.name
}

func stopped(s *statement, pg *pgconn.PgError, remedy string) error {
	return &store.LimitError{Statement: s.name, Limit: "was stopped: " + describe(pg), Remedy: remedy}
}

// eventBytesMax is what a row of an event may have: as much as PostgreSQL sends. Who appends has a limit of its own.
const eventBytesMax = 1<<30 - 1

// boundRows bounds a row that is read on a connection. It is read as a whole, before any of it can be counted.
func boundRows(conn *pgxpool.Conn, bytes int) { conn.Conn().PgConn().Frontend().SetMaxBodyLen(bytes) }

// answers reports whether the server answers on another connection.
func (s *Store) answers() bool {
	ctx, cancel := context.WithTimeout(context.Background(), s.pingTimeout)
	defer cancel()
	return s.control.Ping(ctx) == nil
}
