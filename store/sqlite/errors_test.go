package sqlite_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/migrations"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

func TestOpen_refusesWhatIsNoFile(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"", ":memory:", "file::memory:?cache=shared", "file:a.db", "a\x00b"} {
		if _, err := sqlite.Open(path, sqlite.Options{}); err == nil {
			t.Errorf("%q was opened as a store", path)
		}
		if _, err := sqlite.OpenSQL(path); err == nil {
			t.Errorf("%q was opened for database/sql", path)
		}
	}
	if _, err := sqlite.Open("a.db", sqlite.Options{Schema: "x; DROP TABLE y"}); err == nil {
		t.Error("a schema that is no name was accepted")
	}
}

func TestPing_namesTheFileThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	long := strings.Repeat("this is a text and no database. ", 1000)
	truncated, err := os.ReadFile(migrated(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, path, want string
		notMigrated      bool
	}{
		{"missing", filepath.Join(dir, "missing.db"), "missing.db", true},
		{"empty", write("empty.db", ""), "", true},
		{"no folder", filepath.Join(dir, "nowhere", "a.db"), "nowhere", false},
		{"a folder", dir, "is a folder", false},
		{"a text", write("a text.db", long), "a text.db is not a SQLite database", false},
		{"below a file", filepath.Join(write("file", "x"), "a.db"), "file", false},
		{"cut off", write("cut.db", string(truncated[:5000])), "cut.db is damaged", false},
	} {
		s := open(t, c.path, sqlite.Options{})
		err := s.Ping(t.Context())
		if err == nil || errors.Is(err, store.ErrNotMigrated) != c.notMigrated ||
			!strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", c.name, err)
		}
		if errors.Is(err, store.ErrTransient) {
			t.Errorf("%s will not pass by itself: %v", c.name, err)
		}
		t.Log(err)
	}
}

func TestOpenSQL_namesTheFileThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text := filepath.Join(dir, "text.db")
	if err := os.WriteFile(text, []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "nowhere", "a.db"): "nowhere",
		dir:                                   "is a folder",
		text:                                  "text.db is not a SQLite database",
	} {
		db, err := sqlite.OpenSQL(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.PingContext(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
		_ = db.Close()
	}
}

func TestStore_readOnlyFileIsNamed(t *testing.T) {
	t.Parallel()
	if os.Getuid() == 0 {
		t.Skip("root writes to every file")
	}
	path := migrated(t)
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	s := open(t, path, sqlite.Options{})
	_, err := s.Append(t.Context(), store.AppendOptions{}, store.StreamAppend{Stream: stream("a"), Events: events(1)})
	if err == nil || errors.Is(err, store.ErrTransient) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
}

func TestStore_oddNamesOfFiles(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"with space.db", "50% off?.db", "a#b&c=d.db", "ü.db", "file.db", "it's.db"} {
		path := filepath.Join(t.TempDir(), name)
		db, err := sqlite.OpenSQL(path)
		if err != nil {
			t.Fatal(err)
		}
		migrator, err := migrations.New(db, migrations.SQLite, "pupwasm")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := migrator.Up(t.Context()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_ = db.Close()
		if err := open(t, path, sqlite.Options{}).Ping(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMigrations_severalAtOnceOnANewFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "new.db")
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			db, err := sqlite.OpenSQL(path)
			if err != nil {
				t.Error(err)
				return
			}
			defer db.Close()
			migrator, err := migrations.New(db, migrations.SQLite, "pupwasm")
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := migrator.Up(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if err := open(t, path, sqlite.Options{}).Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestMigrations_downAndUpAgain(t *testing.T) {
	t.Parallel()
	path := migrated(t)
	db, err := sqlite.OpenSQL(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	migrator, err := migrations.New(db, migrations.SQLite, "pupwasm")
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, path, sqlite.Options{})
	appendTo(t, s, "a", 1)
	if _, err := migrator.Down(t.Context(), 99); err != nil {
		t.Fatal(err)
	}
	if err := s.Ping(t.Context()); !errors.Is(err, store.ErrNotMigrated) {
		t.Errorf("after down: %v", err)
	}
	_, err = s.Append(t.Context(), store.AppendOptions{}, store.StreamAppend{Stream: stream("a"), Events: events(1)})
	if !errors.Is(err, store.ErrNotMigrated) {
		t.Errorf("an append after down: %v", err)
	}
	if _, err := s.Horizon(t.Context()); err != nil && !errors.Is(err, store.ErrNotMigrated) {
		t.Errorf("the horizon after down: %v", err)
	}
	if _, err := migrator.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	appendTo(t, s, "a", 1)
}

func TestStore_lockedFileIsTransient(t *testing.T) {
	t.Parallel()
	path := migrated(t)
	s := open(t, path, sqlite.Options{BusyTimeout: 10 * time.Millisecond})
	other := open(t, path, sqlite.Options{})
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	err := other.InTx(t.Context(), func(*sqlite.Tx) error {
		_, err := s.Append(t.Context(), store.AppendOptions{},
			store.StreamAppend{Stream: stream("a"), Events: events(1)})
		if !errors.Is(err, store.ErrTransient) || !strings.Contains(err.Error(), "database is locked") {
			t.Errorf("got %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Heartbeat(ctx, store.Worker{Name: "w"}, time.Second); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		return s.Ping(t.Context()) // reading goes on
	})
	if err != nil {
		t.Fatal(err)
	}
	appendTo(t, s, "a", 1)
}

func TestClose_refusesWhatComesAfter(t *testing.T) {
	t.Parallel()
	s := openNew(t)
	appendTo(t, s, "a", 1)
	s.Close()
	s.Close()
	if err := s.Ping(t.Context()); err == nil || errors.Is(err, store.ErrTransient) {
		t.Errorf("got %v", err)
	}
}

// endless is a statement that ends only by interruption.
const endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"

func TestStore_interruptsLongStatements(t *testing.T) {
	t.Parallel()
	s := openNew(t)
	p := totals()
	p.Queries = []store.Query{{
		Name: "endless", SQL: store.Statement{store.DialectAny: endless},
		Results: []store.Type{i64}, Unordered: true,
	}}
	p.Writes = []store.Write{{Name: "endless", SQL: store.Statement{store.DialectAny: "INSERT INTO {table} (id) VALUES ((" + endless + "))"}, Unordered: true}}
	c := install(t, s, p, 1)
	held := claim(t, s, p.Name, 1)[0]
	for name, run := range map[string]func(ctx context.Context) error{
		"query": func(ctx context.Context) error {
			var rows store.Rows
			return c.Begin(held).Query(ctx, 0, nil, &rows)
		},
		"write": func(ctx context.Context) error {
			return c.Begin(held).Commit(ctx, store.Commit{
				Through: 1, Steps: []store.Step{{Count: 1}},
				Log: held.Applied.Log,
			})
		},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if err := run(ctx); !errors.Is(err, store.ErrTransient) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s with a deadline: %v", name, err)
		}
		cancel()
		ctx, cancel = context.WithCancel(t.Context())
		stop := time.AfterFunc(10*time.Millisecond, cancel)
		if err := run(ctx); err != context.Canceled { //nolint:errorlint // it is handed on as it is
			t.Errorf("%s cancelled: %v", name, err)
		}
		stop.Stop()
		cancel()
	}
	appendTo(t, s, "a", 1) // the writer is free again
}

func TestRead_cancelledInTheMiddleIsNoShortPage(t *testing.T) {
	t.Parallel()
	s := openNew(t)
	appendTo(t, s, "a", 5000)
	for delay := range 40 {
		ctx, cancel := context.WithCancel(t.Context())
		timer := time.AfterFunc(time.Duration(delay)*100*time.Microsecond, cancel)
		var page store.Page
		err := s.Read(ctx, store.ReadRequest{
			Through: 5000, Limit: 5000, Range: store.FullRange(),
			Columns: store.AllColumns,
		}, &page)
		if err == nil && len(page.Events) != 5000 {
			t.Fatalf("a page of %d events passes for whole", len(page.Events))
		}
		timer.Stop()
		cancel()
	}
}

func TestStore_statementWithoutMemoryIsRejected(t *testing.T) {
	t.Parallel()
	s := openNew(t)
	p := totals()
	p.Queries = nil
	for _, sql := range []string{
		"SELECT hex(zeroblob(500000000))",
		"SELECT hex(replace(hex(zeroblob(20000000)), '0', '0123456789'))",
		"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100), a AS MATERIALIZED " +
			"(SELECT i, zeroblob(30000000) AS b FROM n) SELECT max(hex(a.b) || hex(c.b)) FROM a JOIN a AS c " +
			"ORDER BY a.b",
		"SELECT json_group_array(hex(zeroblob(10000000))) FROM generate_series(1, 1000)",
	} {
		p.Queries = append(p.Queries, store.Query{
			Name: sql, SQL: store.Statement{store.DialectAny: sql},
			Results: []store.Type{text}, Unordered: true,
		})
	}
	p.Writes = []store.Write{{Name: "big", SQL: store.Statement{store.DialectAny: "INSERT INTO {table} (id) " +
		p.Queries[3].SQL[store.DialectAny]}, Unordered: true}}
	c := install(t, s, p, 1)
	held := claim(t, s, p.Name, 1)[0]
	var rejection *store.RejectedError
	for i := range p.Queries {
		var rows store.Rows
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		err := c.Begin(held).Query(ctx, i, nil, &rows)
		if !errors.As(err, &rejection) && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("query %d: %v", i, err)
		}
		t.Log(err)
		cancel()
	}
	err := c.Begin(held).Commit(t.Context(), store.Commit{
		Through: 1, Steps: []store.Step{{Count: 1}},
		Log: held.Applied.Log,
	})
	if !errors.As(err, &rejection) {
		t.Errorf("write: %v", err)
	}
	t.Log(err)
	appendTo(t, s, "a", 1)
	if err := c.Begin(held).Commit(t.Context(), store.Commit{Through: 1, Log: held.Applied.Log}); err != nil {
		t.Errorf("the claim was lost: %v", err)
	}
}
