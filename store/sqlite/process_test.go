package sqlite_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// childVariable holds the path of the database when this binary runs as a second process on it.
const childVariable = "PUPWASM_SQLITE_TEST_CHILD"

func TestMain(m *testing.M) {
	if path := os.Getenv(childVariable); path != "" {
		if err := child(path); err != nil {
			fmt.Fprintln(os.Stderr, "child:", err)
			os.Exit(1)
		}
		return
	}
	if path := os.Getenv(promoterVariable); path != "" {
		if err := promoter(path); err != nil {
			fmt.Fprintln(os.Stderr, "promoter:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// tally is a projection that counts what it is told in two tables, so that half a transaction shows.
func tally() *store.Projection {
	return &store.Projection{
		Name: "tally", Version: 1,
		Tables: []store.Table{
			{Name: "sum", Key: []string{"id"}, Columns: []store.Column{
				{Name: "id", Type: i64},
				{Name: "n", Type: i64},
			}},
			{Name: "line", Key: []string{"position"}, Columns: []store.Column{{
				Name: "position", Type: i64,
				Position: true,
			}}},
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

// child claims a segment of tally and commits batch after batch, each with an append beside it, until its standard
// input ends. It prints the position after every commit.
func child(path string) error {
	ctx := context.Background()
	s, err := sqlite.OpenBackend(path, sqlite.Options{BusyTimeout: time.Minute})
	if err != nil {
		return err
	}
	defer s.Close()
	ended := make(chan struct{})
	go func() {
		_, _ = bufio.NewReader(os.Stdin).ReadByte()
		close(ended)
	}()
	return work(ctx, s, fmt.Sprint("worker-", os.Getpid()), "child", ended, os.Stdout)
}

// work is what child and its parent do. A segment's positions start at its own million, so that lines differ.
func work(ctx context.Context, s sqlite.Backend, worker, streamID string, ended <-chan struct{}, out *os.File) error {
	p := tally()
	c, err := s.Install(ctx, p, 2)
	if err != nil {
		return fmt.Errorf("installing: %w", err)
	}
	if err := s.Heartbeat(ctx, store.Worker{Name: worker}, time.Hour); err != nil {
		return fmt.Errorf("heartbeat: %w", err)
	}
	claims, err := s.Claim(ctx, store.ClaimRequest{Projection: p.ID(), Worker: worker, Limit: 1})
	if err != nil || len(claims) != 1 {
		return fmt.Errorf("claiming: %v, %w", claims, err)
	}
	held := claims[0]
	folder := store.NewFolder(p)
	for {
		select {
		case <-ended:
			return s.Leave(ctx, store.Worker{Name: worker})
		default:
		}
		line := int64(held.Segment)*1_000_000 + held.Position
		mutations := []store.Mutation{{Write: 1, Values: []store.Value{store.I64(line)}}}
		for i := range 50 {
			mutations = append(mutations, store.Mutation{Values: []store.Value{store.I64(int64(i)), store.I64(1)}})
		}
		if _, err := s.Append(ctx, store.AppendOptions{}, store.StreamAppend{
			Stream: stream(streamID),
			Events: events(2),
		},
			store.StreamAppend{Stream: stream("shared"), Events: events(1)}); err != nil {
			return fmt.Errorf("appending: %w", err)
		}
		if err := c.Begin(held).Commit(ctx, store.Commit{
			Through: held.Position + 1, Steps: folder.Fold(mutations),
			Log: held.Applied.Log,
		}); err != nil {
			return fmt.Errorf("committing position %d: %w", held.Position+1, err)
		}
		held.Position++
		if _, err := fmt.Fprintln(out, held.Position); err != nil {
			return err
		}
	}
}

// startChild runs this binary as a second process. read returns the next position that it prints.
func startChild(t *testing.T, path string) (command *exec.Cmd, stop func() error, read func() int64) {
	t.Helper()
	command = exec.CommandContext(t.Context(), os.Args[0])
	command.Env = append(os.Environ(), childVariable+"="+path)
	command.Stderr = os.Stderr
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	read = func() int64 {
		if !lines.Scan() {
			return -1
		}
		position, _ := strconv.ParseInt(lines.Text(), 10, 64)
		return position
	}
	return command, in.Close, read
}

// checkTally compares the tables with the checkpoints and the log with itself.
func checkTally(t *testing.T, path string, s sqlite.Backend) (positions int64) {
	t.Helper()
	status, err := s.Status(t.Context())
	if err != nil || len(status) != 1 {
		t.Fatal(status, err)
	}
	for _, segment := range status[0].Segments {
		positions += segment.Position
	}
	db, err := sqlite.OpenSQL(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	want := fmt.Sprint([][]string{{"ok"}})
	if got := fmt.Sprint(queryText(t, db, "PRAGMA integrity_check")); got != want {
		t.Errorf("integrity: %s", got)
	}
	want = fmt.Sprint([][]string{{fmt.Sprint(positions), fmt.Sprint(positions * 50)}})
	if got := fmt.Sprint(queryText(t, db,
		"SELECT (SELECT count(*) FROM tally__line), (SELECT sum(n) FROM tally__sum)")); got != want {
		t.Errorf("rows are %s, the checkpoints say %s", got, want)
	}
	gaps := queryText(t, db, `SELECT aggregate_id FROM pupwasm__events
		GROUP BY aggregate_id HAVING count(*) <> max(aggregate_version)`)
	if len(gaps) > 0 {
		t.Errorf("streams with gaps: %v", gaps)
	}
	return positions
}

func TestCommit_killedProcessLeavesWholeTransactions(t *testing.T) {
	t.Parallel()
	path := migrated(t)
	s := open(t, path, sqlite.Options{})
	for round := range 6 {
		command, _, read := startChild(t, path)
		last := int64(0)
		for range 20 + 7*round {
			last = read()
		}
		if last < 0 {
			t.Fatal("the child ended by itself")
		}
		if err := command.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for position := read(); position >= 0; position = read() {
			last = position
		}
		_ = command.Wait()
		if positions := checkTally(t, path, s); positions < last {
			t.Errorf("the child reported position %d, %d are stored", last, positions)
		}
		worker := fmt.Sprint("worker-", command.Process.Pid)
		if err := s.Leave(t.Context(), store.Worker{Name: worker}); err != nil { // as its lease would run out
			t.Fatal(err)
		}
	}
}

func TestStore_twoProcessesShareTheFile(t *testing.T) {
	t.Parallel()
	path := migrated(t)
	s := open(t, path, sqlite.Options{})
	command, stop, read := startChild(t, path)
	if read() < 0 {
		t.Fatal("the child ended by itself")
	}
	ended, failed := make(chan struct{}), make(chan error, 1)
	pipe, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		failed <- work(t.Context(), s, "parent", "parent", ended, out)
		_ = out.Close()
	}()
	own := bufio.NewScanner(pipe)
	for range 150 { // both go on while the other does
		if !own.Scan() {
			t.Fatal("the parent ended by itself")
		}
		if read() < 0 {
			t.Fatal("the child ended by itself")
		}
	}
	close(ended)
	_ = stop()
	go func() { // neither may wait for a reader
		for own.Scan() {
		}
	}()
	for read() >= 0 {
	}
	if err := command.Wait(); err != nil {
		t.Errorf("the child: %v", err)
	}
	if err := <-failed; err != nil {
		t.Errorf("the parent: %v", err)
	}
	if positions := checkTally(t, path, s); positions < 300 {
		t.Errorf("%d batches were committed", positions)
	}
}
