package sqlite

import (
	"fmt"

	"github.com/pupwasm/pupwasm/store"
)

// makeViews checks the declared views and installs those that changed since the last declaration.
func (i *installer) makeViews(before []store.View) error {
	queries := make([]string, len(i.projection.Views))
	for n := range i.projection.Views {
		var err error
		if queries[n], err = i.checkView(&i.projection.Views[n]); err != nil {
			return err
		}
	}
	return i.projection.InstallViews(before, store.ViewInstall{
		Dialect: store.DialectSQLite,
		Find:    i.findView,
		Drop:    i.dropView,
		Make:    func(index int) error { return i.makeView(&i.projection.Views[index], queries[index]) },
	})
}

// findView describes what has the name of a view. See [store.ViewInstall].
func (i *installer) findView(view string) (found string, isView bool, err error) {
	name := i.projection.tableName(view)
	kind, _, err := i.conn.made(name)
	if err != nil || kind == "" {
		return "", false, err
	}
	return fmt.Sprintf("a %s %s", kind, name), kind == "view", nil
}

func (i *installer) makeView(v *store.View, query string) error {
	if err := i.dropView(v.Name); err != nil {
		return err
	}
	if err := i.conn.db.Exec(fmt.Sprintf("CREATE VIEW %s AS %s", i.projection.table(v.Name), query)); err != nil {
		return &store.CatalogueError{Item: viewItem(v), Reason: reason(err)}
	}
	return nil
}

func viewItem(v *store.View) string { return fmt.Sprintf("view %q", v.Name) }

// checkView checks the query of a view as that of a module, and returns it.
func (i *installer) checkView(v *store.View) (query string, err error) {
	text, err := declared(i.projection, viewItem(v), v.SQL)
	if err != nil {
		return "", err
	}
	statement, fault, err := i.conn.vet(i.catalogue.policy, text, "SELECT", "WITH", "VALUES")
	if err != nil {
		return "", err
	}
	if fault == "" {
		switch {
		case len(statement.places) > 0:
			fault = "has parameters, which a view cannot have"
		case !statement.ReadOnly():
			fault = "changes rows: a view selects"
		}
		statement.close()
	}
	if fault != "" {
		return "", &store.CatalogueError{Item: viewItem(v), Reason: fault}
	}
	return text, nil
}

// dropView drops a view of the projection, if it is there.
func (i *installer) dropView(name string) error {
	return i.conn.drop("view", i.projection.tableName(name))
}
