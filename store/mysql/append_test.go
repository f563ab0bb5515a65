package mysql_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/mariadbserver"
	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
)

func stream(id string) store.Stream {
	return store.Stream{BoundedContext: "shop", AggregateType: "order", AggregateID: id}
}

func events(n int) []store.Event {
	all := make([]store.Event, n)
	for i := range all {
		all[i] = store.Event{Type: "placed", Payload: fmt.Appendf(nil, `{"n":%d}`, i+1)}
	}
	return all
}

// appendTo appends n events.
func appendTo(t testing.TB, to store.Appender, id string, n int) []store.Appended {
	t.Helper()
	appended, err := to.Append(t.Context(), store.AppendOptions{}, store.StreamAppend{Stream: stream(id), Events: events(n)})
	must(t, err)
	return appended
}

// insertVersion is an event of another program, with the least that it must give.
func insertVersion(id string, version int) string {
	return fmt.Sprintf("INSERT INTO pupwasm__events (bounded_context, aggregate_type, aggregate_id, aggregate_version, event_type, "+
		"payload) VALUES ('shop', 'order', '%s', %d, 'inserted', '')", id, version)
}

// wantVersions checks which versions of a stream are there, in the order of their positions.
func wantVersions(t testing.TB, at mariadbtest.Database, id, want string) {
	t.Helper()
	got := queryText(t, at.Connect(t), "SELECT COALESCE(GROUP_CONCAT(aggregate_version ORDER BY global_position), '') "+
		"FROM pupwasm__events WHERE aggregate_id = '"+id+"'")[0][0]
	if got != want {
		t.Errorf("stream %s has the versions %s, want %s", id, got, want)
	}
}

func TestInTx_appendsTogetherWithOwnSQL(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	s := open(t, at.URL, mysql.Options{})
	execute(t, at.Connect(t), "CREATE TABLE account (id VARCHAR(10))")
	id := store.UUID{1}
	must(t, s.InTx(t.Context(), func(tx *mysql.Tx) error {
		if _, err := tx.SQL().ExecContext(t.Context(), "INSERT INTO account VALUES ('a')"); err != nil {
			return err
		}
		_, err := tx.Append(store.AppendOptions{}, store.StreamAppend{
			Stream: stream("a"), Events: []store.Event{{ID: id, Type: "opened"}},
		})
		return err
	}))
	// A failed append leaves nothing of itself, and the caller goes on.
	must(t, s.InTx(t.Context(), func(tx *mysql.Tx) error {
		for _, given := range [][]store.Event{{{ID: id, Type: "again"}}, {{Type: "lost"}, {ID: id, Type: "again"}}} {
			_, err := tx.Append(store.AppendOptions{}, store.StreamAppend{Stream: stream("b"), Events: given})
			var duplicate *store.DuplicateEventError
			if !errors.As(err, &duplicate) || duplicate.ID != id {
				t.Errorf("got %v", err)
			}
		}
		appendTo(t, tx.Streams(), "c", 1)
		appendTo(t, tx.Streams(), "b", 2)
		return nil
	}))
	wantVersions(t, at, "b", "1,2")
	wantVersions(t, at, "c", "1")
	// An error of the caller takes everything back and comes out as it is.
	broken := errors.New("changed my mind")
	err := s.InTx(t.Context(), func(tx *mysql.Tx) error {
		appendTo(t, tx.Streams(), "b", 3)
		return broken
	})
	if err != broken { //nolint:errorlint // it is handed on as it is
		t.Errorf("error %v", err)
	}
	appendTo(t, s, "b", 1)
	wantVersions(t, at, "b", "1,2,3")
}

func TestInTx_endsWhenTheCallerPanics(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	s := open(t, at.URL, mysql.Options{ConnectionsMax: 1})
	func() {
		defer func() { _ = recover() }()
		_ = s.InTx(t.Context(), func(tx *mysql.Tx) error {
			appendTo(t, tx.Streams(), "a", 1)
			panic("a fault of the caller")
		})
	}()
	appendTo(t, s, "a", 2)
	wantVersions(t, at, "a", "1,2")
}

// TestAppend_afterOtherPrograms has them insert and delete events by themselves.
func TestAppend_afterOtherPrograms(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	s := open(t, at.URL, mysql.Options{})
	db := at.Connect(t)
	one := func(expected store.Expected, n int) error {
		_, err := s.Append(t.Context(), store.AppendOptions{},
			store.StreamAppend{Stream: stream("a"), Expected: expected, Events: events(n)})
		return err
	}
	wantConflict := func(expected store.Expected, n int, actual int64) {
		t.Helper()
		want := store.VersionConflictError{Stream: stream("a"), Expected: expected, Actual: actual}
		var conflict *store.VersionConflictError
		if err := one(expected, n); !errors.As(err, &conflict) || *conflict != want {
			t.Errorf("%s, %d events: %v, want %v", expected, n, err, &want)
		}
	}
	execute(t, db, insertVersion("a", 1)+"; "+insertVersion("a", 2))
	for n := range 3 {
		wantConflict(store.NoStream(), n, 2)
		wantConflict(store.Exact(1), n, 2)
		wantConflict(store.Exact(3), n, 2)
	}
	must(t, one(store.Any(), 1))
	execute(t, db, insertVersion("a", 4))
	must(t, one(store.Any(), 2))
	execute(t, db, insertVersion("a", 7))
	must(t, one(store.Exact(7), 1))
	wantConflict(store.Exact(7), 0, 8) // a condition
	must(t, one(store.Exact(8), 2))
	execute(t, db, insertVersion("a", 11)+"; "+insertVersion("a", 12))
	_, err := s.Append(t.Context(), store.AppendOptions{SkipDuplicates: true},
		store.StreamAppend{Stream: stream("b"), Events: events(1)}, store.StreamAppend{Stream: stream("a"), Events: events(1)})
	must(t, err)
	wantVersions(t, at, "a", "1,2,3,4,5,6,7,8,9,10,11,12,13")

	execute(t, db, "DELETE FROM pupwasm__events WHERE aggregate_id = 'a' AND aggregate_version > 4")
	wantConflict(store.Exact(13), 1, 4)
	must(t, one(store.Exact(4), 1))
	execute(t, db, "UPDATE pupwasm__events SET aggregate_id = 'moved' WHERE aggregate_id = 'a' AND aggregate_version > 3")
	must(t, one(store.Any(), 1))
	wantVersions(t, at, "a", "1,2,3,4")
	appendTo(t, s, "moved", 2)
	wantVersions(t, at, "moved", "4,5,6,7")
	execute(t, db, "DELETE FROM pupwasm__events")
	must(t, one(store.NoStream(), 1))
	wantVersions(t, at, "a", "1")
}

// TestAppend_besideAnOpenInsert of another program waits for its end.
func TestAppend_besideAnOpenInsert(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	s := open(t, at.URL, mysql.Options{})
	for _, commit := range []bool{true, false} {
		for _, expected := range []store.Expected{store.Any(), store.Exact(1)} {
			for _, n := range []int{1, 2, 3} {
				id := fmt.Sprint(commit, expected, n)
				appendTo(t, s, id, 1)
				tx := begun(t, at, insertVersion(id, 2))
				result := make(chan error)
				go func() {
					_, err := s.Append(t.Context(), store.AppendOptions{SkipDuplicates: n == 3},
						store.StreamAppend{Stream: stream(id), Expected: expected, Events: events(n)})
					result <- err
				}()
				awaitBlocked(t, at, 1)
				if commit {
					must(t, tx.Commit())
				} else {
					must(t, tx.Rollback())
				}
				err := <-result
				var conflict *store.VersionConflictError
				if commit && expected != store.Any() {
					if !errors.As(err, &conflict) || conflict.Actual != 2 {
						t.Errorf("%s: %v", id, err)
					}
					continue
				}
				must(t, err)
			}
		}
	}
	wantVersions(t, at, fmt.Sprint(true, store.Any(), 3), "1,2,3,4,5")
	wantVersions(t, at, fmt.Sprint(false, store.Exact(1), 3), "1,2,3,4")
}

// TestAppendTx_olderView appends in transactions that do not see what others have appended since they began, and in
// sessions of any kind.
func TestAppendTx_olderView(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	s := open(t, at.URL, mysql.Options{})
	db := foreign(t, at)
	for _, isolation := range []sql.IsolationLevel{
		sql.LevelReadUncommitted, sql.LevelReadCommitted, sql.LevelRepeatableRead, sql.LevelSerializable,
	} {
		for n := range 3 {
			id := fmt.Sprint(isolation, n)
			old := appendTo(t, s, id, 1)
			tx, err := db.BeginTx(t.Context(), &sql.TxOptions{Isolation: isolation})
			must(t, err)
			_, err = tx.ExecContext(t.Context(), "DO (SELECT COUNT(*) FROM `"+at.Name+"`.pupwasm__log)") // its view begins here
			must(t, err)
			appendTo(t, s, id, 1)
			streams := s.StreamsTx(tx)
			_, err = streams.Append(t.Context(), store.AppendOptions{},
				store.StreamAppend{Stream: stream(id), Expected: store.Exact(1), Events: events(n)})
			var conflict *store.VersionConflictError
			if !errors.As(err, &conflict) || conflict.Actual != 2 {
				t.Errorf("%s: %v", id, err)
			}
			appendTo(t, streams, id, max(n, 1))
			appended, err := streams.Append(t.Context(), store.AppendOptions{SkipDuplicates: true},
				store.StreamAppend{Stream: stream(id), Events: []store.Event{{ID: old[0].ID, Type: "again"}, {Type: "new"}}})
			must(t, err)
			if !appended[0].Skipped() || appended[1].AggregateVersion != int64(3+max(n, 1)) {
				t.Errorf("%s: appended %+v", id, appended)
			}
			must(t, tx.Commit())
		}
	}
	wantVersions(t, at, fmt.Sprint(sql.LevelSerializable, 2), "1,2,3,4,5")
}

// badValues are what MariaDB's columns cannot hold, beyond what is refused before anything is sent.
var badValues = map[string]store.Event{
	"half a character": {Type: "x", Metadata: []byte(`{"a": "\ud800"}`)},
	"too deep":         {Type: "x", Metadata: []byte(`{"a": ` + strings.Repeat("[", 60) + strings.Repeat("]", 60) + `}`)},
	"no text":          {Type: "x\xff"},
	"a time too far":   {Type: "x", CreatedAt: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)},
	"a time too early": {Type: "x", CreatedAt: time.Date(-5000, 1, 1, 0, 0, 0, 0, time.UTC)},
}

func TestAppend_valuesThatNoColumnHolds(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	s := open(t, at.URL, mysql.Options{})
	for name, event := range badValues {
		for _, before := range []int{0, 1, 2000} {
			appends := []store.StreamAppend{{Stream: stream("a"), Events: append(events(before), event)}}
			check := func(way string, err error) {
				t.Helper()
				var input *store.InputError
				if !errors.As(err, &input) || strings.Contains(err.Error(), "\n") {
					t.Errorf("%s behind %d, %s: %v", name, before, way, err)
				}
			}
			_, err := s.Append(t.Context(), store.AppendOptions{}, appends...)
			check("in a transaction of its own", err)
			tx, err := foreign(t, at).BeginTx(t.Context(), nil)
			must(t, err)
			_, err = s.AppendTx(t.Context(), tx, store.AppendOptions{}, appends...)
			check("in one of a session that is not strict", err)
			must(t, tx.Commit())
		}
	}
	wantVersions(t, at, "a", "")
	appendTo(t, s, "a", 1)
	wantVersions(t, at, "a", "1")
}

// TestAppend_longStatements has a server that takes short ones only.
func TestAppend_longStatements(t *testing.T) {
	t.Parallel()
	server, err := mariadbserver.Start("max-allowed-packet=1M")
	must(t, err)
	t.Cleanup(server.Stop)
	at := mariadbtest.On(t, server)
	at.Migrate(t, "pupwasm")
	s := open(t, at.URL, mysql.Options{})
	const fits = 500 << 10 // as hex it is twice as long
	var appends []store.StreamAppend
	for i := range 4 {
		appends = append(appends, store.StreamAppend{Stream: stream(fmt.Sprint("s", i)), Events: events(1000)})
		for j := range appends[i].Events {
			appends[i].Events[j].ID = store.UUID{1, byte(i), byte(j >> 8), byte(j)}
			appends[i].Events[j].Payload = make([]byte, 300)
		}
	}
	appends[2].Events[500].Payload = make([]byte, fits)
	for _, skip := range []bool{false, true} {
		appended, err := s.Append(t.Context(), store.AppendOptions{SkipDuplicates: skip}, appends...)
		must(t, err)
		for i := range appended {
			if appended[i].Skipped() != skip || i > 0 && !skip && appended[i].Position != appended[i-1].Position+1 {
				t.Fatalf("event %d became %+v, behind %+v", i, appended[i], appended[i-1])
			}
		}
	}
	one := func(size int) store.StreamAppend {
		return store.StreamAppend{Stream: stream("a"), Events: []store.Event{{Type: "large", Payload: make([]byte, size)}}}
	}
	last, err := s.Append(t.Context(), store.AppendOptions{}, one(fits))
	must(t, err)
	var input *store.InputError
	_, err = s.Append(t.Context(), store.AppendOptions{}, one(100), one(600<<10))
	if !errors.As(err, &input) || input.Field != "payload" || !strings.Contains(err.Error(), "raise max_allowed_packet") ||
		strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
	_, err = s.SaveSnapshot(t.Context(), store.Snapshot{
		Stream: stream("a"), AggregateVersion: 1, EventID: last[0].ID, State: make([]byte, 600<<10),
	})
	if !errors.As(err, &input) || input.Field != "state" || !strings.Contains(err.Error(), "raise max_allowed_packet") {
		t.Errorf("got %v", err)
	}
	wantVersions(t, at, "a", "1")
}

// TestAppend_inADatabaseOfAnotherEncoding has the server's texts in Latin-1, unless somebody says otherwise.
func TestAppend_inADatabaseOfAnotherEncoding(t *testing.T) {
	t.Parallel()
	at := mariadbtest.Empty(t)
	execute(t, at.Connect(t), "ALTER DATABASE "+at.Name+" CHARACTER SET latin1 COLLATE latin1_swedish_ci")
	at.Migrate(t, "pupwasm")
	s := open(t, at.URL, mysql.Options{})
	const zoe = "Zoë 🦀"
	event := store.Event{Type: zoe, TraceID: zoe, Metadata: []byte(`{"` + zoe + `":"` + zoe + `"}`)}
	for _, n := range []int{1, 3} {
		many := make([]store.Event, n)
		for i := range many {
			many[i] = event
		}
		_, err := s.Append(context.Background(), store.AppendOptions{}, store.StreamAppend{Stream: stream(zoe), Events: many})
		must(t, err)
	}
	recorded, err := s.ReadStream(t.Context(), stream(zoe), 1, 0)
	must(t, err)
	for _, got := range recorded {
		if got.Stream != stream(zoe) || got.Type != zoe || got.TraceID != zoe || string(got.Metadata) != string(event.Metadata) {
			t.Errorf("read %+v", got)
		}
	}
	if len(recorded) != 4 {
		t.Errorf("read %d events", len(recorded))
	}
}
