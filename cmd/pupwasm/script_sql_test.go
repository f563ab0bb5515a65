package main_test

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/pupwasm/pupwasm/store/mysql"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// scriptSQL runs a statement in the database of a script, as somebody does by hand. {NAME.TABLE} is a table in a schema
// or a database, or with it in front of its name.
func scriptSQL(ts *testscript.TestScript, _ bool, args []string) {
	database, sql := ts.Getenv("PUPWASM_DATABASE_URL"), strings.Join(args, " ")
	if path, is := strings.CutPrefix(database, "sqlite:"); is {
		db, err := sqlite.OpenSQL(ts.MkAbs(path))
		ts.Check(err)
		defer db.Close()
		_, err = db.Exec(strings.NewReplacer("{", "", "}", "", ".", "__").Replace(sql))
		ts.Check(err)
		return
	}
	if config, err := mysql.ParseURL(database); err == nil {
		db, err := mysql.OpenSQL(database)
		ts.Check(err)
		defer db.Close()
		_, err = db.Exec(strings.NewReplacer("{pupwasm.", "pupwasm__", "{", config.DBName+"__", "}", "").Replace(sql))
		ts.Check(err)
		return
	}
	conn, err := pgx.Connect(context.Background(), database)
	ts.Check(err)
	defer conn.Close(context.Background())
	_, err = conn.Exec(context.Background(), strings.NewReplacer("{", "", "}", "").Replace(sql))
	ts.Check(err)
}
