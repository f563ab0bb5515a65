package mysql_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
)

// writers append to few streams at once, in all ways, and note what they were told.
type writers struct {
	*testing.T
	at      mariadbtest.Database
	store   mysql.Backend
	foreign *sql.DB
	plain   *sql.DB

	mutex sync.Mutex
	said  map[store.UUID]store.Appended // what is stored, as the writers know it
	left  map[store.UUID]bool           // what must not be there
}

const (
	writersAtOnce = 16
	writerRounds  = 40
	writerStreams = 5
)

func TestAppend_writersAtOnce(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	plain, err := mysql.OpenSQL(at.URL)
	must(t, err)
	t.Cleanup(func() { _ = plain.Close() })
	w := &writers{
		T: t, at: at, store: open(t, at.URL, mysql.Options{}), foreign: foreign(t, at), plain: plain,
		said: map[store.UUID]store.Appended{}, left: map[store.UUID]bool{},
	}
	var group sync.WaitGroup
	for number := range writersAtOnce {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(number), 11))
			for range writerRounds {
				w.write(random)
			}
		})
	}
	group.Wait()
	w.check()
}

// write does one thing.
func (w *writers) write(random *rand.Rand) {
	appends := w.appends(random)
	skip := store.AppendOptions{SkipDuplicates: random.IntN(4) == 0}
	switch random.IntN(6) {
	case 0:
		w.insert(random)
	case 1: // a transaction of the caller, of any isolation level, which may be rolled back
		w.inTransaction(random, skip, appends)
	case 2: // ids that are stored, with and without being skipped
		w.repeat(random, skip, appends)
	default:
		appended, err := w.store.Append(context.Background(), skip, appends...)
		w.note(appends, appended, err)
	}
}

// appends makes a call of one event, of several of one stream, or of several streams, in any order.
func (w *writers) appends(random *rand.Rand) []store.StreamAppend {
	expected := func(of store.Stream) store.Expected {
		switch random.IntN(8) {
		case 0:
			return store.NoStream()
		case 1, 2: // what somebody has read who appends after it
			recorded, err := w.store.ReadStream(context.Background(), of, 1, 0)
			if err != nil && !errors.Is(err, store.ErrStreamNotFound) {
				w.Error(err)
			}
			return store.Exact(int64(len(recorded)))
		}
		return store.Any()
	}
	of := func() store.Stream {
		if random.IntN(4) == 0 {
			return stream(fmt.Sprint("new", random.IntN(300)))
		}
		return stream(fmt.Sprint("s", random.IntN(writerStreams)))
	}
	appends := make([]store.StreamAppend, 1)
	if random.IntN(2) == 0 {
		appends = make([]store.StreamAppend, 1+random.IntN(4))
	}
	for i := range appends {
		appends[i].Stream = of()
		appends[i].Expected = expected(appends[i].Stream)
		if i > 0 && random.IntN(5) == 0 {
			continue // a condition, or nothing
		}
		for range 1 + random.IntN(3)*random.IntN(2) {
			appends[i].Events = append(appends[i].Events, store.Event{ID: newID(random), Type: "placed"})
		}
	}
	return appends
}

func newID(random *rand.Rand) (id store.UUID) {
	for i := range id {
		id[i] = byte(1 + random.IntN(255))
	}
	return id
}

// insert is what another program does that knows nothing of appends: it takes the next version, and begins again when
// somebody else has.
func (w *writers) insert(random *rand.Rand) {
	of, id := fmt.Sprint("s", random.IntN(writerStreams)), newID(random)
	for {
		tx, err := w.plain.BeginTx(context.Background(), nil)
		must(w, err)
		_, err = tx.Exec("SELECT COALESCE(MAX(aggregate_version), 0) + 1 INTO @next FROM pupwasm__events " +
			"WHERE bounded_context = 'shop' AND aggregate_type = 'order' AND aggregate_id = '" + of + "'")
		must(w, err)
		_, err = tx.Exec("INSERT INTO pupwasm__events (bounded_context, aggregate_type, aggregate_id, aggregate_version, event_type, "+
			"payload, event_id) VALUES ('shop', 'order', ?, @next, 'inserted', '', ?)", of, id[:])
		if err == nil {
			err = tx.Commit()
		} else {
			_ = tx.Rollback()
		}
		if err == nil {
			break
		}
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.said[id] = store.Appended{ID: id}
}

func (w *writers) inTransaction(random *rand.Rand, options store.AppendOptions, appends []store.StreamAppend) {
	tx, err := w.foreign.BeginTx(context.Background(), &sql.TxOptions{Isolation: []sql.IsolationLevel{
		sql.LevelDefault, sql.LevelReadCommitted, sql.LevelRepeatableRead, sql.LevelSerializable,
	}[random.IntN(4)]})
	must(w, err)
	second := w.appends(random)
	first, err := w.store.AppendTx(context.Background(), tx, options, appends...)
	if errors.Is(err, store.ErrDeadlock) {
		w.forget(appends, second)
		_ = tx.Rollback()
		return
	}
	failed := err
	appended, err := w.store.AppendTx(context.Background(), tx, options, second...)
	if errors.Is(err, store.ErrDeadlock) || random.IntN(3) == 0 {
		w.forget(appends, second)
		_ = tx.Rollback()
		return
	}
	must(w, tx.Commit())
	w.note(appends, first, failed)
	w.note(second, appended, err)
}

// repeat appends events again of which some are stored.
func (w *writers) repeat(random *rand.Rand, options store.AppendOptions, appends []store.StreamAppend) {
	appended, err := w.store.Append(context.Background(), store.AppendOptions{}, appends...)
	w.note(appends, appended, err)
	again, err2 := w.store.Append(context.Background(), options, appends...)
	var duplicate *store.DuplicateEventError
	switch {
	case err != nil:
		w.note(appends, again, err2)
	case options.SkipDuplicates && err2 == nil:
		for _, a := range again {
			if !a.Skipped() {
				w.Errorf("event %s is appended a second time: %+v", a.ID, a)
			}
		}
	case errors.As(err2, &duplicate), conflicts(err2), len(again) == 0:
	default:
		w.Errorf("the second time: %+v, %v", again, err2)
	}
}

func conflicts(err error) bool {
	var conflict *store.VersionConflictError
	return errors.As(err, &conflict)
}

// note keeps what a writer was told.
func (w *writers) note(appends []store.StreamAppend, appended []store.Appended, err error) {
	if err != nil {
		if !conflicts(err) {
			w.Errorf("an append returns %v", err)
		}
		w.forget(appends)
		return
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	for _, a := range appended {
		w.said[a.ID] = a
		delete(w.left, a.ID)
	}
}

func (w *writers) forget(all ...[]store.StreamAppend) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	for _, appends := range all {
		for i := range appends {
			for _, e := range appends[i].Events {
				w.left[e.ID] = true
			}
		}
	}
}

// check compares what is stored with what the writers were told, and looks for gaps and for positions that do not grow
// with versions.
func (w *writers) check() {
	db := w.at.Connect(w)
	rows, err := db.Query("SELECT event_id, global_position, aggregate_version, aggregate_id FROM pupwasm__events " +
		"ORDER BY global_position")
	must(w, err)
	defer rows.Close()
	last := map[string]int64{}
	stored := 0
	for rows.Next() {
		var id []byte
		var position, version int64
		var of string
		must(w, rows.Scan(&id, &position, &version, &of))
		said, known := w.said[store.UUID(id)]
		switch {
		case !known:
			w.Errorf("event %x is there, and was refused or taken back: %t", id, w.left[store.UUID(id)])
		case said.Position > 0 && (said.Position != position || said.AggregateVersion != version):
			w.Errorf("event %x is version %d at position %d, its writer was told %+v", id, version, position, said)
		}
		if last[of]++; version != last[of] {
			w.Fatalf("stream %s has version %d behind %d", of, version, last[of]-1)
		}
		stored++
	}
	must(w, rows.Err())
	if stored != len(w.said) {
		w.Errorf("%d events are stored, the writers know of %d", stored, len(w.said))
	}
	wrong := queryText(w, db, "SELECT COUNT(*) FROM pupwasm__streams s WHERE s.last_version > COALESCE((SELECT "+
		"MAX(e.aggregate_version) FROM pupwasm__events e WHERE e.bounded_context = s.bounded_context AND e.aggregate_type = "+
		"s.aggregate_type AND e.aggregate_id = s.aggregate_id), 0)")[0][0]
	if wrong != "0" {
		w.Errorf("%s streams are said to be further than they are", wrong)
	}
}
