package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/pupwasm/pupwasm/internal/cases"
	"github.com/pupwasm/pupwasm/migrations"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

var postgresDialect = dialect{
	name: migrations.Postgres, title: "PostgreSQL", statements: store.DialectPostgres,
	schemes: []string{"postgres", "postgresql"}, form: "postgres://user@host/name",
	parse: parsePostgres, open: openPostgres, openSQL: openPostgresSQL, server: cases.Postgres,
	checkWritable: checkWritable, transient: postgres.Transient,
	tableName: func(_ target, schema, projection, table string) string {
		return store.PlaceOf(schema, store.ProjectionID{Name: projection}).Readers + "." + table
	},
	grant: grantPostgres, excessRights: superuser,
}

func parsePostgres(scheme, rest string) (target, error) {
	shown, ok := withoutPassword(rest)
	if !ok {
		return target{}, errors.New("the database URL cannot be read; within a password @ is written %40, / is %2F, " +
			"# is %23, ? is %3F and % is %25")
	}
	return target{address: scheme + ":" + rest, shown: scheme + ":" + shown}, nil
}

var (
	serverRule   = regexp.MustCompile(`^//(?:([^/?#@]*)@)?([^/?#@]*)(/[^?#@]*)?(?:\?([^#]*))?$`)
	hostRule     = regexp.MustCompile(`^([^:\[\]]*|\[[0-9A-Fa-f:.%]+\])(:[0-9]+)?$`)
	passwordRule = regexp.MustCompile(`((?:^|&)[^=&]*password=)[^&]*`)
)

// withoutPassword takes the password out of what follows the scheme of a server's URL. It is not ok when the
// URL is ambiguous: a password with unescaped characters ends up in the host, the path or the query, and errors
// that quote those would show it. PostgreSQL's URLs may list several hosts, which package net/url refuses.
func withoutPassword(rest string) (shown string, ok bool) {
	parts := serverRule.FindStringSubmatch(rest)
	if parts == nil {
		return "", false
	}
	userinfo, hosts, path, query := parts[1], parts[2], parts[3], parts[4]
	for host := range strings.SplitSeq(hosts, ",") {
		ok = hostRule.MatchString(host)
		if !ok {
			return "", false
		}
	}
	if _, err := url.PathUnescape(userinfo); err != nil {
		return "", false
	}
	shown = "//"
	if user, _, has := strings.Cut(userinfo, ":"); has {
		shown += user + ":xxxxx@"
	} else if userinfo != "" {
		shown += user + "@"
	}
	shown += hosts + path
	if query != "" {
		if name, _, named := strings.Cut(query, "="); !named || strings.Contains(name, "@") {
			return "", false
		}
		shown += "?" + passwordRule.ReplaceAllString(query, "${1}xxxxx")
	}
	return shown, true
}

func openPostgres(at target, globals *globalOptions) (store.Store, error) {
	opened, err := postgres.Open(at.address, postgres.Options{
		Schema: globals.schema, PayloadBytesMax: globals.payloadMax, Durable: globals.durable,
		ConnectionsMax: globals.connections,
		Lazy:           !globals.eager, Isolation: postgres.Isolation(globals.isolation),
		StatementTimeout: globals.limits.statement, TransactionTimeout: globals.limits.transaction,
		TempFileBytesMax: int64(globals.limits.tempFiles) << 20,
	})
	if err != nil {
		return nil, usagef("%s: %v", at, err)
	}
	return opened.Backend(), nil
}

func openPostgresSQL(at target) (*sql.DB, error) {
	// The pool's parser also knows the pool's own settings, which a connection would send to the server.
	config, err := pgxpool.ParseConfig(at.address)
	if err != nil {
		return nil, usagef("the database URL cannot be read")
	}
	if !strings.Contains(at.address, "default_query_exec_mode") {
		// Named statements, the driver's default, collide with those of others behind a pooler in transaction mode.
		config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	postgres.Encode(config.ConnConfig)
	return stdlib.OpenDB(*config.ConnConfig, stdlib.OptionAfterConnect(postgres.CheckConnection)), nil
}

// checkWritable returns an error when a server takes no writes. Some reasons are temporary: a standby may be
// promoted, and a server that is read-only as a whole, for a failover or for maintenance, becomes writable
// again. A setting of the database, of the role or of the connection is permanent.
func checkWritable(ctx context.Context, db *sql.DB) error {
	var readOnly, standby, whole bool
	err := db.QueryRowContext(ctx, `SELECT pg_catalog.current_setting('transaction_read_only') = 'on',
		pg_catalog.pg_is_in_recovery(), source NOT IN ('database', 'user', 'database user', 'client', 'session')
		FROM pg_catalog.pg_settings WHERE name = 'default_transaction_read_only'`).Scan(&readOnly, &standby, &whole)
	switch {
	case err != nil || !readOnly:
		return err
	case standby:
		return fmt.Errorf("%w: %w: it is a standby, which takes no writes before it is promoted", store.ErrTransient,
			store.ErrReadOnly)
	case whole:
		return fmt.Errorf("%w: %w: default_transaction_read_only is on for the whole server", store.ErrTransient,
			store.ErrReadOnly)
	}
	return errors.New("the database is read-only: default_transaction_read_only is on for it, for the role or in the " +
		"URL: set it to off")
}

// superuser names the role of the host if it is a superuser.
func superuser(ctx context.Context, of store.Store) string {
	server, is := of.(interface {
		Role(ctx context.Context) (name string, superuser bool, err error)
	})
	if !is {
		return ""
	}
	if role, superuser, err := server.Role(ctx); err == nil && superuser {
		return role
	}
	return ""
}
