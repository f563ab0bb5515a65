package mysql_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
)

// TestAppend_lostAnswer loses the connection when the server has committed and nobody knows. The same append with
// SkipDuplicates finds out.
func TestAppend_lostAnswer(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	p := newProxy(t, at)
	s := open(t, p.url, mysql.Options{})
	for n, shape := range map[int][]store.StreamAppend{
		1: {{Stream: stream("one"), Events: []store.Event{{ID: store.UUID{1}, Type: "x"}}}},
		3: {{Stream: stream("three"), Events: []store.Event{
			{ID: store.UUID{3}, Type: "x"}, {ID: store.UUID{4}, Type: "x"}, {ID: store.UUID{5}, Type: "x"},
		}}},
	} {
		appendTo(t, s, shape[0].Stream.AggregateID, n) // so that the statement is prepared
		p.muted.Store(true)
		result := make(chan error, 1)
		go func() {
			_, err := s.Append(context.Background(), store.AppendOptions{}, shape...)
			result <- err
		}()
		db := at.Connect(t)
		testwait.Until(t, "the server has committed", func() bool {
			return queryText(t, db, fmt.Sprintf("SELECT COUNT(*) FROM pupwasm__events WHERE event_id = x'%x'",
				shape[0].Events[0].ID[:]))[0][0] == "1"
		})
		p.Cut()
		if err := <-result; !errors.Is(err, store.ErrTransient) {
			t.Errorf("%d events: %v", n, err)
		}
		p.muted.Store(false)
		appended, err := s.Append(t.Context(), store.AppendOptions{SkipDuplicates: true}, shape...)
		must(t, err)
		for _, a := range appended {
			if !a.Skipped() {
				t.Errorf("appended a second time: %+v", a)
			}
		}
	}
	wantVersions(t, at, "one", "1,2")
	wantVersions(t, at, "three", "1,2,3,4,5,6")
}

// TestAppend_lostBeforeItsEnd loses the connection, or the patience of the caller, while an append waits for another.
func TestAppend_lostBeforeItsEnd(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	s := open(t, at.URL, mysql.Options{})
	for i, way := range []string{"killed", "cancelled"} {
		for _, n := range []int{1, 3} {
			id := fmt.Sprint(way, n)
			appendTo(t, s, id, 1)
			finish := holdAppend(t, at, stream(id))
			ctx, cancel := context.WithCancel(t.Context())
			result := make(chan error, 1)
			go func() {
				_, err := s.Append(ctx, store.AppendOptions{}, store.StreamAppend{Stream: stream(id), Events: events(n)})
				result <- err
			}()
			awaitBlocked(t, at, 1)
			want := store.ErrTransient
			if i == 0 {
				db := at.Connect(t)
				waiting := queryText(t, db, "SELECT id FROM information_schema.processlist WHERE db = '"+at.Name+
					"' AND command <> 'Sleep' AND id <> CONNECTION_ID()")
				execute(t, db, "KILL "+waiting[0][0])
			} else {
				want = context.Canceled
				cancel()
			}
			if err := <-result; !errors.Is(err, want) {
				t.Errorf("%s: %v", id, err)
			}
			cancel()
			finish(true)
			appendTo(t, s, id, 1)
			if i == 0 {
				wantVersions(t, at, id, "1,2,3")
			}
		}
	}
}

// TestAppend_roundTrips counts how often the store waits for the server.
func TestAppend_roundTrips(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	p := newProxy(t, at)
	s := open(t, p.url, mysql.Options{})
	on := func(id string, n int) store.StreamAppend {
		return store.StreamAppend{Stream: stream(id), Events: events(n)}
	}
	for _, shape := range []struct {
		appends []store.StreamAppend
		want    int
	}{
		{[]store.StreamAppend{on("a", 1)}, 1},
		{[]store.StreamAppend{on("a", 5)}, 1},
		{[]store.StreamAppend{on("a", 1), on("b", 2)}, 2},
		{[]store.StreamAppend{on("a", 1), on("b", 2), on("a", 1)}, 2},
	} {
		for warm := range 2 { // the first time streams are new, and the statement is not prepared
			trips := p.RoundTrips(func() {
				_, err := s.Append(t.Context(), store.AppendOptions{}, shape.appends...)
				must(t, err)
			})
			if warm == 1 && trips != shape.want {
				t.Errorf("%+v took %d round trips, want %d", shape.appends, trips, shape.want)
			}
		}
	}
}
