package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pupwasm/pupwasm/store"
)

// sandbox asks PostgreSQL's own parser what the statements of a catalogue touch. It is the second check: the text has
// passed the lists of internal/grammar, which also wrote it. A statement becomes the body of a SQL function (BEGIN
// ATOMIC), which takes queries and changes only: no transaction control, no SET, no DDL. The stored parse tree names
// every table, function and type by its oid (parse_tree.go), and pg_depend names everything that did not come with the
// server. The function is rolled back before anything else happens, and nothing of the statement has run by then.
//
// Only a statement that passed is planned (EXPLAIN), which finds what the parser does not check, such as ON CONFLICT
// without an index.
type sandbox struct {
	*installer
	owned bool // the statement at hand keeps to rows of one partition key, and so to tables that are owned
}

type faultFunc func(format string, args ...any) error

// check refuses an entry of the catalogue with a [*store.CatalogueError].
func (s *sandbox) check(ctx context.Context, entry *statement) error {
	var fault faultFunc = func(format string, args ...any) error {
		return &store.CatalogueError{Item: entry.name, Reason: fmt.Sprintf(format, args...)}
	}
	err := s.asOwner(ctx, func() error { return s.projection.read.server(s, ctx, entry, fault) })
	var pg *pgconn.PgError
	if errors.As(err, &pg) && (pg.Code == stateCancelled || pg.Code == stateOutOfMemory) {
		return fault("cannot be planned, which computes its constants: %s", describe(pg))
	}
	if errors.As(err, &pg) && !mayPass(pg.Code) {
		return fault("%s", strings.ReplaceAll(describe(pg), " is not yet supported in unquoted SQL function body",
			" is not possible here: a statement selects, inserts, updates or deletes"))
	}
	return err
}

func (s *sandbox) checkStatement(ctx context.Context, entry *statement, fault faultFunc) error {
	s.owned = entry.owned
	oids := make([]uint32, len(entry.params))
	for i, t := range entry.params {
		t.Array = t.Array || entry.set
		oids[i] = oidOf(t)
	}
	// The declared text alone, by the extended protocol, which takes one command: nothing in it can close the
	// function's body, or the parentheses around a query, and continue after them.
	description, err := s.describe(ctx, entry.declared, oids)
	if err != nil {
		return err
	}
	if got := len(description.Fields); len(entry.results) > 0 && got != len(entry.results) {
		return fault("declares %d results, the statement has %d", len(entry.results), got)
	}
	if _, err := s.describe(ctx, entry.sql, oids); err != nil {
		return err
	}
	if err := s.tentatively(ctx, func() error { return s.checkBody(ctx, entry, fault) }); err != nil {
		return err
	}
	return s.runAlone(ctx, "EXPLAIN (COSTS OFF) "+entry.sql, oids)
}

// describe has the server parse a statement.
func (i *installer) describe(ctx context.Context, sql string, oids []uint32) (*pgconn.StatementDescription, error) {
	return i.tx.Conn().PgConn().Prepare(ctx, "", sql, oids)
}

// runAlone runs one statement by the extended protocol, which takes no second one. pgx would send a statement without
// parameters by the simple protocol, which runs all that there are.
func (i *installer) runAlone(ctx context.Context, sql string, oids []uint32) error {
	_, err := i.tx.Conn().PgConn().ExecParams(ctx, sql, make([][]byte, len(oids)), oids, nil, nil).Close()
	return err
}

// tentatively runs fn and rolls back what it did.
func (i *installer) tentatively(ctx context.Context, fn func() error) error {
	if _, err := i.tx.Exec(ctx, "SAVEPOINT tentative"); err != nil {
		return err
	}
	outcome := fn()
	if _, err := i.tx.Exec(ctx, "ROLLBACK TO SAVEPOINT tentative; RELEASE SAVEPOINT tentative"); err != nil &&
		outcome == nil {
		return err
	}
	return outcome
}

// probe is the name of the function whose body a statement becomes while it is checked.
const probe = "pupwasm_probe"

func (s *sandbox) checkBody(ctx context.Context, entry *statement, fault faultFunc) error {
	arguments := make([]string, len(entry.params))
	for i, t := range entry.params {
		t.Array = t.Array || entry.set
		arguments[i] = sqlType(t)
	}
	name := s.projection.table(probe)
	// The line break ends a comment at the end of the statement.
	body := fmt.Sprintf("CREATE FUNCTION %s(%s) RETURNS void LANGUAGE sql BEGIN ATOMIC %s\n; END", name,
		strings.Join(arguments, ", "), entry.sql)
	if err := s.runAlone(ctx, body, nil); err != nil {
		return err
	}
	var function, tree string
	err := s.tx.QueryRow(ctx, `SELECT oid::text, coalesce(prosqlbody::text, '') FROM pg_proc
		WHERE pronamespace = to_regnamespace($1) AND proname = $2`, quote(s.projection.schema), probe).Scan(&function,
		&tree)
	if err != nil {
		return err
	}
	if !strings.Contains(tree, "{QUERY ") {
		return fault("has no statement")
	}
	if err := s.checkParseTree(ctx, tree, fault); err != nil {
		return err
	}
	if entry.clock != "" && hasMoments(tree) {
		return fault("has %.60q as a date or time, which gives other results in a rebuild", entry.clock)
	}
	return s.checkDependencies(ctx, function, fault)
}

// checkDependencies asks the server what the function depends on. The server does not record dependencies on what came
// with it; the parse tree has those.
func (s *sandbox) checkDependencies(ctx context.Context, function string, fault faultFunc) error {
	tables, err := s.tables(ctx)
	if err != nil {
		return err
	}
	var foreign string
	err = s.tx.QueryRow(ctx, `SELECT coalesce(string_agg(DISTINCT pg_describe_object(refclassid, refobjid, 0), ', '), '')
			FROM pg_depend
		WHERE classid = 'pg_proc'::regclass AND objid = $1::oid AND refobjid >= 16384
		AND (refclassid, refobjid) <> ('pg_namespace'::regclass, to_regnamespace($2)::oid)
		AND NOT (refclassid = 'pg_class'::regclass AND refobjid = ANY ($3::oid[]))
		AND NOT (refclassid = 'pg_type'::regclass AND refobjid IN (
				SELECT oid FROM pg_type WHERE typrelid = ANY ($3::oid[])))
		AND NOT (refclassid = 'pg_constraint'::regclass AND refobjid IN (
				SELECT oid FROM pg_constraint WHERE conrelid = ANY ($3::oid[])))`,
		function, quote(s.projection.schema), tables).Scan(&foreign)
	if err != nil {
		return err
	}
	if foreign != "" {
		return fault("uses %s, which is not the projection's", foreign)
	}
	return nil
}

// tables returns the oids of the declared tables that the statement at hand may use, as text.
func (s *sandbox) tables(ctx context.Context) ([]string, error) {
	names := []string{}
	for i := range s.projection.Tables {
		if table := &s.projection.Tables[i]; !s.owned || table.Ownership() == store.Owned {
			names = append(names, table.Name)
		}
	}
	rows, err := s.tx.Query(ctx, `SELECT c.oid::text FROM pg_class c
		WHERE c.relnamespace = to_regnamespace($1) AND c.relname = ANY ($2)`, quote(s.projection.schema), names)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
