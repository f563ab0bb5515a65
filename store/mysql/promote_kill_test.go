package mysql_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
)

// promoterVariable holds the URL of the database when this binary runs as a process that promotes.
const promoterVariable = "PUPWASM_MYSQL_TEST_PROMOTER"

// promoter promotes versions of tally in turns until it is killed, and prints each that is live.
func promoter(url string) error {
	ctx := context.Background()
	s, err := mysql.OpenBackend(url, mysql.Options{})
	if err != nil {
		return err
	}
	defer s.Close()
	for version := 2; ; version = 3 - version {
		if err := promoteTally(ctx, s, version); err != nil {
			return err
		}
		if _, err := fmt.Println(version); err != nil {
			return err
		}
	}
}

// promoteTally promotes a version as soon as it is not behind.
func promoteTally(ctx context.Context, s mysql.Backend, version int) error {
	for {
		_, err := s.Promote(ctx, store.ProjectionID{Name: "tally", Version: version})
		var behind *store.BehindError
		if err == nil || !errors.As(err, &behind) && !errors.Is(err, store.ErrTransient) {
			return err
		}
	}
}

// tallyVersion adds every event to a sum, and has a row for each.
func tallyVersion(version int) *store.Projection {
	i64 := kind(store.KindI64)
	return &store.Projection{
		Name: "tally", Version: version,
		Tables: []store.Table{
			{Name: "sum", Key: []string{"id"}, Columns: []store.Column{{Name: "id", Type: i64}, {Name: "n", Type: i64}}},
			{Name: "line", Key: []string{"position"}, Columns: []store.Column{{Name: "position", Type: i64, Position: true}}},
		},
		Writes: []store.Write{
			{
				Name: "add", Action: store.Upsert, Table: "sum",
				Columns: []store.WriteColumn{{Name: "n", Action: store.ActionAdd}},
			},
			{Name: "line", Action: store.Insert, Table: "line"},
		},
	}
}

// tallies commits to two versions of tally in turns, so that none is behind by more than a position.
type tallies struct {
	s          mysql.Backend
	claims     [2]store.Claim
	catalogues [2]store.Catalogue
}

func newTallies(t *testing.T, s mysql.Backend) *tallies {
	t.Helper()
	all := &tallies{s: s}
	if err := s.Heartbeat(t.Context(), store.Worker{Name: "writer"}, time.Hour); err != nil {
		t.Fatal(err)
	}
	log, err := s.OwnLog(t.Context())
	must(t, err)
	for n := range all.claims {
		p := tallyVersion(n + 1)
		var err error
		if all.catalogues[n], err = s.InstallBeside(t.Context(), p, 1); err != nil {
			t.Fatal(err)
		}
		claims, err := s.Claim(t.Context(), store.ClaimRequest{Projection: p.ID(), Worker: "writer", Limit: 1})
		if err != nil || len(claims) != 1 {
			t.Fatal(claims, err)
		}
		all.claims[n] = claims[0]
		must(t, s.BeginSending(t.Context(), p, log, 0))
	}
	return all
}

// round appends an event and commits it to both, with a message.
func (a *tallies) round(ctx context.Context) error {
	stream := store.Stream{BoundedContext: "library", AggregateType: "loan", AggregateID: "one"}
	if _, err := a.s.Append(ctx, store.AppendOptions{}, store.StreamAppend{
		Stream: stream, Events: []store.Event{{Type: "happened"}},
	}); err != nil {
		return fmt.Errorf("appending: %w", err)
	}
	for n := range a.claims {
		claim := &a.claims[n]
		mutations := []store.Mutation{
			{Values: []store.Value{store.I64(1), store.I64(1)}}, {Write: 1, Values: []store.Value{store.I64(claim.Position)}},
		}
		if err := a.catalogues[n].Begin(*claim).Commit(ctx, store.Commit{
			Through: claim.Position + 1, Steps: store.NewFolder(tallyVersion(n + 1)).Fold(mutations), Log: claim.Applied.Log,
			Messages: []store.Message{aMessage(claim.Projection, claim.Position+1, 0, "k")},
		}); err != nil {
			return fmt.Errorf("committing to version %d: %w", n+1, err)
		}
		claim.Position++
	}
	return nil
}

// seenTally returns the version that both views show. It fails the test unless that is one, with as many rows as it has
// counted.
func seenTally(t *testing.T, db *sql.DB, at mariadbtest.Database) string {
	t.Helper()
	place := at.Name + "__tally"
	version := regexp.MustCompile("`" + place + "__v([12])`")
	shown := ""
	views := queryText(t, db, `SELECT view_definition FROM information_schema.views WHERE table_schema = '`+place+`'
		AND table_name IN ('sum', 'line')`)
	for _, view := range views {
		match := version.FindStringSubmatch(view[0])
		if match == nil || shown != "" && shown != match[1] {
			t.Fatalf("the views are %q", views)
		}
		shown = match[1]
	}
	rows := queryText(t, db, fmt.Sprintf("SELECT (SELECT n FROM %[1]s.sum), (SELECT count(*) FROM %[1]s.line)", place))
	if len(views) != 2 || rows[0][0] != rows[0][1] {
		t.Errorf("readers have %d views, and see %s and %s rows", len(views), rows[0][0], rows[0][1])
	}
	return shown
}

// background runs work again and again until the test has it stop.
func background(t *testing.T, work func() error) (stop func()) {
	t.Helper()
	ended := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for {
			select {
			case <-ended:
				return
			default:
			}
			if err := work(); err != nil {
				t.Error(err)
				return
			}
		}
	})
	return func() {
		close(ended)
		running.Wait()
	}
}

// TestPromote_killedProcessLeavesOneVersion kills a process that does nothing but promote, while both versions are
// written, read and compared: readers see one version, and no older rows than before; whoever comes next says which it
// is, and the next promotion works. The message of each event is sent once, by one of them.
func TestPromote_killedProcessLeavesOneVersion(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	db, s := at.Connect(t), open(t, at.URL, mysql.Options{})
	written := newTallies(t, s)
	if err := written.round(t.Context()); err != nil {
		t.Fatal(err)
	}
	stopWriter := background(t, func() error { return written.round(t.Context()) })
	// The statement takes the views in the other order than RENAME TABLE, see readerViews.exchange.
	seen, last := fmt.Sprintf("SELECT a.n, (SELECT count(*) FROM %[1]s.line) FROM %[1]s.sum AS a", at.Name+"__tally"), 0
	stopReader := background(t, func() error {
		var n, lines int
		if err := db.QueryRowContext(t.Context(), seen).Scan(&n, &lines); err != nil {
			return err
		}
		if n < last || n != lines {
			return fmt.Errorf("a reader sees %d of %d rows after %d", n, lines, last)
		}
		last = n
		return nil
	})
	sent := map[int64]int{}
	send := func() error {
		messages, err := s.Pending(t.Context(), "tally", 100, 1<<20)
		if err != nil {
			return err
		}
		for i := range messages {
			sent[messages[i].Position]++
		}
		return s.Sent(t.Context(), ids(messages), false)
	}
	stopSending := background(t, send)
	compared := 0
	stopComparing := background(t, func() error {
		a, b := store.ProjectionID{Name: "tally", Version: 1}, store.ProjectionID{Name: "tally", Version: 2}
		comparison, err := s.Compare(t.Context(), a, b, 1, func() {})
		var apart *store.ApartError
		switch {
		case errors.As(err, &apart), errors.Is(err, store.ErrTransient):
			return nil
		case err == nil && comparison.Differ():
			return fmt.Errorf("the versions differ: %+v", comparison)
		}
		compared++
		return err
	})
	live := map[string]int{}
	for range 15 {
		killPromoter(t, at.URL)
		seenTally(t, db, at)
		if _, err := s.InstallBeside(t.Context(), tallyVersion(1), 1); err != nil {
			t.Fatal(err)
		}
		now := text(t, db, "SELECT version FROM pupwasm__projections WHERE live")
		if shown := seenTally(t, db, at); shown != now {
			t.Errorf("version %s is live, readers see %s", now, shown)
		}
		live[now]++
		next := map[string]int{"1": 2, "2": 1}[now]
		if err := promoteTally(t.Context(), s, next); err != nil {
			t.Fatal(err)
		}
		if shown := seenTally(t, db, at); shown != fmt.Sprint(next) {
			t.Errorf("readers see version %s, %d was promoted", shown, next)
		}
	}
	stopComparing()
	stopReader()
	stopWriter()
	stopSending()
	must(t, send())
	for position := range written.claims[0].Position {
		if n := sent[position+1]; n != 1 {
			t.Errorf("the message of event %d is sent %d times", position+1, n)
		}
	}
	t.Logf("versions were live after a kill so many times: %v; equal in %d comparisons", live, compared)
	comparison, err := s.Compare(t.Context(), store.ProjectionID{Name: "tally", Version: 1},
		store.ProjectionID{Name: "tally", Version: 2}, 1, func() {})
	if err != nil || comparison.Differ() {
		t.Errorf("the versions are compared: %+v, %v", comparison, err)
	}
}

// killPromoter starts a process that promotes, and kills it at some moment.
func killPromoter(t *testing.T, url string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0])
	command.Env = append(os.Environ(), promoterVariable+"="+url)
	command.Stderr = os.Stderr
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 2)
	for range 1 + rand.IntN(3) {
		if _, err := out.Read(line); err != nil {
			t.Fatalf("the process ended by itself: %v", err)
		}
	}
	<-time.After(time.Duration(rand.IntN(30_000)) * time.Microsecond) // in the middle of the next
	if err := command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = command.Wait()
}
