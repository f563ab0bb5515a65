package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/pupwasm/pupwasm/migrations"
	"github.com/pupwasm/pupwasm/store"
)

// target is the database that --database or --events names.
type target struct {
	*dialect
	flag    string // that names it
	address string // the whole URL of a server, the path of a file
	shown   string // the URL without a password
}

// String names the database without its password.
func (t target) String() string { return t.shown }

// parseTarget reads the URL that a flag has. Its errors are of usage and never show the URL, which may have a
// password.
func parseTarget(flag, url string) (target, error) {
	where := fmt.Sprintf(", in --%s or %s", flag, environmentOfURL(flag))
	scheme, rest, found := strings.Cut(url, ":")
	if !found || strings.ContainsAny(scheme, " =/@.") {
		return target{}, usagef("the database URL has no scheme: %s%s", databaseForms(), where)
	}
	of := dialectOf(scheme)
	if of == nil {
		return target{}, usagef("unknown database scheme %q: %s%s", scheme, databaseForms(), where)
	}
	at, err := of.parse(scheme, rest)
	if err != nil {
		return target{}, usagef("%v: %s%s", err, databaseForms(), where)
	}
	at.dialect, at.flag = of, flag
	return at, nil
}

// target is the database of --database.
func (o *globalOptions) target() (target, error) { return parseTarget("database", o.database) }

// exists refuses a database that does not exist: opening it would create an empty one.
func (t target) exists() error {
	if t.mustExist == nil {
		return nil
	}
	return t.mustExist(t)
}

// openStore opens the database that --database names, which must exist and be set up. It never creates a file.
// The caller closes the store.
//
// # Errors
//
// Those of usage, [errNoDatabase], [store.ErrNotMigrated] and [store.ErrTransient].
func openStore(ctx context.Context, globals *globalOptions) (store.Store, error) {
	at, err := globals.target()
	if err != nil {
		return nil, err
	}
	return openAt(ctx, at, globals)
}

func openAt(ctx context.Context, at target, globals *globalOptions) (store.Store, error) {
	opened, err := at.openUnchecked(globals)
	if err != nil {
		return nil, err
	}
	if err := opened.Ping(ctx); err != nil {
		opened.Close()
		return nil, fmt.Errorf("%s: %w", at, err)
	}
	return opened, nil
}

// openUnchecked opens a database that must exist, without a query. The first query of the caller tells what is wrong
// with it.
func (t target) openUnchecked(globals *globalOptions) (store.Store, error) {
	if err := t.exists(); err != nil {
		return nil, err
	}
	return t.open(t, globals)
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
	at, err := globals.target()
	if err != nil {
		return err
	}
	if err := at.exists(); err != nil {
		if !mayCreate || !errors.Is(err, errNoDatabase) {
			return err
		}
	} else if err := checkReachable(ctx, at, globals); err != nil {
		return err
	}
	db, err := at.openSQL(at)
	if err != nil {
		return err
	}
	defer db.Close()
	migrator, err := migrations.New(db, at.name, globals.schema)
	if err != nil {
		return err
	}
	if mayCreate && at.checkWritable != nil {
		err = at.checkWritable(ctx, db)
	}
	if err == nil {
		err = fn(migrator, at)
	}
	if err != nil {
		if at.transient != nil && at.transient(err) && !errors.Is(err, store.ErrTransient) {
			return fmt.Errorf("%s: %w: %w", at, store.ErrTransient, err)
		}
		return fmt.Errorf("%s: %w", at, err)
	}
	return nil
}

// checkReachable pings the database through the store, whose errors say what is wrong.
func checkReachable(ctx context.Context, at target, globals *globalOptions) error {
	opened, err := at.open(at, globals)
	if err != nil {
		return err
	}
	defer opened.Close()
	if err := opened.Ping(ctx); err != nil && !errors.Is(err, store.ErrNotMigrated) {
		return fmt.Errorf("%s: %w", at, err)
	}
	return nil
}
