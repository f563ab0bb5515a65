package mysql_test

import (
	"context"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/mariadbserver"
	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
)

// TestOpen_settingsOfTheServer has a server whose own settings would change what statements do. What a store has done
// another session sees.
func TestOpen_settingsOfTheServer(t *testing.T) {
	t.Parallel()
	for _, ending := range []string{"CHAIN", "RELEASE"} {
		t.Run(ending, func(t *testing.T) {
			t.Parallel()
			server, err := mariadbserver.Start("innodb-buffer-pool-size=32M")
			must(t, err)
			t.Cleanup(server.Stop)
			at := mariadbtest.On(t, server)
			at.Migrate(t, "pupwasm")
			r := newRig(t, at, at.URL, mysql.Options{})
			execute(t, r.db, "SET GLOBAL completion_type = '"+ending+"', GLOBAL sql_safe_updates = 1, "+
				"GLOBAL tx_read_only = 1, GLOBAL sql_auto_is_null = 1, GLOBAL sql_big_selects = 0, GLOBAL max_join_size = 1, "+
				"GLOBAL check_constraint_checks = 0, GLOBAL autocommit = 0, GLOBAL lc_messages = 'de_DE', "+
				"GLOBAL default_regex_flags = 'EXTENDED'")
			t.Cleanup(func() { _, _ = r.db.ExecContext(context.WithoutCancel(t.Context()), "SET GLOBAL tx_read_only = 0") })
			r.store = open(t, at.URL, mysql.Options{})
			r.catalogue, err = r.store.Install(t.Context(), ledger(), 1)
			must(t, err)
			must(t, r.store.Heartbeat(t.Context(), store.Worker{Name: "worker"}, time.Hour))
			other := open(t, at.URL, mysql.Options{})
			worker := store.Worker{Name: "worker", Incarnation: "2"}
			must(t, other.Heartbeat(t.Context(), store.Worker{Name: "other"}, time.Hour))
			workers, err := other.Workers(t.Context())
			must(t, err)
			if len(workers) != 2 {
				t.Errorf("another session sees the workers %+v", workers)
			}
			must(t, r.commit(t.Context(), add("a", 1)))
			appendTo(t, r.store, "one", 3)
			must(t, r.commit(t.Context(), add("a", 1)))
			r.want("a 2")
			changed, err := r.store.SetPaused(t.Context(), "ledger", true)
			must(t, err)
			again, err := other.SetPaused(t.Context(), "ledger", true)
			must(t, err)
			if !changed || again {
				t.Errorf("paused: %t, and by another session %t", changed, again)
			}
			_, err = other.SetPaused(t.Context(), "ledger", false)
			must(t, err)
			must(t, r.store.Release(t.Context(), r.claim))
			claims, err := other.Claim(t.Context(), store.ClaimRequest{Projection: ledger().ID(), Worker: "other", Limit: 1})
			must(t, err)
			if len(claims) != 1 {
				t.Errorf("another session claims %+v of what was released", claims)
			}
			must(t, r.store.Join(t.Context(), worker, time.Hour))
			must(t, r.store.Leave(t.Context(), worker))
			must(t, other.Leave(t.Context(), store.Worker{Name: "other"}))
			if workers, err = r.store.Workers(t.Context()); err != nil || len(workers) != 0 {
				t.Errorf("when they have left there are %+v, %v", workers, err)
			}
		})
	}
}
