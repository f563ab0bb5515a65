package mysql_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/mariadbserver"
	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
)

const (
	raceEvents   = 3000
	raceSegments = 2
)

// outboxRace is two versions of a projection that apply the same events at the same time, each event with one message,
// while a user promotes one after the other and a relay sends.
type outboxRace struct {
	*testing.T
	at      mariadbtest.Database
	done    atomic.Int64     // segments that have come to the end
	sent    map[int64]int    // by position
	last    map[string]int64 // by key
	retries atomic.Int64
}

// TestOutbox_eachMessageIsSentOnce has commits, retries of parked keys, promotions and a relay meet.
func TestOutbox_eachMessageIsSentOnce(t *testing.T) {
	t.Parallel()
	server, err := mariadbserver.Start()
	must(t, err)
	t.Cleanup(server.Stop)
	at := mariadbtest.On(t, server)
	at.Migrate(t, "pupwasm")
	db := at.Connect(t)
	execute(t, db, fmt.Sprintf("INSERT INTO pupwasm__events (bounded_context, aggregate_type, aggregate_id, "+
		"aggregate_version, event_id, event_type, payload) SELECT 'a', 'b', 'c', seq, UNHEX(MD5(seq)), 'd', '' FROM seq_1_to_%d", raceEvents))
	r := &outboxRace{T: t, at: at, sent: map[int64]int{}, last: map[string]int64{}}
	var group sync.WaitGroup
	for version := 1; version <= 2; version++ {
		s := open(t, at.URL, mysql.Options{})
		catalogue, err := s.InstallBeside(t.Context(), shown(version), raceSegments)
		must(t, err)
		worker := fmt.Sprint("worker ", version)
		must(t, s.Heartbeat(t.Context(), store.Worker{Name: worker}, time.Hour))
		claims, err := s.Claim(t.Context(), store.ClaimRequest{
			Projection: sumsOf(version), Worker: worker, Limit: raceSegments,
		})
		must(t, err)
		must(t, s.BeginSending(t.Context(), shown(version), claims[0].Applied.Log, 0))
		for i, claim := range claims {
			random := rand.New(rand.NewPCG(uint64(version), uint64(i)))
			w := &raceWorker{outboxRace: r, catalogue: catalogue, claim: claim, random: random}
			group.Go(w.run)
		}
	}
	group.Go(r.promote)
	group.Go(r.relay)
	group.Wait()
	for position := range int64(raceEvents) {
		if n := r.sent[position+1]; n != 1 {
			t.Errorf("the message of event %d is sent %d times", position+1, n)
		}
	}
	t.Logf("%s deadlocks, all tried again; %d commits were tried again", queryText(t, db,
		"SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'")[0][1], r.retries.Load())
	wantText(t, db, "SELECT count(*) FROM pupwasm__outbox WHERE NOT held", "0")
}

// raceKey is the key of the event at a position.
func raceKey(position int64) string { return fmt.Sprint("key ", position%23) }

// raceWorker has a segment of a version.
type raceWorker struct {
	*outboxRace
	catalogue store.Catalogue
	claim     store.Claim
	random    *rand.Rand
	parked    map[string][]int64
}

// run applies all events of the segment.
func (w *raceWorker) run() {
	defer w.done.Add(1)
	w.parked = map[string][]int64{}
	for w.claim.Position < raceEvents || len(w.parked) > 0 {
		if w.Failed() {
			return
		}
		for key := range w.parked {
			if w.claim.Position == raceEvents || w.random.IntN(4) == 0 {
				w.retry(key)
			}
		}
		w.commit()
	}
}

// again tries a transaction until it is not the victim of a deadlock.
func (w *raceWorker) again(do func(tx store.Tx) error) {
	for {
		tx := w.catalogue.Begin(w.claim)
		err := do(tx)
		tx.Rollback()
		if !errors.Is(err, store.ErrDeadlock) {
			if err != nil {
				w.Errorf("version %d: %v", w.claim.Projection.Version, err)
			}
			return
		}
		w.retries.Add(1)
	}
}

func (w *raceWorker) commit() {
	if w.claim.Position == raceEvents {
		return
	}
	commit := store.Commit{Through: min(w.claim.Position+1+w.random.Int64N(5), raceEvents), Log: w.claim.Applied.Log}
	for position := w.claim.Position + 1; position <= commit.Through; position++ {
		key := raceKey(position)
		if !w.claim.Range.Contains(store.PartitionHashOf([]byte(key))) {
			continue
		}
		_, parked := w.parked[key]
		if !parked && w.random.IntN(30) == 0 {
			fault := store.ParkedFault{Position: position, Error: "wrong", Attempts: 1, Code: "one"}
			commit.Parked = append(commit.Parked, store.NewParked{Key: []byte(key), Fault: fault})
			parked = true
		}
		if parked {
			commit.Noted = append(commit.Noted, store.ParkedEvent{Key: []byte(key), Position: position})
			w.parked[key] = append(w.parked[key], position)
			continue
		}
		commit.Messages = append(commit.Messages, aMessage(w.claim.Projection, position, 0, key))
	}
	w.again(func(tx store.Tx) error { return tx.Commit(w.Context(), commit) })
	w.claim.Position = commit.Through
}

func (w *raceWorker) retry(key string) {
	positions := w.parked[key]
	n := 1 + w.random.IntN(len(positions))
	retry := store.Retry{Key: []byte(key), Log: w.claim.Applied.Log, Through: positions[n-1]}
	for _, position := range positions[:n] {
		retry.Messages = append(retry.Messages, aMessage(w.claim.Projection, position, 0, key))
	}
	w.again(func(tx store.Tx) error {
		_, err := tx.Retry(w.Context(), retry)
		return err
	})
	if w.parked[key] = positions[n:]; n == len(positions) {
		delete(w.parked, key)
	}
}

// promote has each version be live in turns.
func (r *outboxRace) promote() {
	s, promotions := open(r, r.at.URL, mysql.Options{}), 0
	for version := 2; r.done.Load() < 2*raceSegments && !r.Failed(); {
		_, err := s.Promote(r.Context(), sumsOf(version))
		var behind *store.BehindError
		switch {
		case err == nil:
			version = 3 - version
			promotions++
		case !errors.As(err, &behind) && !errors.Is(err, store.ErrTransient):
			r.Errorf("promoting: %v", err)
		}
	}
	if promotions == 0 {
		r.Error("no version was promoted")
	}
	r.Logf("%d promotions", promotions)
}

// relay sends until there is nothing more.
func (r *outboxRace) relay() {
	s, random := open(r, r.at.URL, mysql.Options{}), rand.New(rand.NewPCG(7, 7))
	for ended := false; !ended && !r.Failed(); {
		all := r.done.Load() == 2*raceSegments
		messages, err := s.Pending(r.Context(), "sums", 1+random.IntN(100), 1<<20)
		r.check(err)
		ended = all && len(messages) == 0
		var sent []store.OutboxID
		var failures []store.Undelivered
		var waiting []string
		for i := range messages {
			m := &messages[i]
			if slices.Contains(waiting, string(m.Key)) {
				continue
			}
			if random.IntN(20) == 0 {
				waiting = append(waiting, string(m.Key))
				failures = append(failures, store.Undelivered{OutboxID: m.ID(), Key: m.Key, Error: "down"})
				continue
			}
			sent = append(sent, m.ID())
			if r.sent[m.Position]++; m.Position <= r.last[string(m.Key)] {
				r.Errorf("of %s %d is sent behind %d", m.Key, m.Position, r.last[string(m.Key)])
			}
			r.last[string(m.Key)] = m.Position
		}
		r.check(s.Undelivered(r.Context(), failures))
		r.check(s.Sent(r.Context(), sent, false))
		_, err = s.DeleteSent(r.Context(), "sums", time.Hour)
		r.check(err)
	}
}

func (r *outboxRace) check(err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		r.Error(err)
	}
}
