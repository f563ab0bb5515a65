package mysql_test

import (
	"errors"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
)

// TestClaim_waitsForNoSegment has one that another session holds.
func TestClaim_waitsForNoSegment(t *testing.T) {
	t.Parallel()
	at, s := bareOn(t, 3)
	begun(t, at, "SELECT 1 FROM pupwasm__segments WHERE projection = 'sums' AND version = 1 AND segment = 1 FOR UPDATE")
	claims := claimedBy(t, s, "w", 3)
	if len(claims) != 2 || claims[0].Segment != 0 || claims[1].Segment != 2 {
		t.Errorf("claims are %+v", claims)
	}
}

// TestClaim_ofAClientThatIsKilled ends the connection of a claim in the middle.
func TestClaim_ofAClientThatIsKilled(t *testing.T) {
	t.Parallel()
	at, s := bareOn(t, 2)
	must(t, s.Heartbeat(t.Context(), store.Worker{Name: "w"}, time.Hour))
	begun(t, at, "SELECT 1 FROM pupwasm__projections WHERE name = 'sums' AND version = 1 FOR UPDATE")
	claimed := make(chan error, 1)
	go func() {
		_, err := s.Claim(t.Context(), store.ClaimRequest{Projection: bare().ID(), Worker: "w", Limit: 1})
		claimed <- err
	}()
	awaitBlocked(t, at, 1)
	_, err := at.Connect(t).Exec("KILL " + blockedConnection(t, at, "SELECT COUNT(*) INTO @running"))
	must(t, err)
	if err := <-claimed; !errors.Is(err, store.ErrTransient) {
		t.Errorf("a claim whose connection was ended: %v", err)
	}
}

// TestClaim_thatIsGivenUpHoldsNothing has a claim lock segments, and its client end before it has them.
func TestClaim_thatIsGivenUpHoldsNothing(t *testing.T) {
	t.Parallel()
	at, s := bareOn(t, 2)
	claim := begun(t, at, "SELECT 1 FROM pupwasm__projections WHERE name = 'sums' AND version = 1 LOCK IN SHARE MODE",
		"SELECT 1 FROM pupwasm__segments FOR UPDATE SKIP LOCKED", "UPDATE pupwasm__segments SET owner = 'dead', epoch = 7")
	if claims := claimedBy(t, s, "w", 2); len(claims) > 0 {
		t.Errorf("segments that are being claimed are given to another: %+v", claims)
	}
	var id string
	must(t, claim.QueryRow("SELECT CONNECTION_ID()").Scan(&id))
	_, err := at.Connect(t).Exec("KILL " + id)
	must(t, err)
	_, err = s.SetPaused(t.Context(), "sums", false) // waits for the end of the connection, by the projection's row
	must(t, err)
	if claims := claimedBy(t, s, "w", 2); len(claims) != 2 || claims[0].Epoch != 1 {
		t.Errorf("claims are %+v", claims)
	}
}

// TestLeave_locksInOrder has a change of the layout, which locks segments in order, meet one who leaves.
func TestLeave_locksInOrder(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Leave", "Join"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at, s := bareOn(t, 2)
			claimedBy(t, s, "w", 2)
			tx := begun(t, at, "SELECT 1 FROM pupwasm__segments WHERE projection = 'sums' AND version = 1 "+
				"AND segment = 0 FOR UPDATE")
			ended := make(chan error, 1)
			go func() {
				if name == "Join" {
					ended <- s.Join(t.Context(), store.Worker{Name: "w"}, time.Hour)
				} else {
					ended <- s.Leave(t.Context(), store.Worker{Name: "w"})
				}
			}()
			awaitBlocked(t, at, 1)
			_, err := tx.Exec("SELECT 1 FROM pupwasm__segments WHERE projection = 'sums' AND version = 1 " +
				"AND segment = 1 FOR UPDATE NOWAIT")
			must(t, err)
			// Others do not wait for it.
			must(t, s.Heartbeat(t.Context(), store.Worker{Name: "other"}, time.Hour))
			must(t, tx.Rollback())
			must(t, <-ended)
			if n := queryText(t, at.Connect(t), "SELECT COUNT(owner) FROM pupwasm__segments")[0][0]; n != "0" {
				t.Errorf("%s segments have an owner", n)
			}
		})
	}
}

// TestHeartbeat_ofManyWorkers has them renew their leases at the same time, while some are found to be gone.
func TestHeartbeat_ofManyWorkers(t *testing.T) {
	t.Parallel()
	const workers, rounds = 6, 30
	at, s := bareOn(t, 1)
	execute(t, at.Connect(t), "INSERT INTO pupwasm__workers (worker, expires_at, ttl) SELECT CONCAT('dead', seq), 1, 1 "+
		"FROM seq_1_to_200")
	failures := make(chan error, workers)
	for i := range workers {
		host := open(t, at.URL, mysql.Options{})
		go func() {
			var err error
			for range rounds {
				name := string(rune('a' + i))
				err = errors.Join(err, host.Heartbeat(t.Context(), store.Worker{Name: name}, time.Hour))
			}
			failures <- err
		}()
	}
	for range workers {
		must(t, <-failures)
	}
	alive, err := s.Workers(t.Context())
	must(t, err)
	if n := queryText(t, at.Connect(t), "SELECT COUNT(*) FROM pupwasm__workers")[0][0]; n != "6" || len(alive) != workers {
		t.Errorf("%s workers are known, %d are alive", n, len(alive))
	}
}

// TestHeartbeat_doesNotQueueBehindOthers has all connections but those for leases wait for a lock.
func TestHeartbeat_doesNotQueueBehindOthers(t *testing.T) {
	t.Parallel()
	at, _ := bareOn(t, 1)
	s := open(t, at.URL, mysql.Options{ConnectionsMax: 2})
	tx := begun(t, at, "SELECT 1 FROM pupwasm__segments FOR UPDATE")
	changed := make(chan error, 2)
	for range 2 {
		go func() {
			changed <- s.Reshard(t.Context(), bare().ID(), func(l *store.Layout) error { return nil })
		}()
	}
	awaitBlocked(t, at, 2)
	claimedBy(t, s, "w", 1)
	must(t, tx.Rollback())
	must(t, errors.Join(<-changed, <-changed))
}
