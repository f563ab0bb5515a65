package postgres_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// tallies adds to three shared tables, to each of them by two writes.
func tallies() *store.Projection {
	p := &store.Projection{Name: "tallies", Version: 1}
	for _, name := range []string{"customer", "day", "item"} {
		p.Tables = append(p.Tables, store.Table{Name: name, Key: []string{"k"}, Columns: []store.Column{
			{Name: "k", Type: typed("text")}, {Name: "n", Type: typed("i64")}, {Name: "high", Type: typed("i64")},
		}})
		p.Writes = append(p.Writes,
			store.Write{
				Name: name, Action: store.Upsert, Table: name,
				Columns: []store.WriteColumn{{Name: "n", Action: store.ActionAdd}},
			},
			store.Write{Name: name + "_high", Action: store.Upsert, Table: name, Columns: []store.WriteColumn{
				{Name: "n", Action: store.ActionAdd}, {Name: "high", Action: store.ActionMax},
			}})
	}
	return p
}

// TestCommit_segmentsThatShareRowsDoNotDeadlock has the segments of several hosts add to the same rows of several
// tables, whatever the order of their events.
func TestCommit_segmentsThatShareRowsDoNotDeadlock(t *testing.T) {
	t.Parallel()
	const hosts, segments, rounds, rows, keys = 2, 8, 40, 60, 50
	db := pgtest.New(t)
	p := tallies()
	var group sync.WaitGroup
	var stores []postgres.Backend
	for host := range hosts {
		s, err := postgres.OpenBackend(db.DSN, postgres.Options{ConnectionsMax: segments})
		must(t, err)
		stores = append(stores, s)
		catalogue, err := s.Install(t.Context(), p, hosts*segments)
		must(t, err)
		name := fmt.Sprint("host", host)
		must(t, s.Heartbeat(t.Context(), store.Worker{Name: name}, time.Hour))
		claims, err := s.Claim(t.Context(), store.ClaimRequest{Projection: p.ID(), Worker: name, Limit: segments})
		must(t, err)
		if host == 0 {
			handOut(t, db)
		}
		for _, claim := range claims {
			random := rand.New(rand.NewPCG(uint64(claim.Segment), 1))
			folder := store.NewFolder(p)
			group.Go(func() {
				for range rounds {
					var mutations []store.Mutation
					for range rows {
						m := store.Mutation{Write: random.IntN(len(p.Writes))}
						m.Values = []store.Value{store.Text(strconv.Itoa(random.IntN(keys))), store.I64(1)}
						if m.Write%2 == 1 {
							m.Values = append(m.Values, store.I64(random.Int64()))
						}
						mutations = append(mutations, m)
					}
					tx := catalogue.Begin(claim)
					if err := tx.Commit(t.Context(), store.Commit{
						Through: claim.Position + 1,
						Steps:   folder.Fold(mutations), Log: claim.Applied.Log,
					}); err != nil {
						t.Errorf("segment %d: %v", claim.Segment, err)
						return
					}
					claim.Position++
				}
			})
		}
	}
	group.Wait()
	for _, s := range stores {
		s.Close() // sessions report what they have seen when they end
	}
	wantRows(t, db, `SELECT (SELECT sum(n) FROM tallies.customer) + (SELECT sum(n)
		FROM tallies.day) + (SELECT sum(n) FROM tallies.item)`,
		strconv.Itoa(hosts*segments*rounds*rows))
	wantRows(t, db, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()", "0")
}
