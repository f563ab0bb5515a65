package sqlite_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/migrations"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// migrated returns the path of a new database file with the tables of this version.
func migrated(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.db")
	db, err := sqlite.OpenSQL(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	migrator, err := migrations.New(db, migrations.SQLite, "pupwasm")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := migrator.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	return path
}

// open waits long for other writers, and lets statements run long, for machines that are busy.
func open(t testing.TB, path string, options sqlite.Options) sqlite.Backend {
	t.Helper()
	if options.BusyTimeout == 0 {
		options.BusyTimeout = testwait.Patience
	}
	if options.StatementTimeout == 0 {
		options.StatementTimeout = testwait.Patience
	}
	s, err := sqlite.OpenBackend(path, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func openNew(t testing.TB) sqlite.Backend {
	t.Helper()
	return open(t, migrated(t), sqlite.Options{})
}

var (
	text    = store.Type{Kind: store.KindText}
	i64     = store.Type{Kind: store.KindI64}
	numeric = store.Type{Kind: store.KindNumeric}
)

func stream(id string) store.Stream {
	return store.Stream{BoundedContext: "library", AggregateType: "loan", AggregateID: id}
}

func events(n int) []store.Event {
	list := make([]store.Event, n)
	for i := range list {
		list[i] = store.Event{Type: "happened", Payload: []byte(`{"n":1}`)}
	}
	return list
}

func appendTo(t testing.TB, s sqlite.Backend, id string, n int) {
	t.Helper()
	if _, err := s.Append(t.Context(), store.AppendOptions{},
		store.StreamAppend{Stream: stream(id), Events: events(n)}); err != nil {
		t.Fatal(err)
	}
}

// totals is a projection that adds up by key.
func totals() *store.Projection {
	return &store.Projection{
		Name: "fines", Version: 1,
		Tables: []store.Table{{
			Name: "total", Key: []string{"id"}, Indexes: [][]string{{"amount"}},
			Columns: []store.Column{
				{Name: "id", Type: text, Partition: true},
				{Name: "amount", Type: i64},
				{Name: "exact", Type: numeric},
			},
		}},
		Writes: []store.Write{
			{
				Name: "add", Action: store.Upsert, Table: "total",
				Columns: []store.WriteColumn{{Name: "amount", Action: store.ActionAdd}},
			},
			{Name: "bump", SQL: store.Statement{store.DialectAny: "UPDATE {table} SET amount = amount + $2 " +
				"WHERE id = $1"}, Params: []store.Type{text, i64}, PartitionParam: 1},
			{
				Name: "exact", Action: store.Upsert, Table: "total",
				Columns: []store.WriteColumn{{Name: "exact", Action: store.ActionAdd}},
			},
		},
		Queries: []store.Query{
			{Name: "load", Table: "total", Columns: []string{"amount", "exact"}},
			{
				Name: "all", SQL: store.Statement{store.DialectAny: "SELECT id, amount FROM {total} ORDER BY id"},
				Results: []store.Type{text, i64}, Unordered: true,
			},
		},
	}
}

func install(t testing.TB, s sqlite.Backend, p *store.Projection, segments int) store.Catalogue {
	t.Helper()
	c, err := s.Install(t.Context(), p, segments)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func claim(t testing.TB, s sqlite.Backend, projection string, limit int) []store.Claim {
	t.Helper()
	if err := s.Heartbeat(t.Context(), store.Worker{Name: "worker"}, time.Minute); err != nil {
		t.Fatal(err)
	}
	claims, err := s.Claim(t.Context(), store.ClaimRequest{
		Projection: store.ProjectionID{Name: projection, Version: 1},
		Worker:     "worker", Limit: limit,
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(claims) == 0 {
		t.Fatal("no segment was free")
	}
	if err := s.HandOut(t.Context()); err != nil {
		t.Fatal(err)
	}
	return claims
}

// rows runs a query of the catalogue.
func rows(t testing.TB, c store.Catalogue, query int, arguments ...store.Value) store.Rows {
	t.Helper()
	var found store.Rows
	tx := c.Begin(store.Claim{})
	defer tx.Rollback()
	if err := tx.Query(context.Background(), query, arguments, &found); err != nil {
		t.Fatal(err)
	}
	return found
}

func TestStore_wholeRound(t *testing.T) {
	t.Parallel()
	s := openNew(t)
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	appended, err := s.Append(t.Context(), store.AppendOptions{},
		store.StreamAppend{Stream: stream("1"), Events: []store.Event{
			{Type: "a", Payload: []byte("x"), TraceID: "t"}, {Type: "b", Metadata: []byte(`{"a":1}`)},
		}})
	if err != nil || len(appended) != 2 || appended[1].Position != 2 || appended[1].AggregateVersion != 2 {
		t.Fatal(appended, err)
	}
	h, err := s.Horizon(t.Context())
	if err != nil || h.Position != 2 || h.Head != 2 {
		t.Fatal(h, err)
	}
	var page store.Page
	request := store.ReadRequest{Through: h.Position, Limit: 10, Range: store.FullRange(), Columns: store.AllColumns}
	if err := s.Read(t.Context(), request, &page); err != nil {
		t.Fatal(err)
	}
	first := page.Events[0]
	if first.AggregateID != "1" || string(first.Payload) != "x" || first.TraceID != "t" ||
		string(first.Metadata) != "{}" ||
		first.ID != appended[0].ID || first.PartitionHash != store.PartitionHash("1") ||
		time.Since(first.CreatedAt) > time.Minute {
		t.Fatalf("%+v", first)
	}

	p := totals()
	c := install(t, s, p, 2)
	held := claim(t, s, "fines", 2)
	mutations := []store.Mutation{
		{Write: 0, Values: []store.Value{store.Text("a"), store.I64(4)}},
		{Write: 1, Values: []store.Value{store.Text("a"), store.I64(1)}},
		{Write: 2, Values: []store.Value{store.Text("a"), store.BytesOf(store.KindNumeric, []byte("1.50"))}},
		{Write: 1, Values: []store.Value{store.Text("a"), store.I64(1)}},
		{Write: 2, Values: []store.Value{store.Text("a"), store.BytesOf(store.KindNumeric, []byte("+0.25"))}},
	}
	if err := c.Begin(held[0]).Commit(t.Context(), store.Commit{
		Through: 2, Steps: store.NewFolder(p).Fold(mutations),
		Log: held[0].Applied.Log,
	}); err != nil {
		t.Fatal(err)
	}
	keys := store.ArrayOf(store.KindText, []store.Value{store.Text("b"), store.Null(), store.Text("a")})
	loaded := rows(t, c, 0, keys)
	if len(loaded.Values) != 3 || loaded.Values[0].Int() != 2 || loaded.Values[1].Int() != 6 ||
		string(loaded.Values[2].Bytes()) != "1.75" {
		t.Fatalf("%+v", loaded)
	}
	if all := rows(t, c, 1); len(all.Values) != 2 || string(all.Values[0].Bytes()) != "a" {
		t.Fatalf("%+v", all)
	}
	if err := c.Begin(held[0]).Commit(t.Context(), store.Commit{
		Through: 3,
		Log:     held[0].Applied.Log,
	}); !errors.Is(err, store.ErrFenced) {
		t.Fatalf("a second commit at the same position: %v", err)
	}
	if err := s.Leave(t.Context(), store.Worker{Name: "worker"}); err != nil {
		t.Fatal(err)
	}
	if err := s.Reset(t.Context(), "fines"); err != nil {
		t.Fatal(err)
	}
	status, err := s.Status(t.Context())
	if err != nil || len(status) != 0 {
		t.Fatal(status, err)
	}
}

func TestCommit_sumOfTooManyDigitsIsRejected(t *testing.T) {
	t.Parallel()
	s := openNew(t)
	c := install(t, s, totals(), 1)
	held := claim(t, s, "fines", 1)[0]
	add := func(number string) error {
		step := store.Step{
			Write: 2, Width: 2, Count: 1, Values: []store.Value{
				store.Text("a"),
				store.BytesOf(store.KindNumeric, []byte(number)),
			},
		}
		err := c.Begin(held).Commit(t.Context(), store.Commit{
			Through: held.Position + 1, Steps: []store.Step{step}, Log: held.Applied.Log,
		})
		if err == nil {
			held.Position++
		}
		return err
	}
	if err := add(strings.Repeat("9", 900)); err != nil {
		t.Fatal(err)
	}
	var rejection *store.RejectedError
	if err := add("0." + strings.Repeat("1", 900)); !errors.As(err, &rejection) {
		t.Errorf("got %v", err)
	}
	if err := add("1"); err != nil {
		t.Error(err)
	}
	loaded := rows(t, c, 0, store.ArrayOf(store.KindText, []store.Value{store.Text("a")}))
	if got := string(loaded.Values[2].Bytes()); got != "1"+strings.Repeat("0", 900) {
		t.Errorf("the sum is %s", got)
	}
}
