package main

import (
	"context"
	"database/sql"
	"strings"

	"github.com/pupwasm/pupwasm/internal/cases"
	"github.com/pupwasm/pupwasm/migrations"
	"github.com/pupwasm/pupwasm/store"
)

// dialect is what the commands need to know of a kind of database. One more kind is one more entry in dialects,
// besides the package of its store.
type dialect struct {
	name       migrations.Dialect // also in --dialect
	title      string             // for people
	statements store.Dialect      // in statements of modules
	schemes    []string           // of URLs
	form       string             // of a URL, in help

	// parse reads what follows the scheme. Its errors never show the URL, and databaseForms follows them.
	parse func(scheme, rest string) (target, error)
	// mustExist refuses a database that does not exist and that opening it would create. It is nil for servers.
	mustExist func(at target) error
	open      func(at target, globals *globalOptions) (store.Store, error)
	openSQL   func(at target) (*sql.DB, error) // for migrations; the caller closes it
	// checkWritable refuses a database that takes no writes. It is nil where opening it tells.
	checkWritable func(ctx context.Context, db *sql.DB) error
	// transient reports whether an error of openSQL's handle may pass by itself. It is nil where none does.
	transient func(err error) bool
	// server connects to the server for databases that cases and development make and remove. It is nil for files.
	server func(ctx context.Context, url string) (cases.Server, error)
	// tableName is the name by which a projection's table is read, for people and in SQL: no part of it needs
	// quotes, except keywords of SQL. The target may be the zero value, where the database is not known.
	tableName func(at target, schema, projection, table string) string
	// grant returns the SQL of 'pupwasm grant'. It is nil for a database without roles.
	grant func(at target, schema, projection, host string) (string, error)
	// excessRights names a role that is a superuser, or nothing. It is nil for a database without roles.
	excessRights func(ctx context.Context, of store.Store) (role string)
}

// dialects are the databases that there are.
var dialects = []*dialect{&postgresDialect, &mysqlDialect, &sqliteDialect}

// dialectOf returns the dialect that a URL's scheme names, or nil.
func dialectOf(scheme string) *dialect {
	for _, d := range dialects {
		for _, known := range d.schemes {
			if strings.EqualFold(scheme, known) {
				return d
			}
		}
	}
	return nil
}

// schemes are the beginnings of the URLs of databases.
func schemes() []string {
	begin := make([]string, len(dialects))
	for i, d := range dialects {
		begin[i] = d.schemes[0] + ":"
		if strings.Contains(d.form, "://") {
			begin[i] += "//"
		}
	}
	return begin
}

// dialectNames are those of --dialect.
func dialectNames() []string {
	names := make([]string, len(dialects))
	for i, d := range dialects {
		names[i] = string(d.name)
	}
	return names
}

// databaseForms says how the URLs of databases look.
func databaseForms() string {
	forms := make([]string, len(dialects))
	for i, d := range dialects {
		forms[i] = d.form
	}
	return "use " + alternatives(forms)
}

// alternatives lists words as a sentence has them.
func alternatives(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
