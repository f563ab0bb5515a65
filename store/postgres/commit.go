package postgres

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pupwasm/pupwasm/store"
)

// Begin opens a transaction. See [store.Catalogue].
func (c *catalogue) Begin(claim store.Claim) store.Tx {
	return &tx{catalogue: c, claim: claim, params: c.params.Get().(*parameters)}
}

// tx is one transaction of a segment. It holds a connection from its first query on, or for the commit alone.
type tx struct {
	catalogue *catalogue
	claim     store.Claim
	conn      *pgxpool.Conn
	native    pgx.Tx // that a program has, see Native
	begun     bool
	foreign   bool // SQL of a module may have left something in the session
	deadline  deadline
	params    *parameters // nil when the transaction has ended
}

// rollbackTimeout bounds the wait for a server that no longer answers.
const rollbackTimeout = 5 * time.Second

var (
	beginStatement = statement{sql: "BEGIN ISOLATION LEVEL READ COMMITTED"}
	// These have a name because they may be refused, by a constraint that is checked last. The server has no limit of
	// time for COMMIT, so that deferred constraints and triggers run before it.
	deferredStatement = statement{name: "the batch", sql: "SET CONSTRAINTS ALL IMMEDIATE"}
	commitStatement   = statement{name: "the batch", sql: "COMMIT"}
	// These follow a transaction with SQL of a module, because settings of the session and advisory locks would
	// outlive it. The checks refuse SQL that makes them; the resets hold if the checks have a hole.
	resetStatements = []statement{{sql: "RESET ALL"}, {sql: "SELECT pg_catalog.pg_advisory_unlock_all()"}}
)

// Query runs a query of the catalogue. See [store.Tx].
func (x *tx) Query(ctx context.Context, query int, arguments []store.Value, rows *store.Rows) error {
	entry := &x.catalogue.queries[query]
	x.deadline.asked(x.catalogue.store, entry)
	ctx, cancel := x.deadline.within(ctx, true)
	defer cancel()
	first := !x.begun
	p, err := x.pipeline(ctx)
	if err != nil {
		return x.deadline.attributeError(err)
	}
	if first { // a commit's fence pins the settings by itself
		x.params.reset()
		x.params.add(pinParams[0], x.catalogue.store.transactionLimits())
		p.send(&statement{sql: x.catalogue.store.queries.pin, params: pinParams}, x.params.values())
	}
	x.params.reset()
	for i, t := range entry.params {
		x.params.add(t, arguments[i])
	}
	p.send(entry, x.params.values())
	rows.Reset(len(entry.results))
	err = p.finish(func(of *statementResult) error {
		if of.statement != entry {
			return of.drain()
		}
		return of.collect(rows)
	})
	if err != nil {
		x.giveBack()
	}
	return x.deadline.attributeError(err)
}

// Commit applies the steps and moves the checkpoint. See [store.Tx].
//
// BEGIN, fence and checkpoint, rows, what is deferred, COMMIT go out together and are answered together. The fence
// comes first: when it raises, the server skips the rest. Many rows that are new take further round trips, see copy.go.
func (x *tx) Commit(ctx context.Context, commit store.Commit) error {
	err := x.end(ctx, commit.Steps, func(ctx context.Context) error { return x.commit(ctx, &commit) })
	return x.ended(ctx, commit.Steps, commit.Explain, err)
}

// ended closes the transaction, which has ended with err.
func (x *tx) ended(ctx context.Context, steps []store.Step, explain bool, err error) error {
	if explain {
		x.explain(ctx, steps, err)
	}
	x.Rollback()
	return err
}

// end ends the transaction by run, which writes steps and commits.
func (x *tx) end(ctx context.Context, steps []store.Step, run func(ctx context.Context) error) error {
	x.deadline.writes(x.catalogue, steps)
	ctx, cancel := x.deadline.within(ctx, false)
	defer cancel()
	if err := x.checkLent(); err != nil {
		return err
	}
	if x.begun { // what was queried before is lost with the transaction
		return x.deadline.attributeError(run(ctx))
	}
	return x.deadline.attributeError(retryUncached(func() error {
		x.giveBack()
		return run(ctx)
	}))
}

func (x *tx) commit(ctx context.Context, commit *store.Commit) error {
	p, err := x.ending(ctx)
	if err != nil {
		return err
	}
	p.send(x.catalogue.advance(), x.catalogue.fence(x.params, &x.claim, commit))
	p.sendParking(x.catalogue, x.params, x.claim.Projection, commit)
	p.sendMessages(x.catalogue, x.params, x.claim.Projection, commit.Messages)
	for i := range commit.Steps {
		step := &commit.Steps[i]
		if step.Count < copyRowsMin || x.catalogue.writes[step.Write].copies == "" {
			p.sendStep(x.catalogue, x.params, step)
			continue
		}
		if p, err = x.copyStep(ctx, p, step); err != nil {
			return parkedMaxError(err, x.claim.Projection.Name, commit.ParkedMax)
		}
	}
	err = x.finishCommit(p, (*statementResult).drain)
	return parkedMaxError(err, x.claim.Projection.Name, commit.ParkedMax)
}

// ending starts the pipeline that ends the transaction. Its first statement checks that a program that had the
// transaction has left it as it was.
func (x *tx) ending(ctx context.Context) (*pipeline, error) {
	p, err := x.pipeline(ctx)
	if err == nil && x.native != nil {
		p.send(&checkMark, nil)
	}
	return p, err
}

// finishCommit commits what was sent, and gives the results to handle.
func (x *tx) finishCommit(p *pipeline, handle func(*statementResult) error) error {
	p.send(&deferredStatement, nil)
	p.send(&commitStatement, nil)
	if x.foreign {
		for i := range resetStatements {
			p.send(&resetStatements[i], nil)
		}
	}
	err := p.finish(handle)
	x.foreign = x.foreign && err != nil
	return err
}

var (
	advanceParams = []store.Type{
		{Kind: store.KindText},
		{Kind: store.KindI64},
		{Kind: store.KindI64},
		{Kind: store.KindText},
		{Kind: store.KindI64},
		{Kind: store.KindI64},
		{Kind: store.KindI64},
		{Kind: store.KindBool},
		{Kind: store.KindI64, Array: true},
		{Kind: store.KindUUID},
		{Kind: store.KindI64},
		{Kind: store.KindI64},
		{Kind: store.KindUUID},
	}
	advanceApartParams = append(slices.Clone(advanceParams), store.Type{Kind: store.KindI64})
	pinParams          = []store.Type{{Kind: store.KindI64, Array: true}}
)

// advance is the statement of the fence.
func (c *catalogue) advance() *statement {
	if c.apart {
		return &c.store.advanceApart
	}
	return &c.store.advance
}

func (c *catalogue) fence(params *parameters, claim *store.Claim, commit *store.Commit) [][]byte {
	params.reset()
	id := func(id store.UUID) store.Value { return store.BytesOf(store.KindUUID, id[:]) }
	values := [...]store.Value{
		store.Text(claim.Projection.Name), store.I64(claim.Projection.Number()),
		store.I64(int64(claim.Segment)), store.Text(claim.Worker), store.I64(claim.Epoch),
		store.I64(claim.Position), store.I64(commit.Through),
		store.Bool(claim.Durability.Waits(c.store.options.Durable)),
		c.store.transactionLimits(), id(commit.Log.ID), store.I64(int64(commit.Log.Timeline)),
		store.I64(commit.LastPosition), id(commit.LastEvent),
	}
	for i, v := range values {
		params.add(advanceParams[i], v)
	}
	if c.apart {
		params.add(store.Type{Kind: store.KindI64}, store.I64(commit.Head))
	}
	return params.values()
}

func (p *pipeline) sendStep(c *catalogue, params *parameters, step *store.Step) {
	statement := &c.writes[step.Write]
	if statement.set {
		p.sendRows(statement, params, *step)
		return
	}
	for row := range step.Count {
		params.reset()
		for column, t := range statement.params {
			params.add(t, step.Values[row*step.Width+column])
		}
		if row == 0 {
			p.send(statement, params.values())
		} else {
			p.rebind(statement, params.values())
		}
	}
}

// rowsAtOnce is how many rows of a large step are sent together. The server writes them while the next are encoded.
const rowsAtOnce = 2048

// sendRows sends a step as arrays, one a column. Parts of it keep the order of its rows, and so of the locks that
// they take.
func (p *pipeline) sendRows(statement *statement, params *parameters, step store.Step) {
	send := p.send
	for left := step; left.Count > 0; send = p.rebind {
		part := left
		part.Count = min(left.Count, rowsAtOnce)
		left.Count, left.Values = left.Count-part.Count, left.Values[part.Count*step.Width:]
		params.reset()
		for column, t := range statement.params {
			params.addColumn(t.Kind, &part, column)
		}
		send(statement, params.values())
		if left.Count > 0 {
			p.flush()
		}
	}
}

// Rollback ends the transaction. See [store.Tx].
func (x *tx) Rollback() {
	x.giveBack()
	if x.params != nil {
		x.catalogue.params.Put(x.params)
		x.params = nil
	}
}

// giveBack returns the connection, outside of a transaction.
func (x *tx) giveBack() {
	if x.conn == nil {
		return
	}
	conn, foreign := x.conn, x.foreign
	x.conn, x.native, x.begun, x.foreign = nil, nil, false, false
	// The caller's context may be over; a connection in a transaction must not go back to the pool.
	rollback(conn, foreign)
	boundRows(conn, eventBytesMax)
	conn.Release()
}

// rollback ends the transaction of a connection if it is in one, and resets what SQL of a module may have left in
// the session. It closes a connection that does not answer.
func rollback(conn *pgxpool.Conn, foreign bool) {
	var end []string
	if conn.Conn().PgConn().TxStatus() != 'I' {
		end = append(end, "ROLLBACK")
	}
	for i := range resetStatements {
		if foreign {
			end = append(end, resetStatements[i].sql)
		}
	}
	if len(end) == 0 || conn.Conn().PgConn().IsClosed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), rollbackTimeout)
	defer cancel()
	if _, err := conn.Exec(ctx, strings.Join(end, "; ")); err != nil {
		_ = conn.Conn().Close(ctx)
	}
}

// pipeline starts a pipeline on the connection, and begins the transaction with it when there is none.
func (x *tx) pipeline(ctx context.Context) (*pipeline, error) {
	if err := x.connect(ctx); err != nil {
		return nil, err
	}
	p := x.catalogue.store.startPipeline(ctx, x.conn)
	p.deadline = &x.deadline
	if !x.begun {
		x.begun, x.foreign = true, x.catalogue.foreign
		p.send(&beginStatement, nil)
	}
	return p, nil
}

// connect takes a connection, unless there is one.
func (x *tx) connect(ctx context.Context) error {
	if x.conn != nil {
		return nil
	}
	conn, err := x.catalogue.store.acquire(ctx)
	if err != nil {
		return translate(err)
	}
	x.conn = conn
	boundRows(conn, store.ResultBytesMax)
	return nil
}
