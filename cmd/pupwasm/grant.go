package main

import (
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

const grantHelp = `Print the SQL that gives a projection a role of its own on PostgreSQL or MariaDB. An administrator runs
it; this command does not.

A host that may create roles and schemas, on MariaDB roles and databases, needs no such SQL. For another one, the SQL
creates the role, which cannot log in and has rights on nothing but the projection's tables, and makes the host's role or
account a member of it.

On PostgreSQL the function make_schema of the migrations then creates the projection's schemas, that of its readers and
one for each version, with the rights of the role that ran the migrations. On MariaDB the SQL lets the host's account
create the databases of these names, and use those of the log.

  pupwasm grant fines --to host | psql shop
  pupwasm grant fines --to host@10.0.0.% --database mysql://root@localhost/shop | mariadb`

func newGrantCommand(globals *globalOptions) *cobra.Command {
	host := ""
	cmd := &cobra.Command{
		Use:               "grant PROJECTION",
		Short:             "Print the SQL that gives a projection a role of its own",
		Long:              grantHelp,
		Example:           `  pupwasm grant fines --to host --database postgres://host@localhost/shop`,
		Args:              wantArgs(cobra.ExactArgs(1)),
		ValidArgsFunction: completeProjections(globals),
		RunE:              func(_ *cobra.Command, args []string) error { return runGrant(globals, args[0], host) },
	}
	cmd.Flags().StringVar(&host, "to", "", "`role` that hosts log in with, on MariaDB the account USER or USER@HOST (default: that of --database)")
	return cmd
}

func runGrant(globals *globalOptions, projection, host string) error {
	to, err := globals.target()
	if err != nil {
		return err
	}
	if to.grant == nil {
		return usagef("%s has no roles: 'pupwasm grant' is for PostgreSQL and MariaDB", to)
	}
	if err := (&store.Projection{Name: projection, Version: 1}).Validate(); err != nil {
		return usagef("%v", err)
	}
	script, err := to.grant(to, globals.schema, projection, host)
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(globals.out, script)
	return err
}

func grantPostgres(at target, schema, projection, host string) (string, error) {
	if host == "" {
		config, err := pgx.ParseConfig(at.address)
		if err != nil {
			return "", usagef("--to names the role that hosts log in with: the database URL cannot be read")
		}
		host = config.User
	}
	return postgres.GrantSQL(schema, projection, host), nil
}
