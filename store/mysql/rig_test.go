package mysql_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
)

// The writes of ledger.
const (
	ledgerAdd = iota
	ledgerNew
	ledgerDelete
	ledgerFile
)

// ledger is a projection without SQL of a module: amounts by name, and files.
func ledger() *store.Projection {
	return &store.Projection{
		Name: "ledger", Version: 1, Order: store.OrderGlobal,
		Tables: []store.Table{
			{Name: "total", Key: []string{"name"}, Columns: []store.Column{
				{Name: "name", Type: kind(store.KindText)},
				{Name: "n", Type: kind(store.KindI64), NotNull: true},
			}},
			{Name: "file", Key: []string{"id"}, Columns: []store.Column{
				{Name: "id", Type: kind(store.KindI64)},
				{Name: "data", Type: kind(store.KindBytes)},
			}},
		},
		Writes: []store.Write{
			{
				Name: "add", Action: store.Upsert, Table: "total",
				Columns: []store.WriteColumn{{Name: "n", Action: store.ActionAdd}},
			},
			{Name: "new", Action: store.Insert, Table: "total", Columns: []store.WriteColumn{{Name: "n"}}},
			{Name: "delete", Action: store.Delete, Table: "total"},
			{Name: "file", Action: store.Upsert, Table: "file", Columns: []store.WriteColumn{{Name: "data"}}},
		},
		Queries: []store.Query{{Name: "load", Table: "total", Columns: []string{"n"}}},
	}
}

// rig is a worker at the one segment of ledger.
type rig struct {
	testing.TB
	at        mariadbtest.Database
	db        *sql.DB
	store     mysql.Backend
	catalogue store.Catalogue
	claim     store.Claim
	folder    *store.Folder
}

// rigEvents is how many events the log of a rig has.
const rigEvents = 5000

// newRig makes one on a new database that has events. The store is at a URL.
func newRig(t testing.TB, at mariadbtest.Database, url string, options mysql.Options) *rig {
	t.Helper()
	return newRigOf(t, at, url, options, ledger())
}

// newRigOf is newRig with more in the projection.
func newRigOf(
	t testing.TB, at mariadbtest.Database, url string, options mysql.Options, ledger *store.Projection,
) *rig {
	t.Helper()
	r := &rig{TB: t, at: at, db: at.Connect(t), store: open(t, url, options), folder: store.NewFolder(ledger)}
	execute(t, r.db, `INSERT INTO pupwasm__events (bounded_context, aggregate_type, aggregate_id, aggregate_version, event_id,
		event_type, payload) SELECT 'shop', 'order', 'o', seq, UNHEX(MD5(seq)), 'placed', '' FROM seq_1_to_`+
		fmt.Sprint(rigEvents))
	var err error
	r.catalogue, err = r.store.Install(t.Context(), ledger, 1)
	must(t, err)
	must(t, r.store.Heartbeat(t.Context(), store.Worker{Name: "worker"}, time.Hour))
	claims, err := r.store.Claim(t.Context(), store.ClaimRequest{Projection: ledger.ID(), Worker: "worker", Limit: 1})
	must(t, err)
	r.claim = claims[0]
	return r
}

func add(name string, n int64) store.Mutation {
	return store.Mutation{Write: ledgerAdd, Values: []store.Value{store.Text(name), store.I64(n)}}
}

func insert(name string, n int64) store.Mutation {
	return store.Mutation{Write: ledgerNew, Values: []store.Value{store.Text(name), store.I64(n)}}
}

func file(id int64, data []byte) store.Mutation {
	return store.Mutation{Write: ledgerFile, Values: []store.Value{store.I64(id), store.BytesOf(store.KindBytes, data)}}
}

// commit commits mutations as one batch and moves the checkpoint on, as long as there are events.
func (r *rig) commit(ctx context.Context, mutations ...store.Mutation) error {
	tx := r.catalogue.Begin(r.claim)
	defer tx.Rollback()
	return r.end(ctx, tx, mutations...)
}

func (r *rig) end(ctx context.Context, tx store.Tx, mutations ...store.Mutation) error {
	through := min(r.claim.Position+1, rigEvents)
	err := tx.Commit(ctx, store.Commit{
		Through: through, Steps: r.folder.Fold(mutations), Log: r.claim.Applied.Log,
	})
	if err == nil {
		r.claim.Position = through
	}
	return err
}

// want compares table total and the checkpoint, past the store.
func (r *rig) want(total string) {
	r.Helper()
	wantText(r, r.db, "SELECT COALESCE(GROUP_CONCAT(name, ' ', n ORDER BY name SEPARATOR '; '), '') FROM "+r.table("total"),
		total)
	wantText(r, r.db, "SELECT position FROM pupwasm__segments", fmt.Sprint(r.claim.Position))
}

func (r *rig) table(name string) string { return fmt.Sprintf("`%s__ledger__v1`.`%s`", r.at.Name, name) }
