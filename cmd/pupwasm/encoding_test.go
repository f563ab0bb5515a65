package main_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/internal/pgtest"
)

// TestEncoding_ofAClientIsOverruled has every connection begin with another client encoding, by URL and by the
// database.
func TestEncoding_ofAClientIsOverruled(t *testing.T) {
	t.Parallel()
	db := pgtest.Empty(t)
	conn := db.Connect(t)
	if _, err := conn.Exec(t.Context(),
		"ALTER DATABASE "+conn.Config().Database+" SET client_encoding = LATIN1"); err != nil {
		t.Fatal(err)
	}
	const line = `{"bounded_context":"C","aggregate_type":"T","aggregate_id":"Zoë","event_type":"E","metadata":{"by": "Ünal"}}`
	for _, database := range []string{db.DSN, db.DSN + "&client_encoding=LATIN1"} {
		cmd := command(database, "append", "--new-ids", "-")
		cmd.Stdin = strings.NewReader(line + "\n")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	var stored int
	err := conn.QueryRow(t.Context(),
		`SELECT count(*) FROM pupwasm.events WHERE aggregate_id = 'Zoë' AND metadata = '{"by": "Ünal"}'`).Scan(&stored)
	if err != nil || stored != 2 {
		t.Errorf("%d of 2 events are as they were given, %v", stored, err)
	}
	if out := run(t, db.DSN, "events", "--json"); strings.Count(out, `"aggregate_id":"Zoë"`) != 2 {
		t.Errorf("events prints %s", out)
	}
}

func TestEncoding_ofAServerMustBeUTF8(t *testing.T) {
	t.Parallel()
	db := pgtest.Empty(t)
	conn := db.Connect(t)
	name := conn.Config().Database + "_ascii"
	if _, err := conn.Exec(t.Context(),
		"CREATE DATABASE "+name+" ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = conn.Exec(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)") })
	database := strings.Replace(db.DSN, "/"+conn.Config().Database+"?", "/"+name+"?", 1)
	for _, args := range [][]string{{"migrate", "up"}, {"append", "-"}} {
		cmd := command(database, args...)
		var errs bytes.Buffer
		cmd.Stderr = &errs
		if err := cmd.Run(); err == nil || strings.Count(errs.String(), "\n") != 1 ||
			!strings.Contains(errs.String(), "the database has the encoding SQL_ASCII, pupwasm needs UTF8") {
			t.Errorf("%v: %v: %s", args, err, errs.String())
		}
	}
}
