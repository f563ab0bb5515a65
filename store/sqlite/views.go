package sqlite

import (
	"fmt"
	"slices"

	"github.com/pupwasm/pupwasm/store"
)

// makeViews makes the views as they are declared now, where they were declared otherwise before or are not there, and drops those that
// are declared no longer.
func (i *installer) makeViews(before []store.View) error {
	for _, v := range before {
		if !slices.ContainsFunc(i.projection.Views, func(now store.View) bool { return now.Name == v.Name }) {
			if err := i.dropView(v.Name); err != nil {
				return err
			}
		}
	}
	for n := range i.projection.Views {
		v := &i.projection.Views[n]
		var was store.Statement
		if at := slices.IndexFunc(before, func(was store.View) bool { return was.Name == v.Name }); at >= 0 {
			was = before[at].SQL
		}
		if err := i.makeView(v, was); err != nil {
			return err
		}
	}
	return nil
}

// makeView makes a view, unless it is there and was declared so before. Without a declaration before, nothing of that name is ours.
func (i *installer) makeView(v *store.View, was store.Statement) error {
	item := fmt.Sprintf("view %q", v.Name)
	query, err := i.checkView(item, v)
	if err != nil {
		return err
	}
	name, found := i.projection.tableName(v.Name), ""
	err = i.conn.query("SELECT type FROM sqlite_master WHERE lower(name) = $1", func(row *prepared) error {
		found = row.ColumnText(0)
		return nil
	}, name)
	if err != nil {
		return fmt.Errorf("looking for view %s: %w", v.Name, err)
	}
	text, _ := v.SQL.For(store.DialectSQLite)
	switch {
	case found != "" && (was == nil || found != "view"):
		return store.NotTheProjections(i.projection.Name, fmt.Sprintf("a %s %s", found, name))
	case found != "" && was[store.DialectSQLite] == text:
		return nil
	}
	if err := i.dropView(v.Name); err != nil {
		return err
	}
	if err := i.conn.db.Exec(fmt.Sprintf("CREATE VIEW %s AS %s", i.projection.table(v.Name), query)); err != nil {
		return &store.CatalogueError{Item: item, Reason: reason(err)}
	}
	return nil
}

// checkView checks the query of a view as that of a module, and returns it.
func (i *installer) checkView(item string, v *store.View) (query string, err error) {
	text, err := declared(i.projection, item, v.SQL)
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
		return "", &store.CatalogueError{Item: item, Reason: fault}
	}
	return text, nil
}

// dropView drops a view of the projection, if it is there.
func (i *installer) dropView(name string) error {
	if err := i.conn.db.Exec("DROP VIEW IF EXISTS " + i.projection.table(name)); err != nil {
		return fmt.Errorf("dropping view %s: %w", name, err)
	}
	return nil
}
