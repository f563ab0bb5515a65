package aggregate_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/aggregate"
	"github.com/pupwasm/pupwasm/store"
)

// TestAppendTx_allOrNothing has a row of the application, events and a snapshot in one transaction.
func TestAppendTx_allOrNothing(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d *database) {
		d.exec(t, "CREATE TABLE orders (id text)")
		repository := ledgers(t, d.db, 5)
		undone := errors.New("undone")
		for way, inTx := range d.inTx {
			id := strings.ReplaceAll(way, "/", "-")
			work := func(end error) error {
				return inTx(t.Context(), func(tx appTx) error {
					must(t, tx.exec("INSERT INTO orders VALUES ('"+id+"')"))
					root, err := repository.LoadTx(t.Context(), tx.StreamsTx, id)
					must(t, err)
					must(t, repository.AppendTx(t.Context(), tx.StreamsTx, root, booked(7)...))
					again, err := repository.LoadTx(t.Context(), tx.StreamsTx, id)
					must(t, err)
					if again.Version() != 7 || again.Position() != root.Position() || again.State.Digest != root.State.Digest {
						t.Errorf("%s: the transaction reads version %d of its events", way, again.Version())
					}
					return end
				})
			}
			counts := func(of string) (rows [3]int64) {
				for i, table := range []string{"orders WHERE id", d.events + " WHERE aggregate_id", d.snapshots + " WHERE aggregate_id"} {
					rows[i] = d.number(t, "SELECT count(*) FROM "+table+" = $1", of)
				}
				return rows
			}
			if err := work(undone); !errors.Is(err, undone) {
				t.Errorf("%s: %v", way, err)
			}
			if got := counts(id); got != [3]int64{} {
				t.Errorf("%s: a rollback leaves %v rows, events and snapshots", way, got)
			}
			must(t, work(nil))
			if got := counts(id); got != [3]int64{1, 7, 1} {
				t.Errorf("%s: a commit leaves %v rows, events and snapshots", way, got)
			}
			d.wantWhole(t, repository, id)
		}
	})
}

// TestAppendTx_conflictIsReturned has another writer come between a load and an append.
func TestAppendTx_conflictIsReturned(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d *database) {
		repository := ledgers(t, d.db, 5)
		for _, inTx := range d.inTx {
			stale, err := repository.Load(t.Context(), "a")
			must(t, err)
			fresh, err := repository.Load(t.Context(), "a")
			must(t, err)
			must(t, repository.Save(t.Context(), fresh, booked(6)...))
			err = inTx(t.Context(), func(tx appTx) error {
				return repository.AppendTx(t.Context(), tx.StreamsTx, stale, booked(1)...)
			})
			var conflict *store.VersionConflictError
			if !errors.As(err, &conflict) || conflict.Actual != fresh.Version() {
				t.Errorf("got %v", err)
			}
		}
		d.wantWhole(t, repository, "a")
	})
}

// TestAppendTx_snapshotThatIsRefusedStopsNothing has the table refuse every snapshot.
func TestAppendTx_snapshotThatIsRefusedStopsNothing(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d *database) {
		var told []string
		repository := ledgers(t, d.db, 5, func(o *aggregate.Options[ledger]) { o.Logger = toldTo(&told) })
		d.exec(t, "CREATE TABLE orders (id text)")
		d.refuseSnapshots(t)
		for way, inTx := range d.inTx {
			must(t, inTx(t.Context(), func(tx appTx) error {
				root, err := repository.LoadTx(t.Context(), tx.StreamsTx, "a")
				must(t, err)
				must(t, repository.AppendTx(t.Context(), tx.StreamsTx, root, booked(6)...))
				return tx.exec("INSERT INTO orders VALUES ('" + way + "')")
			}))
		}
		_, err := repository.Update(t.Context(), "a", func(*ledger) ([]store.Event, error) { return booked(6), nil })
		must(t, err)
		saves := len(d.inTx) + 1
		if rows := d.number(t, "SELECT count(*) FROM orders"); int(rows) != len(d.inTx) {
			t.Errorf("%d rows are there", rows)
		}
		if got := d.wantWhole(t, repository, "a").Version(); got != int64(6*saves) {
			t.Errorf("the stream has %d events", got)
		}
		if len(told) != saves || !strings.Contains(told[0], "snapshot not kept stream=Shop/Ledger/a version=6 error=") {
			t.Errorf("the logger was told %q", told)
		}
	})
}
