package postgres_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// TestCommit_repliesAreReadWhileItIsWritten has commits whose replies fill the socket before the last statement is
// written: the server waits until somebody reads them. Declared statements are answered one by one, and triggers
// may raise notices besides.
func TestCommit_repliesAreReadWhileItIsWritten(t *testing.T) {
	t.Parallel()
	const statements = 200_000
	db := pgtest.New(t)
	for _, c := range []struct{ name, dsn string }{{"unix socket", db.Socket()}, {"tcp", db.DSN}} {
		r := newRig(t, db, c.dsn, postgres.Options{Lazy: true})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		execute(t, db.Connect(t), `CREATE OR REPLACE FUNCTION public.tell() RETURNS trigger LANGUAGE plpgsql AS $$
			BEGIN RAISE NOTICE 'this row is %', repeat('long ', 40); RETURN NEW; END $$;
			CREATE OR REPLACE TRIGGER tell AFTER UPDATE ON `+sumsTotal+` FOR EACH ROW EXECUTE FUNCTION public.tell()`)
		must(t, r.commit(ctx, add("a", 1)))

		silent := make([]store.Mutation, statements)
		for i := range silent {
			silent[i] = double("nobody")
		}
		must(t, r.commit(ctx, silent...))

		rows := make([]store.Mutation, statements/10)
		for i := range rows {
			rows[i] = add(fmt.Sprint("row", i), 1)
		}
		must(t, r.commit(ctx, rows...))
		must(t, r.commit(ctx, rows...)) // each row is changed now, and tells
		must(t, r.store.Release(ctx, r.claim))
		must(t, r.store.Reset(ctx, "sums"))
	}
}
