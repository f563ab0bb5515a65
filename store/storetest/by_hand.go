package storetest

import (
	"errors"
	"strings"

	"github.com/pupwasm/pupwasm/store"
)

var byHandCases = []testCase{
	{"a_table_that_is_gone_is_no_events_fault", func(f *fixture) {
		byHandGone(f, "ALTER TABLE {total} RENAME TO moved", "ALTER TABLE {moved} RENAME TO total")
	}},
	{"nor_is_a_column_that_is_gone", func(f *fixture) {
		byHandGone(f, "ALTER TABLE {total} RENAME COLUMN n TO m", "ALTER TABLE {total} RENAME COLUMN m TO n")
	}},
	{"a_constraint_refuses_its_rows_alone", byHandConstraint},
}

// byHandGone has somebody change the table, and put it back.
func byHandGone(f *fixture, change, back string) {
	r := f.running(totals("sums"))
	r.apply(put("a", 1))
	names := strings.NewReplacer("{total}", r.stored("sums", "total"), "{moved}", r.stored("sums", "moved"))
	if f.dialect != store.DialectPostgres { // which has a name only within the schema
		names = strings.NewReplacer("{total}", r.stored("sums", "total"), "{moved}", r.stored("sums", "moved"),
			"TO moved", "TO "+r.stored("sums", "moved"), "TO total", "TO "+r.stored("sums", "total"))
	}
	f.Query(f.T, names.Replace(change))
	position := r.position()
	var broken *store.StatementError
	var rejected *store.RejectedError
	for name, err := range map[string]error{"commit": r.commit(put("b", 1)), "query": r.asks(0)} {
		if !errors.As(err, &broken) || errors.As(err, &rejected) || errors.Is(err, store.ErrTransient) ||
			strings.Contains(err.Error(), "\n") {
			f.Errorf("%s: %v, must be that the statement cannot run", name, err)
		}
	}
	f.Query(f.T, names.Replace(back))
	if got := r.table(); got != "a 1" || r.position() != position {
		f.Errorf("the table is %q at position %d, was at %d", got, r.position(), position)
	}
	r.apply(put("b", 1))
	if got := r.table(); got != "a 1; b 1" {
		f.Errorf("the table is %q", got)
	}
}

// asks runs a query without arguments.
func (r *runner) asks(query int) error {
	tx := r.catalogue.Begin(r.claim)
	defer tx.Rollback()
	var rows store.Rows
	return tx.Query(r.ctx, query, nil, &rows)
}

// byHandConstraint has somebody add a constraint that some rows do not meet.
func byHandConstraint(f *fixture) {
	r := f.running(totals("sums"))
	r.apply(put("a", 1))
	f.Query(f.T, "CREATE UNIQUE INDEX by_hand ON "+r.stored("sums", "total")+" (n)")
	var rejected *store.RejectedError
	if err := r.commit(put("b", 2), put("c", 1)); !errors.As(err, &rejected) {
		f.Errorf("the commit returns %v", err)
	}
	r.apply(put("b", 2))
	if got := r.table(); got != "a 1; b 2" {
		f.Errorf("the table is %q", got)
	}
}
