package mysql

import (
	"errors"
	"fmt"

	"github.com/pupwasm/pupwasm/store"
)

func viewItem(v *store.View) string { return fmt.Sprintf("view %q", v.Name) }

// viewQuery returns the query of a view, as that of a module.
func viewQuery(p placed, v *store.View) (string, error) {
	text, err := p.textOf(viewItem(v), v.SQL)
	if err != nil {
		return "", err
	}
	read, err := p.read.statement(text, p.grammarTables(false))
	switch {
	case err != nil:
	case !read.Selects:
		err = errors.New("changes rows: a view selects")
	case read.Parameters > 0:
		err = errors.New("has parameters, which a view cannot have")
	}
	if err != nil {
		return "", &store.CatalogueError{Item: viewItem(v), Reason: err.Error()}
	}
	return read.SQL, nil
}

// checkViews checks the declared views, and changes nothing.
func (i *installer) checkViews() error {
	for n := range i.projection.Views {
		v := &i.projection.Views[n]
		query, err := viewQuery(i.projection, v)
		if err == nil {
			err = i.conn.explain(i.projection, viewItem(v), nil, query)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// changedViews returns the names of the views that makeViews would make or drop.
func (i *installer) changedViews(before []store.View) (names []string, err error) {
	note := func(name string) error { names = append(names, name); return nil }
	err = i.eachView(before, note, func(v *store.View) error { return note(v.Name) })
	return names, err
}

// makeViews makes the views that changed since the last declaration, and drops those that it has no longer.
func (i *installer) makeViews(before []store.View) error {
	return i.eachView(before, i.dropView, func(v *store.View) error {
		query, err := viewQuery(i.projection, v)
		if err != nil {
			return err
		}
		return i.makeView(v, query)
	})
}

func (i *installer) eachView(before []store.View, drop func(name string) error, makeOne func(*store.View) error) error {
	return i.projection.InstallViews(before, store.ViewInstall{
		Dialect: store.DialectMySQL,
		Find: func(name string) (found string, isView bool, err error) {
			kind, err := i.conn.kind(i.projection.tables, name)
			if err != nil || kind == "" {
				return "", false, err
			}
			return fmt.Sprintf("a %s %s in database %s", kind, name, i.projection.tables), kind == kindView, nil
		},
		Drop: drop,
		Make: func(index int) error { return makeOne(&i.projection.Views[index]) },
	})
}

// makeView makes a view, or replaces it, which keeps what was granted on it. It runs with the rights of the projection's
// user, as SQL of modules does, and is made when no transaction of a reader has it, as the views of readers are.
func (i *installer) makeView(v *store.View, query string) error {
	return i.conn.asOwner(i.projection, func() error {
		err := i.readers().briefly(immediate(fmt.Sprintf("CREATE OR REPLACE DEFINER = %s SQL SECURITY DEFINER VIEW %s AS %s",
			quote(i.projection.owner()), i.projection.table(v.Name), query)))
		return i.projection.defined(viewItem(v), err)
	})
}

// dropView drops a view of the projection, if it is there.
func (i *installer) dropView(name string) error {
	kind, err := i.conn.kind(i.projection.tables, name)
	if err != nil || kind != kindView {
		return err
	}
	if err := i.readers().briefly("DROP VIEW IF EXISTS " + i.projection.table(name)); err != nil {
		return fmt.Errorf("dropping view %s: %w", name, err)
	}
	return nil
}
