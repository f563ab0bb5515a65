package mysql

import (
	"context"

	"github.com/pupwasm/pupwasm/store"
)

// apart are the tables of a store whose log is in another database.
type apart struct {
	store.Tables // the store's, for all that has nothing to do with the log
	store        backend
}

// Apart returns the tables for a log in another database. See [store.Tables].
func (s backend) Apart() store.Tables { return &apart{Tables: s, store: s} }

// Apart returns the same.
func (a *apart) Apart() store.Tables { return a }

// Install makes a projection ready to run. See [store.Projections].
func (a *apart) Install(ctx context.Context, projection *store.Projection, segments int) (store.Catalogue, error) {
	return a.store.install(ctx, projection, installation{segments: segments, apart: true})
}

// InstallBeside makes a projection ready to run beside an earlier version. See [store.Projections].
func (a *apart) InstallBeside(
	ctx context.Context, projection *store.Projection, segments int,
) (store.Catalogue, error) {
	return a.store.install(ctx, projection, installation{segments: segments, apart: true, beside: true})
}

// Adopt notes the log of a checkpoint. See [store.Leases].
func (a *apart) Adopt(ctx context.Context, claim store.Claim, log store.LogID) error {
	if err := a.store.read(ctx, func(c *conn) error { return c.refuseOwnLog(&a.store.queries, log) }); err != nil {
		return err
	}
	return a.store.Adopt(ctx, claim, log)
}

// refuseOwnLog returns [store.ErrSameDatabase] for the log of the database itself.
func (c *conn) refuseOwnLog(q *queries, read store.LogID) error {
	own, err := c.logID(q)
	if err == nil && own.ID == read.ID {
		err = store.ErrSameDatabase
	}
	return err
}
