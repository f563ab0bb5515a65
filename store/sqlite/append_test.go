package sqlite_test

import (
	"context"
	"errors"
	"testing"
	"time"

	sqlitedriver "github.com/ncruces/go-sqlite3/driver"

	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

func horizon(t testing.TB, s sqlite.Backend) int64 {
	t.Helper()
	h, err := s.Horizon(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return h.Position
}

func TestInTx_appendsTogetherWithOwnSQL(t *testing.T) {
	t.Parallel()
	s := openNew(t)
	id := store.UUID{1}
	err := s.InTx(t.Context(), func(tx *sqlite.Tx) error {
		if err := tx.Conn().Exec("CREATE TABLE account (id TEXT); INSERT INTO account VALUES ('a')"); err != nil {
			return err
		}
		_, err := tx.Append(store.AppendOptions{}, store.StreamAppend{
			Stream: stream("a"),
			Events: []store.Event{{ID: id, Type: "opened"}},
		})
		return err
	})
	if err != nil || horizon(t, s) != 1 {
		t.Fatal(err)
	}

	// A failed append leaves nothing of itself, and the caller goes on.
	err = s.InTx(t.Context(), func(tx *sqlite.Tx) error {
		_, err := tx.Append(store.AppendOptions{}, store.StreamAppend{
			Stream: stream("b"),
			Events: []store.Event{{Type: "lost"}, {ID: id, Type: "again"}},
		})
		var duplicate *store.DuplicateEventError
		if !errors.As(err, &duplicate) || duplicate.ID != id {
			t.Errorf("got %v", err)
		}
		_, err = tx.Append(store.AppendOptions{}, store.StreamAppend{Stream: stream("c"), Events: events(1)})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.ReadStream(t.Context(), stream("b"), 1, 0); !errors.Is(err, store.ErrStreamNotFound) {
		t.Errorf("half of a failed append is stored: %v", err)
	}
	if found, err := s.ReadStream(t.Context(), stream("c"), 1, 0); err != nil || len(found) != 1 {
		t.Errorf("the append after the failed one is gone: %v, %v", found, err)
	}

	// An error of the caller takes everything back and comes out as it is.
	broken := errors.New("changed my mind")
	before := horizon(t, s)
	err = s.InTx(t.Context(), func(tx *sqlite.Tx) error {
		if _, err := tx.Append(store.AppendOptions{}, store.StreamAppend{
			Stream: stream("d"),
			Events: events(3),
		}); err != nil {
			return err
		}
		return broken
	})
	if err != broken || horizon(t, s) != before { //nolint:errorlint // it is handed on as it is
		t.Errorf("error %v, horizon %d, was %d", err, horizon(t, s), before)
	}
}

func TestInTx_endsWhenTheCallerPanics(t *testing.T) {
	t.Parallel()
	s := openNew(t)
	func() {
		defer func() { _ = recover() }()
		_ = s.InTx(t.Context(), func(tx *sqlite.Tx) error {
			if _, _, err := tx.Conn().Prepare("SELECT 1"); err != nil { // and is never closed
				t.Error(err)
			}
			if _, err := tx.Append(store.AppendOptions{}, store.StreamAppend{
				Stream: stream("a"),
				Events: events(1),
			}); err != nil {
				t.Error(err)
			}
			panic("a fault of the caller")
		})
	}()
	if h := horizon(t, s); h != 0 {
		t.Errorf("the horizon is %d", h)
	}
	appendTo(t, s, "b", 1)
}

func TestAppendConn_joinsATransactionOfDatabaseSQL(t *testing.T) {
	t.Parallel()
	path := migrated(t)
	s := open(t, path, sqlite.Options{})
	db, err := sqlite.OpenSQL(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	within := func() error {
		return conn.Raw(func(raw any) error {
			_, err := s.AppendConn(t.Context(), raw.(sqlitedriver.Conn).Raw(), store.AppendOptions{},
				store.StreamAppend{Stream: stream("a"), Events: events(2)})
			return err
		})
	}
	if err := within(); err == nil {
		t.Error("an append without a transaction was accepted")
	}
	for _, commit := range []bool{false, true} {
		tx, err := conn.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := within(); err != nil {
			t.Fatal(err)
		}
		if h := horizon(t, s); h != 0 {
			t.Errorf("an open transaction shows at horizon %d", h)
		}
		if commit {
			err = tx.Commit()
		} else {
			err = tx.Rollback()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if h := horizon(t, s); h != 2 {
		t.Errorf("the horizon is %d, want 2", h)
	}
}

func TestAppend_waitsInLineAndGivesUpWithTheContext(t *testing.T) {
	t.Parallel()
	s := openNew(t)
	holding, release := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- s.InTx(t.Context(), func(*sqlite.Tx) error {
			close(holding)
			<-release
			return nil
		})
	}()
	<-holding
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Append(ctx, store.AppendOptions{}, store.StreamAppend{
		Stream: stream("a"),
		Events: events(1),
	}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err := s.Append(ctx, store.AppendOptions{}, store.StreamAppend{Stream: stream("a"), Events: events(1)})
	if !errors.Is(err, store.ErrTransient) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	close(release)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	appendTo(t, s, "a", 1)
}

func TestHorizon_doesNotGoBackWhenEventsAreDeleted(t *testing.T) {
	t.Parallel()
	s := openNew(t)
	appendTo(t, s, "a", 3)
	err := s.InTx(t.Context(), func(tx *sqlite.Tx) error {
		return tx.Conn().Exec("DELETE FROM pupwasm__events WHERE global_position > 1")
	})
	if err != nil {
		t.Fatal(err)
	}
	if h := horizon(t, s); h != 3 {
		t.Errorf("the horizon is %d", h)
	}
	appendTo(t, s, "b", 1)
	if h := horizon(t, s); h != 4 {
		t.Errorf("the next position was %d", h)
	}
}
