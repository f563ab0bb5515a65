package mysql

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql/internal/grammar"
)

// errValue is what is wrong with a value, as opposed to an error of MariaDB.
type errValue struct {
	reason string
	at     int // its place in the row
}

// Error returns the reason.
func (e errValue) Error() string { return e.reason }

// rejected puts an error of a statement that comes from a projection's catalogue into the words of package store.
func rejected(entry *statement, err error) error {
	var value errValue
	var result errResult
	found, answered := verdictsOn(err)
	switch {
	case errors.As(err, &value), errors.As(err, &result):
		return &store.RejectedError{Statement: entry.name, Reason: store.CutReason(err.Error())}
	case errors.Is(err, mysql.ErrPktTooLarge):
		return &store.RejectedError{
			Statement: entry.name, Reason: "a row is larger than max_allowed_packet of the server allows",
		}
	case !answered:
		return err
	case entry.module && (found.Module == meetsLimit || isNumber(err, erTableFull) && strings.Contains(reason(err), "temporary")):
		return &store.LimitError{
			Statement: entry.name, Limit: "was stopped: " + reason(err),
			Remedy: "the server or the session has a limit on it, see docs/security.md",
		}
	case found.Module == stops:
		return &store.StatementError{Statement: entry.name, Reason: reason(err)}
	case found.Module == eventFault:
		return &store.RejectedError{Statement: entry.name, Reason: store.CutReason(entry.refusal(err))}
	}
	return err
}

// refusal is MariaDB's reason to refuse a row, or ours where MariaDB was made to refuse it by [conflictClause]: no key
// that is given is NULL.
func (s *statement) refusal(err error) string {
	text := reason(err)
	if beyond := grammar.Exceeded(text); beyond != "" && isNumber(err, erDataOutOfRange) {
		return beyond
	}
	if s.guard != "" && isNumber(err, erBadNull) && strings.Contains(text, "'"+s.guard+"'") {
		return "another row has values that are unique by an index that was added to the table"
	}
	return text
}

const (
	// explainTimeout bounds the search for the row that was refused.
	explainTimeout = 5 * time.Second
	// explainRowsMax bounds the rows among which it is searched.
	explainRowsMax = 10_000
)

// explain adds to a rejection which row it was, and which of its columns is at fault. The transaction is as it was before
// the statement that was refused: its rows are written one by one, and then the one that is refused with other values.
// The transaction is rolled back in any case. What is not found out is left out.
func (b *batch) explain(of item, cause, err error) {
	var refused *store.RejectedError
	if !errors.As(err, &refused) || of.rows > explainRowsMax {
		return
	}
	ctx, cancel := context.WithTimeout(b.conn.ctx, explainTimeout)
	defer cancel()
	search := &batch{tx: b.tx, conn: &conn{ctx: ctx, session: b.conn.session}}
	row := of.first
	if of.rows > 1 {
		found, again := search.refusedRow(of)
		if again == nil {
			return
		}
		row, refused.Reason = found, again.Reason
	}
	shape, values := &of.entry.shape, of.step.Values[row*of.step.Width:(row+1)*of.step.Width]
	refused.Row = shape.Rejected(values)
	var value errValue
	if errors.As(cause, &value) {
		refused.Row.Columns[value.at].AtFault = true
		return
	}
	if column := violated(cause); of.entry.procedure != "" && column != "" {
		refused.Row.Blame(column)
		return
	}
	shape.Blame(&refused.Row, values, func(values []store.Value) (bool, error) { return search.accepts(of.entry, values) })
}

// violated is the column that MariaDB names for a value that it cannot have: "Column 'a' cannot be null". For a write by
// declaration it may be of a table that a trigger writes to.
func violated(err error) string {
	if !isNumber(err, erBadNull, erOutOfRange, erTooLong) {
		return ""
	}
	_, rest, _ := strings.Cut(reason(err), "'")
	column, _, _ := strings.Cut(rest, "'")
	return column
}

// refusedRow is the first row of a statement that the database refuses by itself, and its error, or nil for none.
func (b *batch) refusedRow(of item) (row int, refused *store.RejectedError) {
	for n := range of.rows {
		if _, err := b.rows(of.entry, of.step, of.first+n, of.first+n+1); err != nil {
			return 0, nil
		}
	}
	if err := b.send(); !errors.As(err, &refused) {
		return 0, nil
	}
	return b.refused.first, refused
}

// accepts reports whether a write takes a row, and undoes it.
func (b *batch) accepts(entry *statement, values []store.Value) (bool, error) {
	if err := b.add("SAVEPOINT pupwasm_row"); err != nil {
		return false, err
	}
	step := &store.Step{Count: 1, Width: len(values), Values: values}
	_, err := b.rows(entry, step, 0, 1)
	if err == nil {
		err = b.send()
	}
	b.text = b.text[:0]
	var value errValue
	var refused *store.RejectedError
	if err != nil && !errors.As(err, &refused) && !errors.As(err, &value) {
		return false, err
	}
	if _, undone := b.conn.exec("ROLLBACK TO pupwasm_row"); undone != nil && refused != nil {
		return false, undone
	}
	return err == nil, nil
}
