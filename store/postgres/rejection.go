package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pupwasm/pupwasm/internal/oneline"
	"github.com/pupwasm/pupwasm/store"
)

// rejected puts an error of a statement that comes from a projection's catalogue, or of COMMIT, into the words of
// package store. Limits are found out before, by who knows the time.
func rejected(s *statement, err error) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Code == stateFenced || pg.Code == stateOtherLog || pg.Code == stateSameDatabase {
		return translate(err)
	}
	found := verdictsOn(pg.Code).Module
	if s.commits() {
		found = verdictsOn(pg.Code).Commit
	}
	switch found {
	case eventFault:
		return refusal(s, pg)
	case stops:
		return &store.StatementError{Statement: s.name, Reason: describe(pg)}
	}
	return translate(err)
}

// refusal is the error of a row that the server refuses, as far as it names the table and the column.
func refusal(s *statement, pg *pgconn.PgError) error {
	refused := &store.RejectedError{Statement: s.name, Reason: describeRefusal(pg)}
	if pg.TableName != "" {
		refused.Row.Table = pg.TableName
		if pg.ColumnName != "" {
			refused.Row.Blame(pg.ColumnName)
		}
	}
	return refused
}

const (
	stateNotNullViolation = "23502"
	stateCheckViolation   = "23514"
)

// describeRefusal leaves out the details that have the whole row, of which the error has what matters.
func describeRefusal(pg *pgconn.PgError) string {
	if pg.Code == stateNotNullViolation || pg.Code == stateCheckViolation {
		return store.CutReason(oneline.Text(pg.Message))
	}
	return store.CutReason(describe(pg))
}

const (
	// explainTimeout bounds the search for the row that was refused.
	explainTimeout = 5 * time.Second
	// explainRowsMax bounds the rows among which it is searched: those of one event.
	explainRowsMax = 10_000
)

// explain adds to a rejection of a commit which row it was, and which of its columns is at fault. It writes the rows
// one by one in another transaction, which is rolled back. What it does not find out is left out.
func (x *tx) explain(ctx context.Context, steps []store.Step, err error) {
	var refused *store.RejectedError
	if !errors.As(err, &refused) {
		return
	}
	rows := 0
	for i := range steps {
		rows += steps[i].Count
	}
	if rows == 0 || rows > explainRowsMax {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, explainTimeout)
	defer cancel()
	x.giveBack()
	defer x.giveBack()
	e := explanation{tx: x, steps: steps, rows: rows}
	row, again := e.refusedRow(ctx)
	if again == nil || again.Statement != refused.Statement {
		return // it depends on the rows together, or on what the program has written
	}
	step, values := e.row(row)
	statement := &x.catalogue.writes[step.Write]
	found := statement.shape.Rejected(values)
	named := again.Row.Table == found.Table && len(again.Row.Columns) > 0
	if found.Table == "" { // of a statement of the module
		found.Table = again.Row.Table
	}
	if found.Table == again.Row.Table {
		for _, column := range again.Row.Columns {
			found.Blame(column.Name)
		}
	}
	if !named && e.begin(ctx, row) == nil {
		statement.shape.Blame(&found, values, func(values []store.Value) (bool, error) {
			return e.accepts(ctx, step, values)
		})
	}
	refused.Row, refused.Reason = found, again.Reason
}

// explanation is a search for the row that was refused.
type explanation struct {
	*tx
	steps []store.Step
	rows  int // of all steps
}

// row finds a row by its number among those of all steps.
func (e *explanation) row(number int) (step *store.Step, values []store.Value) {
	at := 0
	for number >= e.steps[at].Count {
		number -= e.steps[at].Count
		at++
	}
	step = &e.steps[at]
	return step, step.Values[number*step.Width : (number+1)*step.Width]
}

// refusedRow is the number of the first row that the database refuses, and its error, or nil for none.
func (e *explanation) refusedRow(ctx context.Context) (row int, refused *store.RejectedError) {
	p, err := e.pipeline(ctx)
	if err != nil {
		return 0, nil
	}
	e.pin(p)
	before := len(p.sent)
	e.send(p, e.rows)
	taken := 0
	err = p.finish(func(of *statementResult) error {
		err := of.drain()
		if err == nil {
			taken++
		}
		return err
	})
	e.giveBack()
	if !errors.As(err, &refused) || taken < before {
		return 0, nil
	}
	return taken - before, refused
}

// begin opens a transaction in which the first rows are written.
func (e *explanation) begin(ctx context.Context, rows int) error {
	p, err := e.pipeline(ctx)
	if err != nil {
		return err
	}
	e.pin(p)
	e.send(p, rows)
	p.send(&savepointStatement, nil)
	return p.finish((*statementResult).drain)
}

var (
	savepointStatement = statement{sql: "SAVEPOINT explain"}
	undoStatement      = statement{sql: "ROLLBACK TO explain"}
)

// pin sends the settings of a projection's transaction.
func (e *explanation) pin(p *pipeline) {
	e.params.reset()
	e.params.add(pinParams[0], e.catalogue.store.transactionLimits())
	p.send(&statement{sql: e.catalogue.store.queries.pin, params: pinParams}, e.params.values())
}

// send sends the first rows, each by itself.
func (e *explanation) send(p *pipeline, rows int) {
	for number := range rows {
		step, values := e.row(number)
		e.sendRow(p, step, values)
	}
}

func (e *explanation) sendRow(p *pipeline, step *store.Step, values []store.Value) {
	p.sendStep(e.catalogue, e.params, &store.Step{Write: step.Write, Width: step.Width, Count: 1, Values: values})
}

// accepts reports whether the database takes a row behind the first ones, and undoes it.
func (e *explanation) accepts(ctx context.Context, step *store.Step, values []store.Value) (bool, error) {
	p, err := e.pipeline(ctx)
	if err != nil {
		return false, err
	}
	e.sendRow(p, step, values)
	p.next()
	p.send(&undoStatement, nil)
	err = p.finish((*statementResult).drain)
	var refused *store.RejectedError
	if err != nil && !errors.As(err, &refused) {
		return false, err
	}
	return err == nil, nil
}
