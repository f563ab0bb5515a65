package postgres_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// sender is a version of sums in the hands of a worker, in a transaction for each position.
type sender struct {
	testing.TB
	store     postgres.Backend
	version   int
	catalogue store.Catalogue
	folder    *store.Folder
	claim     store.Claim
}

// newSenders installs versions of sums beside each other, each with its worker. The first one is live and sends.
func newSenders(t testing.TB, db pgtest.Database, s postgres.Backend, versions ...int) (all []*sender) {
	t.Helper()
	ctx := t.Context()
	for _, version := range versions {
		p := versioned(version)
		catalogue, err := s.InstallBeside(ctx, p, 1)
		must(t, err)
		name := fmt.Sprint("worker-", version)
		must(t, s.Heartbeat(ctx, store.Worker{Name: name}, time.Hour))
		claims, err := s.Claim(ctx, store.ClaimRequest{Projection: p.ID(), Worker: name, Limit: 1})
		must(t, err)
		must(t, s.BeginSending(ctx, p, claims[0].Applied.Log, 0))
		all = append(all, &sender{
			TB: t, store: s, version: version, catalogue: catalogue, folder: store.NewFolder(p), claim: claims[0],
		})
	}
	handOut(t, db)
	return all
}

// send commits the next position with a message and rows.
func (s *sender) send(mutations ...store.Mutation) error {
	messages := messagesAt(s.claim.Position+1, 1)
	messages[0].Version = s.version
	tx := s.catalogue.Begin(s.claim)
	defer tx.Rollback()
	err := tx.Commit(s.Context(), store.Commit{
		Through: s.claim.Position + 1, Steps: s.folder.Fold(mutations), Log: s.claim.Applied.Log, Messages: messages,
	})
	if err == nil {
		s.claim.Position++
	}
	return err
}

const wantedMessages = "SELECT position, version, held FROM pupwasm.outbox ORDER BY position, version"

// TestPromote_waitsForCommitsOfTheNextVersion has a commit of the version that is promoted be under way, with a
// message that it holds.
func TestPromote_waitsForCommitsOfTheNextVersion(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	both := newSenders(t, db, s, 1, 2)
	must(t, both[1].send(add("a", 1)))
	row := begin(t, db.Connect(t))
	_, err := row.Exec(t.Context(), "SELECT FROM sums__v2.total FOR UPDATE")
	must(t, err)
	committed, promoted := make(chan error, 1), make(chan error, 1)
	go func() { committed <- both[1].send(add("a", 1)) }()
	awaitBlocked(t, db)
	go func() {
		_, err := s.Promote(t.Context(), store.ProjectionID{Name: "sums", Version: 2})
		promoted <- err
	}()
	conn := db.Connect(t)
	testwait.Until(t, "both wait", func() bool {
		return query(t, conn, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "+
			"AND wait_event_type = 'Lock'")[0][0] == "2"
	})
	must(t, row.Rollback(t.Context()))
	must(t, <-committed)
	must(t, <-promoted)
	wantRows(t, db, wantedMessages, "1 2 f;2 2 f")
}

// TestPromote_givesWayToAWorker has a worker lock the segments of both versions in its order, which is not that of the
// promotion, as one does that joins or leaves.
func TestPromote_givesWayToAWorker(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	newSenders(t, db, s, 1, 2)
	promote(t, s, 2)
	leaving := begin(t, db.Connect(t))
	lock := func(version int) {
		t.Helper()
		_, err := leaving.Exec(t.Context(), "SELECT FROM pupwasm.segments WHERE version = $1 FOR NO KEY UPDATE", version)
		must(t, err)
	}
	lock(1)
	back := make(chan error, 1)
	go func() {
		_, err := s.Rollback(t.Context(), "sums")
		back <- err
	}()
	awaitBlocked(t, db)
	lock(2)
	must(t, leaving.Commit(t.Context()))
	must(t, <-back)
	wantRows(t, db, "SELECT version, live FROM pupwasm.projections ORDER BY version", "1 t;2 f")
	wantRows(t, db, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()", "0")
}

// TestHandover_everyMessageOnce has versions commit, and messages be sent and deleted, while the versions take each
// other's place all the time.
func TestHandover_everyMessageOnce(t *testing.T) {
	t.Parallel()
	const positions = 150
	db := pgtest.New(t)
	s := open(t, db)
	ctx := t.Context()
	var work, others sync.WaitGroup
	end := make(chan struct{})
	for _, of := range newSenders(t, db, open(t, db), 1, 2, 3) {
		work.Go(func() {
			for of.claim.Position < positions {
				if err := of.send(add("a", 1)); err != nil && !errors.Is(err, store.ErrTransient) {
					t.Errorf("version %d: %v", of.version, err)
					return
				}
			}
		})
	}
	until := func(step func() error) {
		others.Go(func() {
			for {
				select {
				case <-end:
					return
				default:
				}
				var behind *store.BehindError
				if err := step(); err != nil && !errors.Is(err, store.ErrTransient) && !errors.As(err, &behind) {
					t.Error(err)
					return
				}
			}
		})
	}
	promotions := 0
	until(func() error {
		did, err := s.Promote(ctx, store.ProjectionID{Name: "sums", Version: promotions%3 + 1})
		if err == nil && did.From != did.To {
			promotions++
		} else if err == nil {
			promotions += 2
		}
		return err
	})
	var sent []int64
	relay := func() error {
		all, err := s.Pending(ctx, "sums", 50, 1<<20)
		if err != nil {
			return err
		}
		ids := make([]store.OutboxID, len(all))
		for i := range all {
			ids[i] = all[i].ID()
		}
		if err := s.Sent(ctx, ids, false); err != nil {
			return err
		}
		for i := range all {
			sent = append(sent, all[i].Position)
		}
		return nil
	}
	until(relay)
	until(func() error {
		_, err := s.DeleteSent(ctx, "sums", 0)
		return err
	})
	work.Wait()
	close(end)
	others.Wait()
	must(t, relay())
	must(t, relay())
	if promotions < 3 {
		t.Errorf("there were %d promotions", promotions)
	}
	if !slices.IsSorted(sent) || len(sent) != positions || sent[0] != 1 || sent[len(sent)-1] != positions {
		t.Errorf("of %d positions, %d were sent: %v", positions, len(sent), sent)
	}
	s.Close() // sessions report what they have seen when they end
	wantRows(t, db, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()", "0")
}
