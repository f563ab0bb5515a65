package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pupwasm/pupwasm/store"
)

// view is a declared view with its query, as written from the parse tree.
type view struct {
	statement
	of *store.View
}

func viewOf(p placed, v *store.View) (view, error) {
	item := fmt.Sprintf("view %q", v.Name)
	fault := func(reason string) error { return &store.CatalogueError{Item: item, Reason: reason} }
	text, err := p.textOf(item, v.SQL)
	if err != nil {
		return view{}, err
	}
	read, err := p.read.statement(text, p.grammarTables())
	switch {
	case err != nil:
		return view{}, fault(err.Error())
	case !read.Selects:
		return view{}, fault("changes rows: a view selects")
	case read.Locks:
		return view{}, fault("locks the rows that it reads, for which its readers would need more rights")
	}
	return view{statement: statement{name: item, declared: read.SQL, sql: read.SQL, clock: read.Clock}, of: v}, nil
}

// makeViews checks the declared views and installs those that changed since the last declaration.
func (i *installer) makeViews(ctx context.Context, before []store.View) error {
	if err := i.checkViews(ctx); err != nil {
		return err
	}
	return i.projection.InstallViews(before, store.ViewInstall{
		Dialect: store.DialectPostgres,
		Find: func(name string) (found string, isView bool, err error) {
			exists, err := i.exists(ctx, i.projection.schema, name)
			if !exists {
				return "", false, err
			}
			return fmt.Sprintf("%q in schema %s", name, i.projection.schema), true, nil
		},
		Drop: func(name string) error { return i.dropView(ctx, name) },
		Make: func(index int) error { return i.makeView(ctx, &i.catalogue.views[index]) },
	})
}

func (i *installer) checkViews(ctx context.Context) error {
	sandbox := &sandbox{installer: i}
	for n := range i.catalogue.views {
		if err := sandbox.check(ctx, &i.catalogue.views[n].statement); err != nil {
			return err
		}
	}
	return nil
}

// makeView replaces a view, which keeps what was granted on it, or drops it first where its columns differ.
func (i *installer) makeView(ctx context.Context, v *view) error {
	name := v.of.Name
	return i.replaceView(ctx, i.projection.table(name), v.sql,
		func() error { return i.dropView(ctx, name) },
		func(err error) error { return refusedFor(v.name, fmt.Errorf("creating view %s: %w", name, err)) })
}

// replaceView makes a view, or replaces the one that is there: where the columns differ, drop comes first. refused
// says what it means that the view cannot be made.
func (i *installer) replaceView(
	ctx context.Context, view, query string, drop func() error, refused func(error) error,
) error {
	replace := func() error {
		return i.asOwner(ctx, func() error {
			return i.runAlone(ctx, "CREATE OR REPLACE VIEW "+view+" AS "+query, nil)
		})
	}
	err := i.attempt(ctx, replace)
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == stateInvalidDefinition {
		if err := drop(); err != nil {
			return err
		}
		err = replace()
	}
	if err != nil {
		return refused(err)
	}
	return nil
}

// dropView drops a view of the projection, and that of its readers, if they are there.
func (i *installer) dropView(ctx context.Context, name string) error {
	if err := i.dropReader(ctx, name); err != nil {
		return err
	}
	err := i.asOwner(ctx, func() error { return i.runAlone(ctx, "DROP VIEW IF EXISTS "+i.projection.table(name), nil) })
	return builtUponView(name, err)
}

// builtUponView says what keeps a view from being dropped.
func builtUponView(name string, err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == stateDependentObjects {
		return &store.CatalogueError{
			Item: fmt.Sprintf("view %q", name),
			Reason: "has to be made again, since the declaration is another, and something was built upon it, which has " +
				"to be dropped first: " + describe(pg),
		}
	}
	return err
}
