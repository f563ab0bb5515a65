package storetest

import (
	"errors"
	"strings"

	"github.com/pupwasm/pupwasm/store"
)

var nativeCases = []testCase{
	{"commits_with_the_checkpoint", nativeCommits},
	{"a_lost_claim_rolls_back", nativeFenced},
	{"rollback_undoes_it", nativeRollback},
	{"goes_on_in_the_same_transaction", nativeGoesOn},
	{"an_error_of_the_program_is_not_the_end", nativeError},
	{"a_projection_without_tables_has_no_place", nativeBare},
	{"a_transaction_that_its_program_ends_moves_no_checkpoint", nativeEnded},
	{"nor_does_the_one_that_its_program_begins_then", nativeEndedAndBegun},
}

// write runs SQL of a program within a unit of work, by the database's own handle of it.
func (r *runner) write(tx store.Tx, sql string) error {
	r.Helper()
	handle, err := tx.(store.NativeTx).Native(r.ctx)
	r.must(err)
	return r.Exec(r.ctx, handle, sql)
}

// insert is SQL that writes past the catalogue.
func (r *runner) insert(name string) string {
	return "INSERT INTO " + r.stored("sums", "total") + " (name, n) VALUES ('" + name + "', 1)"
}

// end commits one position, with rows of the catalogue.
func (r *runner) end(tx store.Tx, mutations ...store.Mutation) error {
	err := tx.Commit(r.ctx, store.Commit{Through: r.claim.Position + 1, Steps: r.plan(mutations...), Log: r.claim.Applied.Log})
	if err == nil {
		r.claim.Position++
	}
	return err
}

func nativeCommits(f *fixture) {
	r := f.running(totals("sums"))
	for _, name := range []string{"a", "b"} {
		tx := r.catalogue.Begin(r.claim)
		f.must(r.write(tx, r.insert(name)))
		f.must(r.end(tx, put("put "+name, 2)))
		tx.Rollback()
	}
	if got := r.table(); got != "a 1; b 1; put a 2; put b 2" || r.position() != r.claim.Position {
		f.Errorf("the table is %q at position %d", got, r.position())
	}
}

func nativeFenced(f *fixture) {
	r := f.running(totals("sums"))
	stale := r.claim
	r.apply(put("a", 1))
	tx := r.catalogue.Begin(stale)
	defer tx.Rollback()
	f.must(r.write(tx, r.insert("late")))
	if err := tx.Commit(f.ctx, store.Commit{Through: stale.Position + 1, Log: stale.Applied.Log}); !errors.Is(err, store.ErrFenced) {
		f.Errorf("the commit returns %v", err)
	}
	if got := r.table(); got != "a 1" {
		f.Errorf("the table is %q", got)
	}
	r.apply(put("a", 1)) // nothing holds it up
}

func nativeRollback(f *fixture) {
	r := f.running(totals("sums"))
	tx := r.catalogue.Begin(r.claim)
	f.must(r.write(tx, r.insert("a")))
	tx.Rollback()
	tx.Rollback()
	if got := r.table(); got != "" {
		f.Errorf("the table is %q", got)
	}
	f.appendTo(stream("other"), 1) // nothing holds it up
	r.apply(put("b", 1))
	if got := r.table(); got != "b 1" {
		f.Errorf("the table is %q", got)
	}
}

func nativeGoesOn(f *fixture) {
	r := f.running(totals("sums"))
	r.apply(put("a", 1))
	tx := r.catalogue.Begin(r.claim)
	defer tx.Rollback()
	var rows store.Rows
	f.must(tx.Query(f.ctx, 0, nil, &rows))
	f.must(r.write(tx, r.insert("b")))
	f.must(r.write(tx, r.insert("c")))
	f.must(r.end(tx))
	if got := r.table(); show(rows) != "a 1" || got != "a 1; b 1; c 1" {
		f.Errorf("the query gives %q, the table is %q", show(rows), got)
	}
}

// nativeError has SQL of a program fail: the unit of work is rolled back, and the next one works.
func nativeError(f *fixture) {
	r := f.running(totals("sums"))
	tx := r.catalogue.Begin(r.claim)
	f.must(r.write(tx, r.insert("a")))
	if err := r.write(tx, r.insert("a")); err == nil {
		f.Error("a key twice is no error")
	}
	tx.Rollback()
	tx = r.catalogue.Begin(r.claim)
	defer tx.Rollback()
	f.must(r.write(tx, r.insert("b")))
	f.must(r.end(tx))
	if got := r.table(); got != "b 1" {
		f.Errorf("the table is %q", got)
	}
}

// nativeEnded has a program roll its transaction back and go on as if nothing had happened.
func nativeEnded(f *fixture) {
	r := f.running(totals("sums"))
	tx := r.catalogue.Begin(r.claim)
	f.must(r.write(tx, r.insert("a")))
	_ = r.write(tx, "ROLLBACK")
	position := r.position()
	var rejected *store.RejectedError
	if err := r.end(tx, put("b", 1)); !errors.As(err, &rejected) {
		f.Errorf("the commit returns %v", err)
	}
	tx.Rollback()
	if got := r.table(); got != "" || r.position() != position {
		f.Errorf("the table is %q at position %d, was at %d", got, r.position(), position)
	}
	r.apply(put("c", 1)) // nothing holds it up
	if got := r.table(); got != "c 1" {
		f.Errorf("the table is %q", got)
	}
}

// nativeEndedAndBegun has a program end its transaction in each way, and go on in another one: its rows before are
// rolled back, or were committed apart where the database lets it. Those after must not be committed with the
// checkpoint.
func nativeEndedAndBegun(f *fixture) {
	r := f.running(totals("sums"))
	ends := map[string]string{"ROLLBACK; BEGIN": "", "COMMIT; BEGIN": ""}
	if f.dialect != store.DialectSQLite {
		ends["COMMIT; BEGIN"] = "before"
		ends["COMMIT AND CHAIN"] = "before"
		ends["ROLLBACK AND CHAIN"] = ""
	}
	for sql, stays := range ends {
		tx := r.catalogue.Begin(r.claim)
		f.must(r.write(tx, r.insert("before")))
		for step := range strings.SplitSeq(sql, "; ") {
			_ = r.write(tx, step) // SQLite refuses the COMMIT
		}
		f.must(r.write(tx, r.insert("after")))
		position := r.position()
		var rejected *store.RejectedError
		if err := r.end(tx, put("b", 1)); !errors.As(err, &rejected) || !strings.Contains(err.Error(), "was ended by") {
			f.Errorf("%s: the commit returns %v", sql, err)
		}
		tx.Rollback()
		if got := strings.TrimSuffix(r.table(), " 1"); got != stays || r.position() != position {
			f.Errorf("%s: the table is %q at position %d, was at %d", sql, got, r.position(), position)
		}
		f.Query(f.T, "DELETE FROM "+r.stored("sums", "total"))
		r.apply(put("c", 1)) // nothing holds it up
		f.Query(f.T, "DELETE FROM "+r.stored("sums", "total"))
	}
}

// nativeBare installs, renews and resets a projection that declares nothing, beside a table of somebody else where
// its own would be.
func nativeBare(f *fixture) {
	switch f.dialect {
	case store.DialectPostgres:
		f.Query(f.T, "CREATE SCHEMA sums")
	case store.DialectMySQL:
		database, _, _ := strings.Cut(f.Table("sums", "total"), ".")
		f.Query(f.T, "CREATE DATABASE "+database)
	}
	f.Query(f.T, "CREATE TABLE "+f.Table("sums", "total")+" (name text)")
	bare := &store.Projection{Name: "sums", Version: 1, Order: store.OrderGlobal}
	r := f.running(bare)
	f.must(f.store.Release(f.ctx, r.claim))
	_, err := f.store.Install(f.ctx, bare, 1)
	f.must(err)
	var taken *store.CatalogueError
	if _, err := f.store.Install(f.ctx, totals("sums"), 1); !errors.As(err, &taken) {
		f.Errorf("a projection with tables in the place of others: %v", err)
	}
	f.must(f.store.Reset(f.ctx, "sums"))
	f.Query(f.T, "SELECT name FROM "+f.Table("sums", "total")) // it is there still
}
