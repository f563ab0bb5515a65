package mysql_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/mariadbserver"
	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
)

// TestOwnership_doesNotDeadlock has hosts claim, commit, park and try keys again, put messages in, and come and go, while
// users pause the projection and change its layout, and a relay sends. Nobody is the victim of a deadlock, and what is
// parked adds up.
func TestOwnership_doesNotDeadlock(t *testing.T) {
	t.Parallel()
	const hosts, rounds, positions = 4, 150, 6000
	server, err := mariadbserver.Start()
	must(t, err)
	t.Cleanup(server.Stop)
	at := mariadbtest.On(t, server)
	at.Migrate(t, "pupwasm")
	db := at.Connect(t)
	execute(t, db, "INSERT INTO pupwasm__events (bounded_context, aggregate_type, aggregate_id, aggregate_version, "+
		"event_id, event_type, payload) SELECT 'a', 'b', 'c', seq, UNHEX(MD5(seq)), 'd', 'e' FROM seq_1_to_"+
		strconv.Itoa(positions))
	before := queryText(t, db, "SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'")[0][1]
	var group sync.WaitGroup
	for i := range hosts {
		h := newRacer(t, at, fmt.Sprint("host", i), i)
		group.Go(func() { h.run(rounds) })
	}
	users := newRacer(t, at, "users", hosts)
	group.Go(func() { users.use(rounds) })
	relay := newRacer(t, at, "relay", hosts+1)
	must(t, relay.store.BeginSending(t.Context(), bare(), relay.log(), 0))
	ended := make(chan struct{})
	sending := make(chan int, 1)
	go func() { sending <- relay.relay(ended) }()
	group.Wait()
	close(ended)
	if sent := <-sending; sent == 0 {
		t.Error("no message is sent")
	}
	if after := queryText(t, db, "SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'")[0][1]; after != before {
		t.Errorf("deadlocks went from %s to %s:\n%s", before, after, queryText(t, db, "SHOW ENGINE INNODB STATUS")[0][2])
	}
	sums := queryText(t, db, "SELECT COUNT(*), SUM(events), (SELECT COUNT(*) FROM pupwasm__parked_events), "+
		"SUM(first_position <> (SELECT MIN(e.position) FROM pupwasm__parked_events e WHERE e.`key` = p.`key`)) "+
		"FROM pupwasm__parked p")[0]
	if sums[0] == "0" || sums[1] != sums[2] || sums[3] != "0" {
		t.Errorf("%s keys count %s events, %s are noted, %s keys begin elsewhere", sums[0], sums[1], sums[2], sums[3])
	}
	checkpoints(t, db)
}

// checkpoints reports segments whose checkpoint and ranges leave something out.
func checkpoints(t *testing.T, db *sql.DB) {
	t.Helper()
	next := uint64(0)
	for _, row := range queryText(t, db, "SELECT first_hash, last_hash, position, last_position FROM pupwasm__segments "+
		"ORDER BY first_hash") {
		if row[0] != strconv.FormatUint(next, 10) || row[2] != row[3] {
			t.Errorf("a segment is %v, and the one before it ends before %d", row, next)
		}
		last, err := strconv.ParseUint(row[1], 10, 64)
		must(t, err)
		next = last + 1
	}
	if next != 1<<32 {
		t.Errorf("the segments end before %d", next)
	}
}

// racer is a host, or all users.
type racer struct {
	*testing.T
	store     mysql.Backend
	catalogue store.Catalogue
	name      string
	random    *rand.Rand
	ctx       context.Context
}

func newRacer(t *testing.T, at mariadbtest.Database, name string, seed int) *racer {
	t.Helper()
	s := open(t, at.URL, mysql.Options{})
	catalogue, err := s.Install(t.Context(), bare(), 4)
	must(t, err)
	return &racer{
		T: t, store: s, catalogue: catalogue, name: name, random: rand.New(rand.NewPCG(uint64(seed), 1)), ctx: t.Context(),
	}
}

// may reports an error that is none of those.
func (r *racer) may(err error, expected ...error) bool {
	for _, one := range expected {
		if errors.Is(err, one) {
			return false
		}
	}
	if err != nil {
		r.Errorf("%s: %v", r.name, err)
	}
	return err == nil
}

// run is a host's.
func (r *racer) run(rounds int) {
	worker := store.Worker{Name: r.name}
	for round := range rounds {
		if round%20 == 0 {
			r.may(r.store.Join(r.ctx, worker, time.Hour))
		}
		r.may(r.store.Heartbeat(r.ctx, worker, []time.Duration{time.Hour, time.Hour, time.Microsecond}[r.random.IntN(3)]))
		claims, err := r.store.Claim(r.ctx, store.ClaimRequest{Projection: bare().ID(), Worker: r.name, Limit: 2})
		r.may(err)
		for _, claim := range claims {
			for range 3 {
				r.commit(&claim)
			}
			if r.random.IntN(2) == 0 {
				r.may(r.store.Release(r.ctx, claim))
			}
		}
		key, err := r.store.ClaimAlert(r.ctx, []string{"sums"}, time.Millisecond)
		if r.may(err) && key != nil {
			r.may(r.store.SettleAlert(r.ctx, key, store.Alert{Told: r.random.IntN(2) == 0}))
		}
		if round%20 == 19 {
			r.may(r.store.Leave(r.ctx, worker))
		}
	}
}

// commit parks keys, notes events of keys, or tries a key again.
func (r *racer) commit(claim *store.Claim) {
	parked, err := r.store.Parked(r.ctx, store.ParkedRequest{Projection: bare().ID(), Range: claim.Range})
	if !r.may(err) {
		return
	}
	if len(parked) > 0 && r.random.IntN(3) == 0 {
		r.retry(*claim, &parked[r.random.IntN(len(parked))])
		return
	}
	commit := store.Commit{Through: claim.Position + 1, Log: claim.Applied.Log, ParkedMax: 1000 * r.random.IntN(2)}
	if claim.MergeAt > 0 {
		if commit.Through = claim.MergeAt; claim.Position == claim.MergeAt {
			return
		}
	}
	known := map[string]bool{}
	for i := range parked {
		if known[string(parked[i].Key)] = true; r.random.IntN(2) == 0 {
			commit.Noted = append(commit.Noted, store.ParkedEvent{Key: parked[i].Key, Position: commit.Through})
		}
	}
	key := []byte(fmt.Sprint("key ", r.random.IntN(40)))
	switch {
	case known[string(key)] || !claim.Range.Contains(store.PartitionHashOf(key)):
		commit.Skipped = []store.SkippedEvent{}
	default:
		fault := store.ParkedFault{Position: commit.Through, Error: "wrong", Attempts: 1, Code: "one"}
		commit.Parked = []store.NewParked{{Key: key, Fault: fault}}
		commit.Noted = append(commit.Noted, store.ParkedEvent{Key: key, Position: commit.Through})
	}
	commit.Messages = r.messages(commit.Through)
	tx := r.catalogue.Begin(*claim)
	defer tx.Rollback()
	if r.may(tx.Commit(r.ctx, commit), store.ErrFenced) {
		claim.Position = commit.Through
	}
}

func (r *racer) retry(claim store.Claim, key *store.ParkedKey) {
	retry := store.Retry{Key: key.Key, Log: claim.Applied.Log, Through: key.First, Orders: key.Orders}
	if r.random.IntN(3) == 0 {
		retry.Through = key.First - 1
		retry.Fault = &store.ParkedFault{Position: key.First, Error: "again", Attempts: key.Attempts + 1, Code: "two"}
	}
	retry.Messages = r.messages(key.First)
	tx := r.catalogue.Begin(claim)
	defer tx.Rollback()
	_, err := tx.Retry(r.ctx, retry)
	r.may(err, store.ErrFenced, store.ErrNotParked)
}

// messages are some of an event.
func (r *racer) messages(position int64) (all []store.Message) {
	for i := range r.random.IntN(3) {
		all = append(all, aMessage(bare().ID(), position, i, fmt.Sprint("key ", i)))
	}
	return all
}

// log is that of the database.
func (r *racer) log() store.LogID {
	log, err := r.store.OwnLog(r.ctx)
	must(r, err)
	return log
}

// relay sends until the others have ended, and returns how many messages.
func (r *racer) relay(ended <-chan struct{}) (sent int) {
	for {
		select {
		case <-ended:
			return sent
		default:
		}
		all, err := r.store.Pending(r.ctx, "sums", 20, 1<<20)
		if !r.may(err) {
			return sent
		}
		if len(all) > 0 && r.random.IntN(3) == 0 {
			r.may(r.store.Undelivered(r.ctx, []store.Undelivered{{OutboxID: all[0].ID(), Key: all[0].Key, Error: "down"}}))
			all = all[:0]
		}
		r.may(r.store.Sent(r.ctx, ids(all), r.random.IntN(2) == 0))
		_, err = r.store.DeleteSent(r.ctx, "sums", 0)
		r.may(err)
		_, err = r.store.ClaimRelays(r.ctx, store.Worker{Name: "host0"}, nil, "here")
		r.may(err)
		sent += len(all)
	}
}

// use is what users do.
func (r *racer) use(rounds int) {
	for range 2 * rounds {
		_, err := r.store.SetPaused(r.ctx, "sums", r.random.IntN(4) == 0)
		r.may(err)
		var refused *store.InputError
		err = r.store.Reshard(r.ctx, bare().ID(), func(l *store.Layout) error {
			if l.CompleteMerges() {
				return nil
			}
			return l.Resize(1 + r.random.IntN(6))
		})
		if !errors.As(err, &refused) {
			r.may(err)
		}
		_, err = r.store.Recover(r.ctx, bare().ID())
		r.may(err)
		_, err = r.store.Status(r.ctx)
		r.may(err)
		keys, err := r.store.Parked(r.ctx, store.ParkedRequest{Range: store.FullRange(), Limit: 3})
		r.may(err)
		for i := range keys {
			err := r.store.Order(r.ctx, keys[i].ParkedID, store.ActionRetry)
			if !errors.As(err, &refused) {
				r.may(err)
			}
		}
	}
	_, err := r.store.SetPaused(r.ctx, "sums", false)
	r.may(err)
}
