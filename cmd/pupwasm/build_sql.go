package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/pupwasm/pupwasm/internal/oneline"
	"github.com/pupwasm/pupwasm/internal/trial"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// trySQL has SQLite prepare the SQL of a projection: views, statements, generated columns and checks. It returns why SQLite
// refuses it, or "", also for a projection that has no SQL for SQLite.
func trySQL(ctx context.Context, projection *store.Projection) (refusal string, err error) {
	if !hasSQLFor(projection, store.DialectSQLite) {
		return "", nil
	}
	folder, err := os.MkdirTemp("", "pupwasm-build-sql-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(folder)
	db, err := trial.Open(ctx, filepath.Join(folder, "tried.db"), sqlite.Options{})
	if err != nil {
		return "", err
	}
	defer db.Close()
	_, err = db.Install(ctx, projection, 1)
	var refused *store.CatalogueError
	if errors.As(err, &refused) {
		return oneline.Of(refused), nil
	}
	return "", err
}

// hasSQLFor reports whether a projection has SQL, all of which has a text for a dialect.
func hasSQLFor(p *store.Projection, dialect store.Dialect) bool {
	var all []store.Statement
	for i := range p.Tables {
		for c := range p.Tables[i].Columns {
			all = append(all, p.Tables[i].Columns[c].Generated)
		}
		for _, check := range p.Tables[i].Checks {
			all = append(all, check.SQL)
		}
	}
	for _, view := range p.Views {
		all = append(all, view.SQL)
	}
	for i := range p.Writes {
		all = append(all, p.Writes[i].SQL)
	}
	for i := range p.Queries {
		all = append(all, p.Queries[i].SQL)
	}
	some := false
	for _, statement := range all {
		if statement == nil {
			continue
		}
		some = true
		if statement[dialect] == "" && statement[store.DialectAny] == "" {
			return false
		}
	}
	return some
}
