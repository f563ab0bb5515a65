package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/pupwasm/pupwasm/store"
)

// Isolation decides with whose rights the rows of projections are written.
type Isolation string

// The kinds of isolation. A projection with a role of its own owns its schema and nothing else: what its SQL could do
// through a hole in the checks ends there. IsolationAuto gives a projection its role where the host may, and otherwise
// goes on without one. IsolationRole refuses a projection that cannot have one.
const (
	IsolationAuto Isolation = "auto"
	IsolationRole Isolation = "role"
	IsolationNone Isolation = "none"
)

// RoleName is the role that owns the schemas of a projection. Like a schema of tables beside another store's
// schema, it fits into the 63 bytes of a name.
func RoleName(schema, projection string) string { return schema + "__" + projection }

// Role returns the role that the store's connections have, and whether it is a superuser.
func (s backend) Role(ctx context.Context) (name string, superuser bool, err error) {
	const self = "SELECT rolname::text, rolsuper FROM pg_roles WHERE rolname = current_user"
	err = s.control.QueryRow(ctx, self).Scan(&name, &superuser)
	return name, superuser, translate(err)
}

// madeHere is the comment of a schema that a host has made: no other is dropped.
const madeHere = "pupwasm: tables of a projection"

// isolate finds or makes the role and the schemas of the projection. Without them the installer goes on with the
// host's own rights.
func (i *installer) isolate(ctx context.Context) error {
	if i.isolation == IsolationNone || i.projection.Bare() {
		return nil
	}
	role := RoleName(i.home, i.projection.Name)
	missing, err := i.haveRole(ctx, role)
	if err == nil && missing == "" {
		missing, err = i.haveSchemas(ctx, role)
	}
	switch {
	case err != nil:
		return err
	case missing == "":
		i.owner = role
	case i.isolation == IsolationRole:
		return &store.CatalogueError{Item: fmt.Sprintf("projection %q", i.projection.Name), Reason: fmt.Sprintf(
			"cannot have a role of its own: %s: have the SQL of GrantSQL(%q) run", missing,
			i.projection.Name)}
	}
	return nil
}

// haveRole makes the role if it does not exist, and returns what is in the way, or "".
func (i *installer) haveRole(ctx context.Context, role string) (missing string, err error) {
	var exists, usable, powerful, mayCreate bool
	look := func() error {
		err := i.tx.QueryRow(ctx, `SELECT r.oid IS NOT NULL, coalesce(pg_has_role(r.oid, 'USAGE')
			AND pg_has_role(r.oid, 'MEMBER'), false),
				coalesce(r.rolsuper OR r.rolcreaterole OR r.rolcreatedb OR r.rolcanlogin OR r.rolreplication
				OR r.rolbypassrls
					OR EXISTS (SELECT FROM pg_auth_members m WHERE m.member = r.oid), false),
				h.rolsuper OR h.rolcreaterole
			FROM pg_roles h LEFT JOIN pg_roles r ON r.rolname = $1 WHERE h.rolname = current_user`, role).Scan(&exists,
			&usable, &powerful, &mayCreate)
		if err != nil {
			return fmt.Errorf("looking for role %s: %w", role, err)
		}
		return nil
	}
	if err := look(); err != nil {
		return "", err
	}
	// Another host, of another database of this server, may do the same at this moment: the loser joins the
	// role of the other.
	for tries := 0; tries < 2 && mayCreate && !powerful && (!exists || !usable); tries++ {
		err := i.attempt(ctx, func() error {
			if !exists {
				if _, err := i.tx.Exec(ctx, "CREATE ROLE "+quote(role)+" NOLOGIN"); err != nil {
					return err
				}
			}
			_, err := i.tx.Exec(ctx, "GRANT "+quote(role)+" TO CURRENT_USER")
			return err
		})
		if err = refusalOnly(err); err != nil {
			return "", err
		}
		if err := look(); err != nil {
			return "", err
		}
	}
	switch {
	case !exists:
		return fmt.Sprintf("there is no role %s, and this one may not create it", role), nil
	case powerful:
		return fmt.Sprintf("role %s has rights of its own, or is a member of other roles", role), nil
	case !usable:
		return fmt.Sprintf("this role is not a member of %s", role), nil
	}
	return "", nil
}

// errMissing undoes the schemas that were made before one that could not be made.
var errMissing = errors.New("a schema is missing")

// haveSchemas makes the schemas of the version and of its readers if they do not exist, or gives them and their
// contents to the role, and returns what is in the way, or "".
func (i *installer) haveSchemas(ctx context.Context, role string) (missing string, err error) {
	err = i.attempt(ctx, func() error {
		for _, schema := range []string{i.projection.schema, i.projection.readers} {
			if missing, err = i.haveSchema(ctx, schema, role); err != nil {
				return err
			}
			if missing != "" {
				return errMissing
			}
		}
		return nil
	})
	if errors.Is(err, errMissing) {
		err = nil
	}
	return missing, err
}

func (i *installer) haveSchema(ctx context.Context, schema, role string) (missing string, err error) {
	var exists, owned, mine, mayCreate, mayAsk bool
	err = i.tx.QueryRow(ctx, `SELECT n.oid IS NOT NULL, coalesce(pg_get_userbyid(n.nspowner) = $2, false),
		coalesce(pg_has_role(n.nspowner, 'USAGE'), false),
			has_database_privilege(current_database(), 'CREATE'),
			coalesce(has_function_privilege(to_regprocedure($3), 'EXECUTE'), false)
		FROM (VALUES (1)) AS one LEFT JOIN pg_namespace n ON n.nspname = $1`, schema, role, quote(i.home)+
		".make_schema(text,text)").
		Scan(&exists, &owned, &mine, &mayCreate, &mayAsk)
	if err != nil {
		return "", fmt.Errorf("looking for schema %s: %w", schema, err)
	}
	switch {
	case owned:
		return "", nil
	case !exists && mayCreate:
		err = i.attempt(ctx, func() error { return i.makeSchema(ctx, schema, " AUTHORIZATION "+quote(role)) })
	case !exists && mayAsk:
		err = i.attempt(ctx, func() error {
			_, err := i.tx.Exec(ctx, "SELECT "+quote(i.home)+".make_schema($1, $2)", i.projection.Name,
				strings.TrimPrefix(schema, i.projection.readers))
			return err
		})
	case exists && mine && mayCreate:
		err = i.attempt(ctx, func() error { return i.handOver(ctx, schema, role) })
	case exists:
		return fmt.Sprintf("schema %s belongs to another role", schema), nil
	default:
		return fmt.Sprintf("there is no schema %s, and this role may not create it", schema), nil
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) && !mayPass(pg.Code) {
		return describe(pg), nil
	}
	return "", err
}

// makeSchema makes a schema of the projection.
func (i *installer) makeSchema(ctx context.Context, schema, authorization string) error {
	_, err := i.tx.Exec(ctx, "CREATE SCHEMA "+quote(schema)+authorization)
	if err == nil {
		_, err = i.tx.Exec(ctx, "COMMENT ON SCHEMA "+quote(schema)+" IS '"+madeHere+"'")
	}
	return err
}

// handOver gives an existing schema to the role, with the projection's tables and views in it.
func (i *installer) handOver(ctx context.Context, schema, role string) error {
	if _, err := i.tx.Exec(ctx, "ALTER SCHEMA "+quote(schema)+" OWNER TO "+quote(role)); err != nil {
		return err
	}
	rows, err := i.tx.Query(ctx, `SELECT relname::text FROM pg_class WHERE relnamespace = to_regnamespace($1)
		AND relname = ANY ($2) AND relkind IN ('r', 'p', 'v')`,
		quote(schema), i.projection.Shown())
	if err != nil {
		return err
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, name := range found {
		if _, err := i.tx.Exec(ctx, "ALTER TABLE "+quote(schema, name)+" OWNER TO "+quote(role)); err != nil {
			return err
		}
	}
	return nil
}

// asOwner runs fn with the rights of the projection's role. fn sends single statements that compute nothing: while
// SET ROLE sets the role, an expression could set another one. Rows are written by functions of the role (see
// confine), within which PostgreSQL refuses to change it.
func (i *installer) asOwner(ctx context.Context, fn func() error) error {
	if i.owner == "" || i.asOwnerNow {
		return fn()
	}
	var before string
	if err := i.tx.QueryRow(ctx, "SELECT current_setting('role')").Scan(&before); err != nil {
		return fmt.Errorf("looking at the role: %w", err)
	}
	become := func(role string) error {
		_, err := i.tx.Exec(ctx, "SELECT set_config('role', $1, true)", role)
		return err
	}
	if err := become(i.owner); err != nil {
		return fmt.Errorf("becoming %s: %w", i.owner, err)
	}
	i.asOwnerNow = true
	err := fn()
	i.asOwnerNow = false
	if err != nil {
		return err // the transaction, or the part of it, is rolled back, and the role with it
	}
	return become(before)
}

// attempt runs fn, and rolls back what it did when it fails.
func (i *installer) attempt(ctx context.Context, fn func() error) error {
	if _, err := i.tx.Exec(ctx, "SAVEPOINT attempt"); err != nil {
		return err
	}
	end := "RELEASE SAVEPOINT attempt"
	outcome := fn()
	if outcome != nil {
		end = "ROLLBACK TO SAVEPOINT attempt; " + end
	}
	if _, err := i.tx.Exec(ctx, end); err != nil && outcome == nil {
		return err
	}
	return outcome
}

// refusalOnly leaves out an error by which the server refuses something.
func refusalOnly(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return nil
	}
	return err
}

// confine puts the statements that write rows, and the queries of the module, into functions that the projection's
// role owns and that run with its rights (SECURITY DEFINER): within one, PostgreSQL refuses to change the role.
// The host calls the functions. They are named after their text, so that hosts with other modules of the same
// version do not interfere. Loads by key are ours, and compute nothing.
func (i *installer) confine(ctx context.Context) error {
	if i.owner == "" {
		return nil
	}
	c := i.catalogue
	for n := range c.writes {
		if err := i.confineStatement(ctx, &c.writes[n], "void", "SELECT "); err != nil {
			return err
		}
	}
	for n := range c.queries {
		q := &c.queries[n]
		if !q.module {
			continue
		}
		results, err := i.resultTypes(ctx, q)
		if err != nil {
			return refusedFor(q.name, err)
		}
		if err := i.confineStatement(ctx, q, "TABLE ("+results+")", "SELECT * FROM "); err != nil {
			return err
		}
	}
	return nil
}

func (i *installer) confineStatement(ctx context.Context, s *statement, returns, call string) error {
	types, arguments := make([]string, len(s.params)), make([]string, len(s.params))
	for n, t := range s.params {
		t.Array = t.Array || s.set
		types[n], arguments[n] = sqlType(t), fmt.Sprintf("$%d::%s", n+1, sqlType(t))
	}
	// A statement of ours has one plan, which plpgsql keeps. That of a module must be a query, as SQL functions
	// have them.
	language, body := "plpgsql", "#variable_conflict use_column\nBEGIN "+s.sql+"; END"
	if s.module {
		language, body = "sql", s.sql
	}
	sum := sha256.Sum256([]byte(strings.Join(append(types, language, body, returns), "\x00")))
	name := functionPrefix + hex.EncodeToString(sum[:12])
	function := i.projection.table(name)
	var exists bool
	err := i.tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_proc WHERE pronamespace = to_regnamespace($1) AND "+
		"proname = $2)",
		quote(i.projection.schema), name).Scan(&exists)
	if err != nil {
		return fmt.Errorf("looking for function %s: %w", name, err)
	}
	if !exists {
		err = i.asOwner(ctx, func() error {
			if err := i.mustBeQuery(ctx, s, types); err != nil {
				return err
			}
			create := fmt.Sprintf("CREATE FUNCTION %s(%s) RETURNS %s LANGUAGE %s SECURITY DEFINER AS %s",
				function, strings.Join(types, ", "), returns, language, quoteText(body))
			if err := i.runAlone(ctx, create, nil); err != nil {
				return err
			}
			return i.runAlone(ctx, fmt.Sprintf("REVOKE ALL ON FUNCTION %s(%s) FROM PUBLIC", function,
				strings.Join(types, ", ")), nil)
		})
		if err != nil {
			return refusedFor(s.name, fmt.Errorf("creating function %s: %w", name, err))
		}
	}
	s.sql = fmt.Sprintf("%s%s(%s)", call, function, strings.Join(arguments, ", "))
	if s.cachedAs != "" {
		s.cache()
	}
	return nil
}

// mustBeQuery makes sure, by the server's grammar, that a statement of a module is nothing but a query or a change
// of rows, whatever other checks found: what a trigger does at the end of the transaction has the rights of the
// host.
func (i *installer) mustBeQuery(ctx context.Context, s *statement, types []string) error {
	if !s.module {
		return nil
	}
	return i.tentatively(ctx, func() error {
		return i.runAlone(ctx, fmt.Sprintf("CREATE FUNCTION %s(%s) RETURNS void LANGUAGE sql BEGIN ATOMIC %s\n; END",
			i.projection.table(probe), strings.Join(types, ", "), s.sql), nil)
	})
}

// functionPrefix begins the names of the functions that write rows. No table's name has two underscores.
const functionPrefix = "pupwasm__"

// resultTypes returns the columns of a query as a function returns them.
func (i *installer) resultTypes(ctx context.Context, s *statement) (string, error) {
	oids := make([]uint32, len(s.params))
	for n, t := range s.params {
		oids[n] = oidOf(t)
	}
	description, err := i.describe(ctx, s.sql, oids)
	if err != nil {
		return "", err
	}
	columns := make([]string, len(description.Fields))
	for n, field := range description.Fields {
		var name string
		if err := i.tx.QueryRow(ctx, "SELECT format_type($1, NULL)",
			pgtype.Uint32{Uint32: field.DataTypeOID, Valid: true}).Scan(&name); err != nil {
			return "", fmt.Errorf("looking for a type: %w", err)
		}
		columns[n] = fmt.Sprintf("c%d %s", n+1, name)
	}
	return strings.Join(columns, ", "), nil
}

// quoteText writes a text as a constant, whatever standard_conforming_strings says.
func quoteText(text string) string {
	return " E'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(text) + "'"
}
