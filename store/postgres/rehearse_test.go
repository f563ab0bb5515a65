package postgres_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// TestRehearse_readiesAllConnectionsBeforeTheFirstCommit asks the server what its sessions did last: they rolled back.
func TestRehearse_readiesAllConnectionsBeforeTheFirstCommit(t *testing.T) {
	t.Parallel()
	const connections = 3
	db := pgtest.New(t)
	s, err := postgres.OpenBackend(db.DSN, postgres.Options{Schema: db.Schema, ConnectionsMax: connections})
	must(t, err)
	t.Cleanup(s.Close)
	const sessions = "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'pupwasm'"
	conn := db.Connect(t)
	testwait.Until(t, "the connections are there", func() bool {
		return query(t, conn,
			"SELECT count(*) "+sessions+" AND state = 'idle'")[0][0] == strconv.Itoa(connections+postgres.ConnectionsBeside)
	})
	p := sums()
	catalogue, err := s.Install(t.Context(), p, 1)
	must(t, err)
	rehearsed := query(t, conn, "SELECT count(*) "+sessions+" AND state = 'idle' AND query LIKE 'ROLLBACK%'")[0][0]
	if rehearsed != strconv.Itoa(connections) {
		t.Errorf("%s connections have tried the writes, want %d: %v", rehearsed, connections,
			query(t, conn, "SELECT query "+sessions))
	}
	wantRows(t, db, "SELECT count(*) FROM sums.total", "0")
	must(t, s.Heartbeat(t.Context(), store.Worker{Name: "w"}, time.Hour))
	claims, err := s.Claim(t.Context(), store.ClaimRequest{Projection: sums().ID(), Worker: "w", Limit: 1})
	must(t, err)
	handOut(t, db)
	r := &rig{TB: t, db: db, store: s, catalogue: catalogue, folder: store.NewFolder(p), claim: claims[0]}
	must(t, r.commit(t.Context(), add("a", 1)))
	r.want("a 1")
	r.wantClean()
}
