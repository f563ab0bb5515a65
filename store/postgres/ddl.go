package postgres

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pupwasm/pupwasm/store"
)

// remarks may stand before the first word of a statement.
const remarks = `(?:\s|--[^\n]*\n|/\*[^*]*\*/)*`

// runDDL runs one CREATE TABLE that a module brought. A statement runs with all the rights of the store, and some of what
// it can do no rollback takes back, so that it must be known to be a CREATE TABLE of columns before it runs.
func (i *installer) runDDL(ctx context.Context, table *store.Table, ddl string) error {
	fault := func(format string, args ...any) error {
		return &store.CatalogueError{Item: fmt.Sprintf("ddl of table %q", table.Name), Reason: fmt.Sprintf(format, args...)}
	}
	err := i.runCreateTable(ctx, table, ddl, fault)
	var pg *pgconn.PgError
	if errors.As(err, &pg) && !transientState(pg.Code) {
		return fault("%s", describe(pg))
	}
	return err
}

func (i *installer) runCreateTable(ctx context.Context, table *store.Table, ddl string, fault faultFunc) error {
	name := i.projection.table(table.Name)
	// The parenthesis excludes partitions of other tables, whose bounds are expressions that run.
	begins := regexp.MustCompile(`(?i)^` + remarks + `CREATE\s+TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?` + regexp.QuoteMeta(name) + `\s*\(`)
	if !begins.MatchString(ddl) {
		return fault("must be one CREATE TABLE {%s} (…)", table.Name)
	}
	for _, reference := range references.FindAllStringSubmatch(ddl, -1) {
		// A foreign key locks the table that it refers to, before anything could be taken back.
		if !strings.HasPrefix(reference[1], quote(i.projection.schema)+".") {
			return fault("refers to %s, which is not a table of the projection", strings.TrimRight(reference[1], "(,)"))
		}
	}
	if _, err := i.describe(ctx, ddl, nil); err != nil {
		return err
	}
	// EXPLAIN takes CREATE TABLE … AS, which would run its query, and refuses the plain CREATE TABLE.
	explains, err := i.parses(ctx, "EXPLAIN "+ddl)
	if err != nil {
		return err
	}
	if explains {
		return fault("makes a table from a query, must be one CREATE TABLE {%s} (…)", table.Name)
	}
	if err := i.runAlone(ctx, ddl, nil); err != nil {
		return err
	}
	return (&sandbox{installer: i}).checkTable(ctx, table, fault)
}

var references = regexp.MustCompile(`(?i)\breferences\s+(\S+)`)

// parses tells whether a statement is syntactically right, and does nothing else.
func (i *installer) parses(ctx context.Context, sql string) (bool, error) {
	err := i.tentatively(ctx, func() error {
		_, err := i.describe(ctx, sql, nil)
		return err
	})
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code != stateSyntaxError, nil
	}
	return err == nil, err
}

// checkTable checks a table that a module's own DDL made: neither its columns' types and defaults nor its constraints
// reach elsewhere.
func (s *sandbox) checkTable(ctx context.Context, table *store.Table, fault faultFunc) error {
	name := s.projection.table(table.Name)
	var identity string
	err := s.tx.QueryRow(ctx, `SELECT coalesce(min(attname), '') FROM pg_attribute WHERE attrelid = to_regclass($1) AND attidentity <> ''`, name).Scan(&identity)
	if err != nil {
		return err
	}
	if identity != "" {
		return fault("column %q is an identity, which gives other numbers in a rebuild", identity)
	}
	var collated string
	err = s.tx.QueryRow(ctx, `SELECT coalesce(min(a.attname), '') FROM pg_attribute a JOIN pg_collation c ON c.oid = a.attcollation
		WHERE a.attrelid = to_regclass($1) AND NOT c.collisdeterministic`, name).Scan(&collated)
	if err != nil {
		return err
	}
	if collated != "" {
		return fault("column %q has a collation that holds different texts equal, which the folding of a batch does not know", collated)
	}
	var tree string
	if err := s.tx.QueryRow(ctx, tableTree, name).Scan(&tree); err != nil {
		return err
	}
	if err := s.checkTree(ctx, tree, fault); err != nil {
		return err
	}
	return s.checkConstraints(ctx, table, fault)
}

// checkConstraints demands that constraints between rows are checked at the end of the transaction. The rows of a batch are
// folded by key and written as sets, so that they meet a constraint in another order than that of the events.
func (s *sandbox) checkConstraints(ctx context.Context, table *store.Table, fault faultFunc) error {
	var immediate string
	err := s.tx.QueryRow(ctx, `SELECT coalesce(min(conname), '') FROM pg_constraint
		WHERE conrelid = to_regclass($1) AND contype IN ('u', 'f', 'x') AND NOT condeferred
		AND NOT (contype = 'u' AND ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = conrelid AND attnum = ANY (conkey) ORDER BY 1)
			= ARRAY(SELECT k FROM unnest($2::text[]) AS k ORDER BY 1))`, s.projection.table(table.Name), table.Key).Scan(&immediate)
	if err != nil {
		return err
	}
	if immediate != "" {
		return fault("constraint %s must be DEFERRABLE INITIALLY DEFERRED, so that it is checked when a batch is complete", immediate)
	}
	return nil
}

// tableTree is everything that a table refers to, in the form of a parse tree.
const tableTree = `SELECT concat_ws(' ',
		(SELECT string_agg(':vartype ' || atttypid, ' ') FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0),
		(SELECT string_agg(adbin::text, ' ') FROM pg_attrdef WHERE adrelid = c.oid),
		(SELECT string_agg(concat_ws(' ', conbin::text, ':confrelid ' || nullif(confrelid, 0)), ' ') FROM pg_constraint WHERE conrelid = c.oid),
		(SELECT string_agg(concat_ws(' ', indexprs::text, indpred::text), ' ') FROM pg_index WHERE indrelid = c.oid),
		(SELECT partexprs::text FROM pg_partitioned_table WHERE partrelid = c.oid),
		(SELECT string_agg(':inhparent ' || inhparent, ' ') FROM pg_inherits WHERE inhrelid = c.oid))
	FROM pg_class c WHERE c.oid = to_regclass($1)`
