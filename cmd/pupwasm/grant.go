package main

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/pupwasm/pupwasm/migrations"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

const grantHelp = `Print the SQL that gives a projection a role of its own on PostgreSQL. An administrator runs it;
this command does not.

A host that may create roles and schemas needs no such SQL. For another one, the SQL creates the role, which cannot log
in and owns nothing but the projection's tables, and makes the host's role a member of it. The function make_schema of
the migrations then creates the projection's schemas, that of its readers and one for each version, with the rights of
the role that ran the migrations.

  pupwasm grant fines --to host | psql shop`

func newGrantCommand(globals *globalOptions) *cobra.Command {
	host := ""
	cmd := &cobra.Command{
		Use:     "grant PROJECTION",
		Short:   "Print the SQL that gives a projection a role of its own",
		Long:    grantHelp,
		Example: `  pupwasm grant fines --to host --database postgres://host@localhost/shop`,
		Args:    wantArgs(cobra.ExactArgs(1)),
		RunE:    func(_ *cobra.Command, args []string) error { return runGrant(globals, args[0], host) },
	}
	cmd.Flags().StringVar(&host, "to", "", "`role` that hosts log in with (default: that of --database)")
	return cmd
}

func runGrant(globals *globalOptions, projection, host string) error {
	to, err := parseTarget(globals.database)
	if err != nil {
		return err
	}
	if to.dialect != migrations.Postgres {
		return usagef("%s has no roles: 'pupwasm grant' is for PostgreSQL", to)
	}
	if err := (&store.Projection{Name: projection, Version: 1}).Validate(); err != nil {
		return usagef("%v", err)
	}
	if host == "" {
		config, err := pgx.ParseConfig(to.address)
		if err != nil {
			return usagef("--to names the role that hosts log in with: the database URL cannot be read")
		}
		host = config.User
	}
	_, err = fmt.Fprint(globals.out, grantSQL(globals.schema, projection, host))
	return err
}

// grantSQL is to be run by a role that may create roles and grant on the database.
func grantSQL(schema, projection, host string) string {
	name := func(parts ...string) string { return pgx.Identifier(parts).Sanitize() }
	text := func(value string) string { return "'" + strings.ReplaceAll(value, "'", "''") + "'" }
	function := name(schema, "make_schema") + "(text, text)"
	return strings.NewReplacer(
		"{role}", name(postgres.RoleName(schema, projection)), "{role text}", text(postgres.RoleName(schema, projection)),
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
