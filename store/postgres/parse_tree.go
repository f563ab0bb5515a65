package postgres

import (
	"context"
	"regexp"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// A parse tree, as PostgreSQL stores it, is text: "{FUNCEXPR :funcid 1079 :funcresulttype 2205 … :args ({PARAM
// …})}". Names and constants within it are escaped or bytes, so that they cannot look like a node; at worst they
// add a match.
var (
	treeRelations = regexp.MustCompile(`:(?:relid|confrelid|inhparent) (\d+)`)
	treeFunctions = regexp.MustCompile(`:(?:funcid|opfuncid|aggfnoid|winfnoid) (\d+)`)
	treeTypes     = regexp.MustCompile(`:\w*[tT]ype(?:[iI]d)? (\d+)`)
	treeTypeLists = regexp.MustCompile(`:\w*[tT]ypes \(o ([\d ]+)\)`)
	// A cast by way of text has no function of its own in the tree: it is the type's input function.
	treeTextCasts = regexp.MustCompile(`:resulttype (\d+) :resultcollid \d+ :coerceformat`)
	treeClocks    = regexp.MustCompile(`\{(SQLVALUEFUNCTION|NEXTVALUEEXPR|CURRENTOFEXPR|TABLESAMPLECLAUSE)`)
	treeSystem    = regexp.MustCompile(`\{VAR :varno \d+ :varattno -`)
	treeConstants = regexp.MustCompile(`:consttype (\d+) `)
)

// plainConstants are the types of constants that have no date or time in them: every other one may.
var plainConstants = map[string]bool{}

func init() {
	for _, oid := range []int{
		pgtype.BoolOID, pgtype.ByteaOID, pgtype.Int8OID, pgtype.Int2OID, pgtype.Int4OID, pgtype.TextOID, pgtype.JSONOID,
		pgtype.Float4OID,
		pgtype.Float8OID, pgtype.UnknownOID, pgtype.BPCharOID, pgtype.VarcharOID, pgtype.IntervalOID, pgtype.NumericOID,
		pgtype.UUIDOID,
		pgtype.JSONBOID, pgtype.JSONPathOID, pgtype.BitOID, pgtype.VarbitOID, pgtype.TSVectorOID,
		pgtype.BoolArrayOID, pgtype.ByteaArrayOID, pgtype.Int8ArrayOID, pgtype.Int2ArrayOID, pgtype.Int4ArrayOID,
		pgtype.TextArrayOID,
		pgtype.JSONArrayOID, pgtype.Float4ArrayOID, pgtype.Float8ArrayOID, pgtype.BPCharArrayOID,
		pgtype.VarcharArrayOID,
		pgtype.NumericArrayOID, pgtype.UUIDArrayOID, pgtype.JSONBArrayOID,
		pgtype.Int4rangeOID, pgtype.NumrangeOID, pgtype.Int8rangeOID,
		3615, // tsquery
		3734, // regconfig
	} {
		plainConstants[strconv.Itoa(oid)] = true
	}
}

// hasMoments reports whether a tree has a constant that may have a date or time in it.
func hasMoments(tree string) bool {
	for _, match := range treeConstants.FindAllStringSubmatch(tree, -1) {
		if !plainConstants[match[1]] {
			return true
		}
	}
	return false
}

// stableFunctions are those of pg_catalog that are marked stable because they follow the session's time zone and
// formats, which a projection's transaction fixes (the function pin in the migrations), and not because they look
// at anything.
var stableFunctions = regexp.MustCompile(`^(` + strings.Join([]string{
	`(date|timestamp|timestamptz)_(cmp|eq|ge|gt|le|lt|ne)_(date|timestamp|timestamptz)`,
	`timestamptz_(pl|mi)_interval|interval_pl_timestamptz|overlaps|in_range|generate_series`,
	`date|time|timestamp|timestamptz|make_timestamptz|date_part|date_trunc|extract`,
	`to_char|to_date|to_number|to_timestamp|format|concat|concat_ws|textanycat|anytextcat|quote_literal|quote_nullable`,
	`length|convert|convert_from|convert_to`,
	`array_to_string|array_to_json|to_json|to_jsonb|row_to_json`,
	`jsonb?_build_(array|object)|jsonb?_agg|jsonb?_object_agg`,
	`jsonb_path_(exists|match|query|query_array|query_first)_tz`,
}, "|") + `)$`)

// checkParseTree refuses a parse tree that names more than a projection may use: its declared tables; functions
// and types that came with PostgreSQL; of the functions, those that are immutable, or stable and known to depend
// on nothing but their arguments. Everything volatile is refused: clocks, random numbers, sequences, files,
// settings, other sessions; and so is every function that somebody made, since its inside is not visible here.
func (s *sandbox) checkParseTree(ctx context.Context, tree string, fault faultFunc) error {
	if err := s.checkRelations(ctx, tree, fault); err != nil {
		return err
	}
	if treeClocks.MatchString(tree) {
		return fault("uses the clock, a sample, a cursor or the session (such as current_timestamp), which gives " +
			"other results in a rebuild")
	}
	if treeSystem.MatchString(tree) {
		return fault("uses a system column (such as ctid or xmin), which gives other results in a rebuild")
	}
	if err := s.checkFunctions(ctx, tree, fault); err != nil {
		return err
	}
	return s.checkTypes(ctx, tree, fault)
}

func (s *sandbox) checkRelations(ctx context.Context, tree string, fault faultFunc) error {
	tables, err := s.tables(ctx)
	if err != nil {
		return err
	}
	var foreign string
	err = s.tx.QueryRow(ctx, `SELECT coalesce(string_agg(DISTINCT c.oid::regclass::text, ', '), '') FROM pg_class c
		WHERE c.oid = ANY ($1::oid[]) AND c.oid <> ALL ($2::oid[])`, oidsIn(tree, treeRelations), tables).Scan(&foreign)
	if err != nil {
		return err
	}
	if foreign != "" {
		if s.owned {
			return fault("has a partition_param and uses %s, which is no owned table of the projection", foreign)
		}
		return fault("uses %s, which is not a table of the projection", foreign)
	}
	return nil
}

func (s *sandbox) checkFunctions(ctx context.Context, tree string, fault faultFunc) error {
	// What came with the server has an oid below 16384; an extension may put its own into pg_catalog.
	rows, err := s.tx.Query(ctx, `SELECT p.oid::regprocedure::text, p.proname, p.provolatile::text,
			p.pronamespace = 'pg_catalog'::regnamespace AND p.oid < 16384
		FROM pg_proc p WHERE p.oid = ANY ($1::oid[]) ORDER BY 1`, oidsIn(tree, treeFunctions))
	if err != nil {
		return err
	}
	var signature, name, volatility string
	var builtIn bool
	_, err = pgx.ForEachRow(rows, []any{&signature, &name, &volatility, &builtIn}, func() error {
		switch {
		case !builtIn:
			return fault("calls %s, which is not a function of PostgreSQL itself", signature)
		case volatility == "v", volatility == "s" && !stableFunctions.MatchString(name):
			return fault("calls %s, whose result depends on more than its arguments or which reaches outside the "+
				"projection", signature)
		}
		return nil
	})
	return err
}

func (s *sandbox) checkTypes(ctx context.Context, tree string, fault faultFunc) error {
	tables, err := s.tables(ctx)
	if err != nil {
		return err
	}
	rows, err := s.tx.Query(ctx, `SELECT format_type(t.oid, NULL), base.typname,
			t.typnamespace = 'pg_catalog'::regnamespace AND t.oid < 16384 OR base.typrelid <> 0
			AND base.typrelid = ANY ($2::oid[]),
			t.oid = ANY ($3::oid[]) AND base.typname <> 'interval'
				AND (SELECT p.provolatile FROM pg_proc p WHERE p.oid = base.typinput) <> 'i'
		FROM pg_type t JOIN pg_type base ON base.oid = CASE WHEN t.typcategory = 'A' THEN t.typelem ELSE t.oid END
		WHERE t.oid = ANY ($1::oid[]) ORDER BY 1`,
		oidsIn(tree, treeTypes, treeTypeLists), tables, oidsIn(tree, treeTextCasts))
	if err != nil {
		return err
	}
	var name, base string
	var known, unsafeCast bool
	_, err = pgx.ForEachRow(rows, []any{&name, &base, &known, &unsafeCast}, func() error {
		switch {
		case !known:
			return fault("uses the type %s, which is not a type of PostgreSQL itself", name)
		// regconfig names a text search configuration, which is part of the server or refused as a dependency.
		case strings.HasPrefix(base, "reg") && base != "regconfig":
			return fault("uses the type %s, which looks at the database's catalogue", name)
		case unsafeCast:
			return fault("casts text to %s, where words such as 'now' have other results in a rebuild: "+
				"declare a parameter of the type, or use to_timestamp or to_date with a format", name)
		}
		return nil
	})
	return err
}

// oidsIn returns the oids that the patterns find in a tree.
func oidsIn(tree string, patterns ...*regexp.Regexp) []string {
	found := map[string]bool{}
	for _, pattern := range patterns {
		for _, match := range pattern.FindAllStringSubmatch(tree, -1) {
			for _, text := range strings.Fields(match[1]) {
				// Small numbers are codes in fields whose name ends in "type" as well: the first type has the oid 16.
				if n, err := strconv.ParseUint(text, 10, 32); err == nil && n >= 16 {
					found[text] = true
				}
			}
		}
	}
	oids := make([]string, 0, len(found))
	for oid := range found {
		oids = append(oids, oid)
	}
	return oids
}
