package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/pupwasm/pupwasm/migrations"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// target is the database that --database names.
type target struct {
	dialect migrations.Dialect
	address string // the whole URL of a server, the path of a file
	shown   string // the URL without a password
}

// String names the database without its password.
func (t target) String() string { return t.shown }

const databaseForms = "use postgres://user@host/name or sqlite:PATH, in --database or PUPWASM_DATABASE_URL"

// parseTarget reads --database. Its errors are of usage and never show the URL, which may have a password.
func parseTarget(database string) (target, error) {
	scheme, rest, found := strings.Cut(database, ":")
	if !found || strings.ContainsAny(scheme, " =/@.") {
		return target{}, usagef("the database URL has no scheme: %s", databaseForms)
	}
	switch strings.ToLower(scheme) {
	case "postgres", "postgresql":
		shown, ok := withoutPassword(rest)
		if !ok {
			return target{}, usagef("the database URL cannot be read: %s; within a password @ is written %%40, / is %%2F, # "+
				"is %%23, ? is %%3F and %% is %%25",
				databaseForms)
		}
		return target{dialect: migrations.Postgres, address: database, shown: scheme + ":" + shown}, nil
	case "sqlite":
		path := strings.TrimPrefix(rest, "//")
		if path == "" || strings.HasPrefix(path, ":memory:") || strings.Contains(path, "?") {
			return target{}, usagef("sqlite needs the path of a file and no more: %s", databaseForms)
		}
		return target{dialect: migrations.SQLite, address: path, shown: "sqlite:" + path}, nil
	}
	return target{}, usagef("unknown database scheme %q: %s", scheme, databaseForms)
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

// mustExist refuses a database file that does not exist: opening it would create an empty one.
func (t target) mustExist() error {
	if t.dialect != migrations.SQLite {
		return nil
	}
	info, err := os.Stat(t.address)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%s: %w: 'pupwasm append' or 'pupwasm migrate up' makes one, --database names another", t,
			errNoDatabase)
	case err != nil:
		return fmt.Errorf("opening the database: %w", err)
	case info.IsDir():
		return usagef("%s is a folder, not a database file", t)
	}
	return nil
}

func (t target) open(globals *globalOptions) (store.Store, error) {
	// Return nil explicitly: a nil pointer in the interface would not be nil.
	if t.dialect == migrations.SQLite {
		opened, err := sqlite.Open(t.address, sqlite.Options{
			Schema: globals.schema, PayloadBytesMax: globals.payloadMax, Durable: globals.durable,
			StatementTimeout: globals.limits.statement, TransactionTimeout: globals.limits.transaction,
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t, err)
		}
		return opened, nil
	}
	opened, err := postgres.Open(t.address, postgres.Options{
		Schema: globals.schema, PayloadBytesMax: globals.payloadMax, Durable: globals.durable,
		ConnectionsMax: globals.connections,
		Lazy:           !globals.eager, Isolation: postgres.Isolation(globals.isolation),
		StatementTimeout: globals.limits.statement, TransactionTimeout: globals.limits.transaction, TempFileBytesMax: int64(
			globals.limits.tempFiles) << 20,
	})
	if err != nil {
		return nil, usagef("%s: %v", t, err)
	}
	return opened, nil
}

// tableName is the name by which a projection's table is read, for people and in SQL: no part of it needs quotes,
// except keywords of SQL.
func tableName(dialect migrations.Dialect, schema, projection, table string) string {
	readers := store.PlaceOf(schema, store.ProjectionID{Name: projection}).Readers
	if dialect == migrations.SQLite {
		return readers + "__" + table
	}
	return readers + "." + table
}

// openSQL opens the database for migrations. The caller closes it.
func (t target) openSQL() (*sql.DB, error) {
	if t.dialect == migrations.SQLite {
		db, err := sqlite.OpenSQL(t.address)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t, err)
		}
		return db, nil
	}
	// The pool's parser also knows the pool's own settings, which a connection would send to the server.
	config, err := pgxpool.ParseConfig(t.address)
	if err != nil {
		return nil, usagef("the database URL cannot be read: %s", databaseForms)
	}
	if !strings.Contains(t.address, "default_query_exec_mode") {
		// Named statements, the driver's default, collide with those of others behind a pooler in transaction mode.
		config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	postgres.Encode(config.ConnConfig)
	return stdlib.OpenDB(*config.ConnConfig, stdlib.OptionAfterConnect(postgres.CheckConnection)), nil
}

// openStore opens the database that the flags name, which must exist and be set up. It never creates a file.
// The caller closes the store.
//
// # Errors
//
// Those of usage, [errNoDatabase], [store.ErrNotMigrated] and [store.ErrTransient].
func openStore(ctx context.Context, globals *globalOptions) (store.Store, error) {
	at, err := parseTarget(globals.database)
	if err != nil {
		return nil, err
	}
	if err := at.mustExist(); err != nil {
		return nil, err
	}
	opened, err := at.open(globals)
	if err != nil {
		return nil, err
	}
	if err := opened.Ping(ctx); err != nil {
		opened.Close()
		return nil, fmt.Errorf("%s: %w", at, err)
	}
	return opened, nil
}

// migrateUp updates the database to the layout of this version, and creates the file of a SQLite database.
// Commands that write call it first. With --migrate=false it does nothing.
func migrateUp(ctx context.Context, globals *globalOptions) error {
	if !globals.migrate {
		return nil
	}
	return withMigrator(ctx, globals, true, func(migrator *migrations.Migrator, at target) error {
		applied, err := migrator.Up(ctx)
		if err != nil {
			return err
		}
		if len(applied) > 0 {
			globals.log.Info().Stringer("database", at).Str("schema", globals.schema).
				Int("migration", applied[len(applied)-1].Number).Msg("database set up")
		}
		return nil
	})
}

// withMigrator calls fn with the migrations of the database that the flags name. mayCreate allows it to create
// a file.
func withMigrator(ctx context.Context, globals *globalOptions, mayCreate bool,
	fn func(*migrations.Migrator, target) error,
) error {
	at, err := parseTarget(globals.database)
	if err != nil {
		return err
	}
	if err := at.mustExist(); err != nil {
		if !mayCreate || !errors.Is(err, errNoDatabase) {
			return err
		}
	} else if err := checkReachable(ctx, at, globals); err != nil {
		return err
	}
	db, err := at.openSQL()
	if err != nil {
		return err
	}
	defer db.Close()
	migrator, err := migrations.New(db, at.dialect, globals.schema)
	if err != nil {
		return err
	}
	if mayCreate && at.dialect == migrations.Postgres {
		err = checkWritable(ctx, db)
	}
	if err == nil {
		err = fn(migrator, at)
	}
	if err != nil {
		if at.dialect == migrations.Postgres && postgres.Transient(err) && !errors.Is(err, store.ErrTransient) {
			return fmt.Errorf("%s: %w: %w", at, store.ErrTransient, err)
		}
		return fmt.Errorf("%s: %w", at, err)
	}
	return nil
}

// checkWritable returns an error when a server takes no writes. Some reasons are temporary: a standby may be
// promoted, and a server that is read-only as a whole, for a failover or for maintenance, becomes writable
// again. A setting of the database, of the role or of the connection is permanent.
func checkWritable(ctx context.Context, db *sql.DB) error {
	var readOnly, standby, whole bool
	err := db.QueryRowContext(ctx, `SELECT pg_catalog.current_setting('transaction_read_only') = 'on',
pg_catalog.pg_is_in_recovery(),              source NOT IN ('database', 'user', 'database user', 'client', 'session')
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

// checkReachable pings the database through the store, whose errors say what is wrong.
func checkReachable(ctx context.Context, at target, globals *globalOptions) error {
	opened, err := at.open(globals)
	if err != nil {
		return err
	}
	defer opened.Close()
	if err := opened.Ping(ctx); err != nil && !errors.Is(err, store.ErrNotMigrated) {
		return fmt.Errorf("%s: %w", at, err)
	}
	return nil
}
