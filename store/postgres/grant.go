package postgres

import (
	"strings"

	"github.com/jackc/pgx/v5"
)

// GrantSQL returns the SQL that gives a projection a role of its own, for hosts that may not make one. host is the role
// that hosts log in with. The SQL is to be run by a role that may create roles and grant on the database.
func GrantSQL(schema, projection, host string) string {
	name := func(parts ...string) string { return pgx.Identifier(parts).Sanitize() }
	text := func(value string) string { return "'" + strings.ReplaceAll(value, "'", "''") + "'" }
	function := name(schema, "make_schema") + "(text, text)"
	return strings.NewReplacer(
		"{role}", name(RoleName(schema, projection)), "{role text}", text(RoleName(schema, projection)),
		"{host}", name(host), "{function}", function, "{function text}", text(name(schema)+".make_schema(text,text)"),
	).Replace(`DO $$
BEGIN -- other databases of this server may have the role already
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {role text}) THEN
        CREATE ROLE {role} NOLOGIN;
    END IF;
END $$;
GRANT {role} TO {host};
GRANT EXECUTE ON FUNCTION {function} TO {host};
-- The role that the function runs as makes schemas in this database for that role.
DO $$
DECLARE migrator name := (SELECT pg_get_userbyid(proowner) FROM pg_proc WHERE oid = {function text}::regprocedure);
BEGIN
    EXECUTE format('GRANT CREATE ON DATABASE %I TO %I', current_database(), migrator);
    IF NOT pg_has_role(migrator, {role text}, 'MEMBER') THEN
        EXECUTE format('GRANT %I TO %I', {role text}, migrator);
    END IF;
END $$;
`)
}
