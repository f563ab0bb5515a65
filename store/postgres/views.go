package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pupwasm/pupwasm/store"
)

// view is a declared view with its query, as it is written anew from what it was read as.
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
		return view{}, fault("locks the rows that it reads, for which whoever selects from it would have to answer")
	}
	return view{statement: statement{name: item, declared: read.SQL, sql: read.SQL, clock: read.Clock}, of: v}, nil
}

// makeViews makes the views as they are declared now, where they were declared otherwise before or are not there, and drops those that
// are declared no longer.
func (i *installer) makeViews(ctx context.Context, before []store.View) error {
	sandbox := &sandbox{installer: i}
	for n := range i.catalogue.views {
		if err := sandbox.check(ctx, &i.catalogue.views[n].statement); err != nil {
			return err
		}
	}
	for _, v := range before {
		if !slices.ContainsFunc(i.projection.Views, func(now store.View) bool { return now.Name == v.Name }) {
			if err := i.dropView(ctx, v.Name); err != nil {
				return err
			}
		}
	}
	for n := range i.catalogue.views {
		v := &i.catalogue.views[n]
		was := slices.IndexFunc(before, func(was store.View) bool { return was.Name == v.of.Name })
		exists, err := i.exists(ctx, v.of.Name)
		if err != nil {
			return err
		}
		text, _ := v.of.SQL.For(store.DialectPostgres)
		switch {
		case was < 0 && exists:
			return store.NotTheProjections(i.projection.Name, fmt.Sprintf("%q in schema %s", v.of.Name, i.projection.schema))
		case was >= 0 && exists && before[was].SQL[store.DialectPostgres] == text:
			continue
		}
		if err := i.makeView(ctx, v); err != nil {
			return err
		}
	}
	return nil
}

// makeView replaces a view, so that what was granted on it stays, or makes it anew where its columns are others.
func (i *installer) makeView(ctx context.Context, v *view) error {
	name := i.projection.table(v.of.Name)
	replace := func() error {
		return i.asOwner(ctx, func() error {
			return i.runAlone(ctx, fmt.Sprintf("CREATE OR REPLACE VIEW %s AS %s", name, v.sql), nil)
		})
	}
	var pg *pgconn.PgError
	if err := i.tentatively(ctx, replace); errors.As(err, &pg) && pg.Code == stateInvalidDefinition {
		if err := i.dropView(ctx, v.of.Name); err != nil {
			return err
		}
	}
	if err := replace(); err != nil {
		return refusedFor(v.name, fmt.Errorf("creating view %s: %w", v.of.Name, err))
	}
	return nil
}

// dropView drops a view of the projection, if it is there.
func (i *installer) dropView(ctx context.Context, name string) error {
	err := i.asOwner(ctx, func() error { return i.runAlone(ctx, "DROP VIEW IF EXISTS "+i.projection.table(name), nil) })
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == stateDependentObjects {
		return &store.CatalogueError{
			Item:   fmt.Sprintf("view %q", name),
			Reason: "has other columns now, or is no longer declared, and something was built upon it: " + describe(pg),
		}
	}
	return err
}
