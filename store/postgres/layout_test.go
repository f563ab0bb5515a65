package postgres_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// TestReshard_waitsForTheCommitUnderWay stops a commit between its fence and its end: the halves start from where
// it leads to, or from where it was when it fails.
func TestReshard_waitsForTheCommitUnderWay(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		position int64
	}{{"which succeeds", 3}, {"which fails", 1}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			r := newRig(t, db, db.DSN, postgres.Options{Lazy: true})
			must(t, r.commit(t.Context(), add("a", 1)))
			row := begin(t, db.Connect(t))
			_, err := row.Exec(t.Context(), "SELECT FROM "+sumsTotal+" FOR UPDATE")
			must(t, err)
			mutations := []store.Mutation{add("a", 1)}
			if test.position == 1 {
				mutations = append(mutations, store.Mutation{
					Write:  sumsInsert,
					Values: []store.Value{store.Text("a"), store.I64(1)},
				})
			}
			committed, changed := make(chan error, 1), make(chan error, 1)
			go func() {
				tx := r.catalogue.Begin(r.claim)
				defer tx.Rollback()
				committed <- tx.Commit(t.Context(), store.Commit{
					Through: 3, Steps: r.folder.Fold(mutations),
					Log: r.claim.Applied.Log,
				})
			}()
			awaitBlocked(t, db)
			go func() {
				changed <- r.store.Reshard(t.Context(), sums().ID(), func(l *store.Layout) error { return l.Split(0, 2) })
			}()
			conn := db.Connect(t)
			testwait.Until(t, "both wait", func() bool {
				return query(t, conn, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "+
					"AND wait_event_type = 'Lock'")[0][0] == "2"
			})
			must(t, row.Rollback(t.Context()))
			var rejection *store.RejectedError
			if err := <-committed; (err == nil) != (test.position == 3) || err != nil && !errors.As(err, &rejection) {
				t.Errorf("the commit: %v", err)
			}
			must(t, <-changed)
			wantRows(t, db, "SELECT segment, position FROM pupwasm.segments ORDER BY segment",
				fmt.Sprintf("0 %d;1 %d", test.position, test.position))
		})
	}
}
