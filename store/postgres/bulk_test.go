package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/store"
)

// loadOf makes a load that is large enough for COPY. Its last event has the id that blocked waits for.
func loadOf(last store.UUID) []store.StreamAppend {
	appends := make([]store.StreamAppend, 500)
	for i := range appends {
		appends[i] = store.StreamAppend{Stream: stream(fmt.Sprint("s", i%7)), Events: events(1)}
	}
	appends[len(appends)-1].Events[0].ID = last
	return appends
}

// TestAppendBulk_underWay holds a load at its last row, by the same event id in a transaction that is open.
func TestAppendBulk_underWay(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	for i, outcome := range []string{"commit", "rollback", "cancel"} {
		id := store.UUID{byte(i + 1)}
		before := appendOne(t, s, "before")
		tx := begin(t, db.Connect(t))
		_, err := s.AppendTx(t.Context(), tx, store.AppendOptions{},
			store.StreamAppend{Stream: stream("holder" + outcome), Events: []store.Event{{ID: id, Type: "x"}}})
		must(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error)
		go func() {
			_, err := s.AppendBulk(ctx, store.AppendOptions{}, loadOf(id)...)
			result <- err
		}()
		awaitBlocked(t, db)
		wantRows(t, db, fenceLocks, "2")
		if h := horizonOf(t, s); h.Position != before {
			t.Errorf("%s: with a load under way the horizon is %+v, want position %d", outcome, h, before)
		}
		if outcome == "cancel" {
			cancel()
			err = <-result
		}
		end(t, tx, outcome == "commit")
		if outcome != "cancel" {
			err = <-result
		}
		cancel()
		var duplicate *store.DuplicateEventError
		switch {
		case outcome == "commit" && (!errors.As(err, &duplicate) || duplicate.ID != id):
			t.Errorf("an id that another append stores first: %v", err)
		case outcome == "rollback":
			must(t, err)
		case outcome == "cancel" && !errors.Is(err, context.Canceled):
			t.Errorf("cancelled: %v", err)
		}
	}
	wantRows(t, db, "SELECT count(*) FROM pupwasm.events WHERE aggregate_id LIKE 's%'", "500")
	testwait.Until(t, "nothing holds the horizon back, once the server has ended what was cancelled", func() bool {
		h := horizonOf(t, s)
		return h.Position == h.Head
	})
}

// TestAppendBulk_besideAppends has loads and appends meet on the same streams, in orders that differ.
func TestAppendBulk_besideAppends(t *testing.T) {
	t.Parallel()
	const writers, rounds, streams = 8, 6, 10
	db := pgtest.New(t)
	s := open(t, db)
	var group sync.WaitGroup
	for number := range writers {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(number), 5))
			for range rounds {
				appends := make([]store.StreamAppend, 250)
				for i := range appends {
					appends[i] = store.StreamAppend{Stream: stream(fmt.Sprint(random.IntN(streams))), Events: events(1)}
				}
				way := s.AppendBulk
				if number%2 == 0 {
					way = s.Append
				}
				if _, err := way(t.Context(), store.AppendOptions{}, appends...); err != nil {
					t.Errorf("writer %d: %v", number, err)
				}
			}
		})
	}
	group.Wait()
	wantRows(t, db, "SELECT count(*) FROM pupwasm.events", fmt.Sprint(writers*rounds*250))
	wantRows(t, db, `SELECT count(*) FROM (SELECT aggregate_version <> row_number() OVER (PARTITION BY aggregate_id ORDER BY global_position) AS inverted
		FROM pupwasm.events) AS e WHERE inverted`, "0")
}

func TestAppendBulk_aTriggerThatLeavesRowsOut(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	execute(t, db.Connect(t), `CREATE FUNCTION leave_out() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
		CREATE TRIGGER leave_out BEFORE INSERT ON pupwasm.events
		FOR EACH ROW WHEN (NEW.aggregate_id = 's3') EXECUTE FUNCTION leave_out()`)
	_, err := s.AppendBulk(t.Context(), store.AppendOptions{}, loadOf(store.UUID{1})...)
	if err == nil || !strings.Contains(err.Error(), "of 500 events were stored") {
		t.Errorf("got %v", err)
	}
	wantRows(t, db, "SELECT count(*) FROM pupwasm.events", "0")
}

func TestAppendBulk_valuesThatNoColumnHolds(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	for name, event := range badValues {
		appends := loadOf(store.UUID{1})
		appends[250].Events = []store.Event{event}
		_, err := s.AppendBulk(t.Context(), store.AppendOptions{}, appends...)
		var input *store.InputError
		if !errors.As(err, &input) {
			t.Errorf("%s: %v", name, err)
		}
	}
	wantRows(t, db, "SELECT count(*) FROM pupwasm.events", "0")
}
