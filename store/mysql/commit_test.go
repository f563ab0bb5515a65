package mysql_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
)

func TestCommit_isOneRoundTrip(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	p := newProxy(t, at)
	r := newRig(t, at, p.url, mysql.Options{ConnectionsMax: 2})
	many := make([]store.Mutation, 5000)
	for i := range many {
		many[i] = add(fmt.Sprint("name", i), 1)
	}
	remove := store.Mutation{Write: ledgerDelete, Values: []store.Value{store.Text("a")}}
	for i, mutations := range [][]store.Mutation{
		nil, {add("a", 1)}, {add("a", 1), remove, insert("a", 5), add("b", 7), file(1, []byte("x"))}, many,
	} {
		if got := p.RoundTrips(func() { must(t, r.commit(t.Context(), mutations...)) }); got != 1 {
			t.Errorf("commit %d takes %d round trips, want 1", i, got)
		}
	}
	r.sends()
	for range 2 {
		message := aMessage(ledger().ID(), r.claim.Position+1, 0, "k")
		if got := p.RoundTrips(func() { must(t, r.emit([]store.Message{message}, add("c", 1))) }); got != 1 {
			t.Errorf("a commit with a message takes %d round trips, want 1", got)
		}
	}
	got := p.RoundTrips(func() {
		tx := r.catalogue.Begin(r.claim)
		defer tx.Rollback()
		var rows store.Rows
		must(t, tx.Query(t.Context(), 0, []store.Value{store.ArrayOf(store.KindText, []store.Value{store.Text("b")})}, &rows))
		must(t, r.end(t.Context(), tx, add("b", rows.Values[1].Int())))
	})
	if got != 2 {
		t.Errorf("a query and a commit take %d round trips, want 2", got)
	}
	wantText(t, r.db, "SELECT n FROM "+r.table("total")+" WHERE name = 'b'", "14")
}

// TestCommit_inParts writes more than is sent at once, and rows that are longer than a statement.
func TestCommit_inParts(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	r := newRig(t, at, at.URL, mysql.Options{})
	var mutations []store.Mutation
	size := 0
	for i := range int64(40) {
		data := bytes.Repeat([]byte{byte(i)}, 1000<<(i%12))
		if i == 7 {
			data = bytes.Repeat([]byte("'\\\x00\n"), 5<<20)
		}
		size += len(data)
		mutations = append(mutations, file(i, data), add(fmt.Sprint(i), i))
	}
	must(t, r.commit(t.Context(), mutations...))
	wantText(t, r.db, "SELECT CONCAT(COUNT(*), ' ', SUM(LENGTH(data))) FROM "+r.table("file"), fmt.Sprint("40 ", size))
	wantText(t, r.db, "SELECT COUNT(*) FROM "+r.table("file")+" WHERE data = REPEAT(CHAR(id), LENGTH(data)) OR id = 7 "+
		"AND data = REPEAT(CONCAT(CHAR(39), CHAR(92), CHAR(0), CHAR(10)), 5242880)", "40")
	wantText(t, r.db, "SELECT position FROM pupwasm__segments", "1")

	// The last part is refused: of the others nothing stays.
	var refused *store.RejectedError
	err := r.commit(t.Context(), append(mutations, insert("39", 1))...)
	if !errors.As(err, &refused) || refused.Statement != `write "new"` {
		t.Errorf("got %v", err)
	}
	wantText(t, r.db, "SELECT SUM(n) FROM "+r.table("total"), fmt.Sprint(39*40/2))
	wantText(t, r.db, "SELECT position FROM pupwasm__segments", "1")
	r.claim.Epoch--
	if err := r.commit(t.Context(), mutations...); !errors.Is(err, store.ErrFenced) {
		t.Errorf("with a claim that is lost: %v", err)
	}
}

func TestCommit_aRowLargerThanAPacketIsRefused(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	r := newRig(t, at, at.URL, mysql.Options{})
	tx := r.catalogue.Begin(r.claim)
	defer tx.Rollback()
	large := make([]byte, 40<<20) // which are 80 MiB as hex, and the server takes 64
	err := tx.Commit(t.Context(), store.Commit{
		Through: 1, Log: r.claim.Applied.Log, Explain: true,
		Steps: r.folder.Fold([]store.Mutation{file(1, nil), file(2, large), file(3, nil)}),
	})
	var refused *store.RejectedError
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), `write "file": table file, key id = 2, column data = \x00`) ||
		!strings.Contains(err.Error(), "max_allowed_packet") || len(err.Error()) > 400 {
		t.Errorf("got %.500v", err)
	}
	wantText(t, r.db, "SELECT COUNT(*) FROM "+r.table("file"), "0")
	must(t, r.commit(t.Context(), add("a", 1)))
	r.want("a 1")
}

// TestCommit_anotherUniqueKeyIsNotTheTables adds a unique index by hand. An upsert whose row has another row's value there
// must not change that row.
func TestCommit_anotherUniqueKeyIsNotTheTables(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	r := newRig(t, at, at.URL, mysql.Options{})
	must(t, r.commit(t.Context(), add("a", 1), add("b", 2)))
	execute(t, r.db, "CREATE UNIQUE INDEX by_hand ON "+r.table("total")+" (n)")
	var refused *store.RejectedError
	err := r.commit(t.Context(), add("c", 2))
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), "unique by an index that was added") {
		t.Errorf("got %v", err)
	}
	if err := r.commit(t.Context(), add("a", 1)); !errors.As(err, &refused) || !strings.Contains(err.Error(), "by_hand") {
		t.Errorf("got %v", err)
	}
	must(t, r.commit(t.Context(), add("c", 3)))
	r.want("a 1; b 2; c 3")
}

// TestCommit_deadlock has two transactions wait for each other: one of them is told so, and nothing of it stays.
func TestCommit_deadlock(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	r := newRig(t, at, at.URL, mysql.Options{})
	must(t, r.commit(t.Context(), add("a", 1), add("b", 1), file(1, nil)))
	other := begun(t, at, "UPDATE "+r.table("file")+" SET data = 'x' WHERE id = 1", "SET innodb_lock_wait_timeout = 60")
	for i := range 100 { // the lighter one is ended
		_, err := other.Exec(fmt.Sprintf("INSERT INTO %s VALUES (%d, '')", r.table("file"), 100+i))
		must(t, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- r.commit(t.Context(), add("a", 1), file(1, []byte("y"))) }()
	awaitBlocked(t, at, 1)
	_, err := other.Exec("UPDATE " + r.table("total") + " SET n = n + 10 WHERE name = 'a'")
	must(t, err)
	if err := <-ended; !errors.Is(err, store.ErrDeadlock) {
		t.Errorf("got %v", err)
	}
	must(t, other.Commit())
	r.want("a 11; b 1")
	must(t, r.commit(t.Context(), add("a", 1)))
	r.want("a 12; b 1")
}

func TestQuery_manyKeys(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	r := newRig(t, at, at.URL, mysql.Options{})
	var mutations []store.Mutation
	var keys []store.Value
	for i := range 5000 {
		name := fmt.Sprint("näme ", i)
		mutations, keys = append(mutations, add(name, int64(i))), append(keys, store.Text(name), store.Text("no "+name))
	}
	must(t, r.commit(t.Context(), mutations...))
	var rows store.Rows
	must(t, r.catalogue.Begin(r.claim).Query(t.Context(), 0, []store.Value{store.ArrayOf(store.KindText, keys)}, &rows))
	if len(rows.Values) != 2*5000 {
		t.Fatalf("got %d values", len(rows.Values))
	}
	for i := range 5000 {
		if index, n := rows.Values[2*i].Int(), rows.Values[2*i+1].Int(); index != int64(2*i) || n != int64(i) {
			t.Fatalf("row %d is of key %d with %d", i, index, n)
		}
	}
}

// TestCommit_longKeysOfBytes asks for and deletes a row by a key that is longer than any, and begins as one of another row
// does.
func TestCommit_longKeysOfBytes(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	p := ledger()
	p.Tables = append(p.Tables, store.Table{Name: "mark", Key: []string{"id"}, Columns: []store.Column{
		{Name: "id", Type: kind(store.KindBytes)}, {Name: "n", Type: kind(store.KindI64)},
	}})
	p.Writes = append(p.Writes,
		store.Write{Name: "mark", Action: store.Upsert, Table: "mark", Columns: []store.WriteColumn{{Name: "n"}}},
		store.Write{Name: "unmark", Action: store.Delete, Table: "mark"})
	p.Queries = append(p.Queries, store.Query{Name: "marked", Table: "mark", Columns: []string{"n"}})
	r := newRigOf(t, at, at.URL, mysql.Options{}, p)
	short := []byte("short")
	long := append(short, bytes.Repeat([]byte("z"), 1<<16)...) // cut to 16 bits of a length, it is the short one
	marked := store.Mutation{Write: ledgerFile + 1, Values: []store.Value{store.BytesOf(store.KindBytes, short), store.I64(7)}}
	must(t, r.commit(t.Context(), marked))
	tx := r.catalogue.Begin(r.claim)
	defer tx.Rollback()
	var rows store.Rows
	must(t, tx.Query(t.Context(), 1, []store.Value{
		store.ArrayOf(store.KindBytes, []store.Value{store.BytesOf(store.KindBytes, long)}),
	}, &rows))
	if len(rows.Values) > 0 {
		t.Errorf("a row of another key is found: %v", rows.Values)
	}
	unmark := store.Mutation{Write: ledgerFile + 2, Values: []store.Value{store.BytesOf(store.KindBytes, long)}}
	must(t, r.commit(t.Context(), unmark))
	wantText(t, r.db, "SELECT n FROM "+r.table("mark"), "7")
}
