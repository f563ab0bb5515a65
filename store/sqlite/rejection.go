package sqlite

import (
	"errors"
	"strings"

	"github.com/pupwasm/pupwasm/store"
)

// rejected puts an error of a statement that comes from a projection's catalogue into the words of package store.
func rejected(name string, err error) error {
	var value errValue
	if errors.Is(err, errMemory) || errors.As(err, &value) {
		return &store.RejectedError{Statement: name, Reason: store.CutReason(err.Error())}
	}
	found, is := verdictsOn(err)
	switch {
	case !is:
		return err
	case found.Module == stops, missing(err):
		return &store.StatementError{Statement: name, Reason: reason(err)}
	case found.Module == eventFault:
		return &store.RejectedError{Statement: name, Reason: store.CutReason(reason(err))}
	}
	return err
}

// explain adds the row to an error of a write, and the columns at fault. Those that SQLite does not name are found by
// other values in their place, within the transaction, which is rolled back in any case.
func (x *tx) explain(c *conn, entry *statement, values []store.Value, err error) {
	var refused *store.RejectedError
	if !x.explains || !errors.As(err, &refused) || errors.Is(err, errMemory) {
		return
	}
	refused.Row = entry.shape.Rejected(values)
	if columns := violated(refused.Reason); len(columns) > 0 {
		for _, column := range columns {
			refused.Row.Blame(column)
		}
		return
	}
	if c.db.GetAutocommit() { // the statement has ended the transaction
		return
	}
	entry.shape.Blame(&refused.Row, values, func(values []store.Value) (bool, error) { return x.accepts(c, entry, values) })
}

// accepts reports whether a write takes a row, and undoes it.
func (x *tx) accepts(c *conn, entry *statement, values []store.Value) (accepted bool, err error) {
	if _, err := c.exec("SAVEPOINT explain"); err != nil {
		return false, err
	}
	_, refusal := x.writeRows(c, entry, &store.Step{Count: 1, Width: len(values), Values: values})
	if _, err := c.exec("ROLLBACK TO explain"); err != nil {
		return false, err
	}
	var rejection *store.RejectedError
	if refusal != nil && !errors.As(refusal, &rejection) {
		return false, refusal
	}
	return refusal == nil, nil
}

// violated are the columns that SQLite names: "UNIQUE constraint failed: t.a, t.b".
func violated(reason string) (columns []string) {
	what, list, found := strings.Cut(reason, " constraint failed: ")
	if !found || what != "NOT NULL" && what != "UNIQUE" {
		return nil
	}
	for _, place := range strings.Split(list, ", ") {
		_, column, found := strings.Cut(place, ".")
		if !found {
			return nil // the name of an index over an expression
		}
		columns = append(columns, column)
	}
	return columns
}
