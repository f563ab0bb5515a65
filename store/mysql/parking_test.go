package mysql

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/store"
)

// TestParked_byIndex has many keys parked: what hosts ask every second reads those that are due, or untold, and no
// others.
func TestParked_byIndex(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	s, err := Open(at.URL, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	q := &s.queries.parking
	err = s.change(t.Context(), func(c *conn) error {
		if _, err := c.exec(`INSERT INTO pupwasm__projections (name, version, segments, next_segment, declaration, shapes,
				installed_at, live) VALUES ('sums', 1, 1, 1, '', '', 0, true);
			INSERT INTO pupwasm__parked (projection, version, "key", spread, first_position, event_id, error, attempts,
				next_attempt_at, tried, parked_at, tell_at)
				SELECT 'sums', 1, seq, seq, 1, '', 'wrong', 1, IF(seq % 1000, 4000000000000000, 1), '["one"]', 1,
					IF(seq % 1000, NULL, seq) FROM seq_1_to_20000;
			ANALYZE TABLE pupwasm__parked`); err != nil {
			return err
		}
		for _, ask := range []struct {
			text  string
			index string
			args  []any
		}{
			{q.dueParked, "pupwasm__parked_due", []any{
				"sums", 1, 0, int64(math.MaxUint32), "", 0, []byte{}, int64(math.MaxInt64),
			}},
			{q.untold, "pupwasm__parked_untold", []any{[]string{"sums", "other"}}},
		} {
			explain := strings.Replace(ask.text, "SELECT ", "EXPLAIN SELECT ", 1)
			if err := c.query(explain, func(r *row) error {
				if kind, key, rows := r.text(3), r.text(5), r.int(8); kind != "range" || key != ask.index || rows > 100 {
					t.Errorf("%s\nreads %d rows by %s of %s", ask.text, rows, kind, key)
				}
				return nil
			}, ask.args...); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	due, err := backend{Store: s}.Parked(t.Context(), store.ParkedRequest{
		Projection: store.ProjectionID{Name: "sums", Version: 1}, Range: store.FullRange(), Due: true,
	})
	if err != nil || len(due) != 20 {
		t.Errorf("%d keys are due, %v", len(due), err)
	}
}

// TestCommit_segmentsThatParkAtOnce has two segments park a key each, where there is room for one.
func TestCommit_segmentsThatParkAtOnce(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	opened, err := Open(at.URL, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(opened.Close)
	s := backend{Store: opened}
	execute(t, at, "INSERT INTO pupwasm__events (bounded_context, aggregate_type, aggregate_id, aggregate_version, "+
		"event_id, event_type, payload) SELECT 'a', 'b', 'c', seq, UNHEX(MD5(seq)), 'd', 'e' FROM seq_1_to_100")
	bare := &store.Projection{Name: "sums", Version: 1}
	catalogue, err := s.Install(t.Context(), bare, 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Heartbeat(t.Context(), store.Worker{Name: "w"}, time.Hour); err != nil {
		t.Fatal(err)
	}
	claims, err := s.Claim(t.Context(), store.ClaimRequest{Projection: bare.ID(), Worker: "w", Limit: 2})
	if err != nil || len(claims) != 2 {
		t.Fatal(claims, err)
	}
	for round := range 20 {
		results := make(chan error, 2)
		for _, claim := range claims {
			go func() {
				key := []byte{byte(claim.Segment), byte(round)}
				results <- catalogue.Begin(claim).Commit(t.Context(), store.Commit{
					Through: claim.Position + 1, Log: claim.Applied.Log, ParkedMax: round + 1,
					Parked: []store.NewParked{{Key: key, Fault: store.ParkedFault{Position: claim.Position + 1}}},
					Noted:  []store.ParkedEvent{{Key: key, Position: claim.Position + 1}},
				})
			}()
		}
		first, second := <-results, <-results
		var full *store.ParkedMaxError
		if (first == nil) == (second == nil) || !errors.As(errors.Join(first, second), &full) {
			t.Fatalf("round %d: the commits return %v and %v", round, first, second)
		}
		if claims, err = s.Claim(t.Context(), store.ClaimRequest{Projection: bare.ID(), Worker: "w", Limit: 2}); err != nil {
			t.Fatal(err)
		}
	}
}

func execute(t *testing.T, at mariadbtest.Database, text string) {
	t.Helper()
	if _, err := at.Connect(t).ExecContext(t.Context(), text); err != nil {
		t.Fatal(err)
	}
}
