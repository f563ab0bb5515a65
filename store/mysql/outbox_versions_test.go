package mysql_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
)

// hold puts a held message of a version of sums in, as a commit does.
func hold(version int, position int64) string {
	return fmt.Sprintf("INSERT INTO pupwasm__outbox (projection, position, n, version, type, subject, `key`, spread, "+
		"content_type, data, trace_parent, event_at, put_at, size, held) VALUES ('sums', %d, 0, %d, 'a', 'b', 'k', 0, 'c', "+
		"'', '', 0, 1, 300, TRUE)", position, version)
}

const (
	putMessages  = "SELECT CONCAT('v', version, '.', position) FROM pupwasm__outbox WHERE NOT held ORDER BY position"
	heldMessages = "SELECT CONCAT('v', version, '.', position) FROM pupwasm__outbox WHERE held ORDER BY position"
)

// TestPromote_waitsForMessagesUnderWay has the next version be about to hold a message when it is promoted: it is to be
// sent then, as the one that it holds already.
func TestPromote_waitsForMessagesUnderWay(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	db, s := at.Connect(t), open(t, at.URL, mysql.Options{})
	versions(t, db, at, s, 1, 2)
	must(t, s.BeginSending(t.Context(), shown(1), store.LogID{ID: store.UUID{1}}, 0))
	execute(t, db, hold(2, 7))
	commit := begun(t, at, "SELECT live FROM pupwasm__projections WHERE name = 'sums' AND version = 2 LOCK IN SHARE MODE",
		hold(2, 8))
	promoted := make(chan error, 1)
	go func() {
		_, err := s.Promote(t.Context(), sumsOf(2))
		promoted <- err
	}()
	awaitBlocked(t, at, 1)
	must(t, commit.Commit())
	must(t, <-promoted)
	wantText(t, db, putMessages, "v2.7; v2.8")
	wantText(t, db, heldMessages, "")
}

// TestCommit_messagesWaitForAPromotion has a version that is about to be live commit a message meanwhile.
func TestCommit_messagesWaitForAPromotion(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	db, s := at.Connect(t), open(t, at.URL, mysql.Options{})
	appendTo(t, s, "stream", 100)
	versions(t, db, at, s, 1)
	catalogue, err := s.InstallBeside(t.Context(), shown(2), 1)
	must(t, err)
	must(t, s.Heartbeat(t.Context(), store.Worker{Name: "w"}, time.Hour))
	claims, err := s.Claim(t.Context(), store.ClaimRequest{Projection: sumsOf(2), Worker: "w", Limit: 1})
	must(t, err)
	must(t, s.BeginSending(t.Context(), shown(1), claims[0].Applied.Log, 0))
	promotion := begun(t, at, "UPDATE pupwasm__projections SET live = 0 WHERE name = 'sums' AND version = 1",
		"UPDATE pupwasm__projections SET live = 1 WHERE name = 'sums' AND version = 2",
		"UPDATE pupwasm__outbox_sent SET position = 5")
	committed := make(chan error, 1)
	go func() {
		committed <- catalogue.Begin(claims[0]).Commit(t.Context(), store.Commit{
			Through: 7, Log: claims[0].Applied.Log,
			Messages: []store.Message{
				aMessage(sumsOf(2), 5, 0, "k"), aMessage(sumsOf(2), 6, 0, "k"), aMessage(sumsOf(2), 7, 0, "k"),
			},
		})
	}()
	awaitBlocked(t, at, 1)
	must(t, promotion.Commit())
	must(t, <-committed)
	wantText(t, db, putMessages, "v2.6; v2.7")
	wantText(t, db, heldMessages, "")
}

// TestPromote_aHostThatEndsHandsOver ends a host at each statement of a promotion. Of the events that the version
// before has not applied, the messages are to be sent then, or still held, and never those of the others.
func TestPromote_aHostThatEndsHandsOver(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	db, s := at.Connect(t), open(t, at.URL, mysql.Options{})
	versions(t, db, at, s, 1, 2)
	must(t, s.BeginSending(t.Context(), shown(1), store.LogID{ID: store.UUID{1}}, 0))
	live := 1
	begin := func() {
		t.Helper()
		execute(t, db, "DELETE FROM pupwasm__outbox")
		execute(t, db, hold(3-live, 5)) // both are at 5
		execute(t, db, hold(3-live, 6))
	}
	check := func(was int) {
		t.Helper()
		next := 3 - was
		if live == was {
			wantText(t, db, putMessages, "")
			wantText(t, db, heldMessages, fmt.Sprintf("v%[1]d.5; v%[1]d.6", next))
			return
		}
		wantText(t, db, putMessages, fmt.Sprintf("v%d.6", next))
		wantText(t, db, heldMessages, "")
		wantText(t, db, "SELECT MIN(position), MAX(position) FROM pupwasm__outbox_sent", "5 5")
	}
	begin()
	dying(t, at, func(host mysql.Backend) error {
		_, err := host.Promote(t.Context(), sumsOf(3-live))
		return err
	}, func() {
		was := live
		_, err := s.Install(t.Context(), shown(1), 2)
		must(t, err)
		live = wantOneVersion(t, db, at)
		check(was)
		if live == was {
			promote(t, s, 3-live)
			live = wantOneVersion(t, db, at)
			check(was)
		}
		begin()
	})
}

// TestInstall_heldMessagesOfAVersionThatIsReplaced go with it.
func TestInstall_heldMessagesOfAVersionThatIsReplaced(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	db, s := at.Connect(t), open(t, at.URL, mysql.Options{})
	_, err := s.Install(t.Context(), shown(1), 1)
	must(t, err)
	for version := range 3 {
		execute(t, db, hold(version+1, 7))
	}
	_, err = s.Install(t.Context(), shown(2), 1)
	must(t, err)
	wantText(t, db, "SELECT version FROM pupwasm__projections", "2")
	wantText(t, db, heldMessages, "v3.7")
}
