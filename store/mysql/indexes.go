package mysql

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/pupwasm/pupwasm/store"
)

// An index of a table with rows is built by ALGORITHM=INPLACE, LOCK=NONE: commits and readers go on. They wait at its
// beginning and its end only, as long as a transaction that has used the table stays open, but not longer than
// definitionWaitMax. A build that ends early leaves nothing.

// createIndexes makes the declared indexes of tables that are new. One is left out when another index, such as the
// key's, serves the same searches.
func (i *installer) createIndexes(found []store.TableShape) error {
	for _, index := range i.projection.MissingIndexes(found) {
		table, _ := i.projection.Table(index.Table)
		if err := i.define(table, i.createIndex(index)); err != nil {
			return err
		}
	}
	return nil
}

// createIndex makes the DDL of an index.
func (i *installer) createIndex(index store.MissingIndex) string {
	table, _ := i.projection.Table(index.Table)
	return fmt.Sprintf("CREATE INDEX IF NOT EXISTS %s ON %s (%s) ALGORITHM=INPLACE LOCK=NONE", quote(indexName(index)),
		i.projection.table(index.Table), strings.Join(indexColumns(table, index.Columns), ", "))
}

// indexName is the same for the same columns, and within 64 characters.
func indexName(index store.MissingIndex) string {
	sum := sha256.Sum256([]byte(strings.Join(index.Columns, "\x00")))
	return index.Table + "__index_" + hex.EncodeToString(sum[:6])
}

// BuildIndexes makes the declared indexes that are missing. See [store.Projections].
func (s backend) BuildIndexes(
	ctx context.Context, projection *store.Projection, told func(store.IndexBuild),
) error {
	if told == nil {
		told = func(store.IndexBuild) {}
	}
	missing := func(c *conn) (*installer, []store.MissingIndex, error) {
		i := &installer{store: s.Store, conn: c, projection: s.placed(projection)}
		found, err := i.shapes()
		return i, projection.MissingIndexes(found), err
	}
	none := false
	if err := s.read(ctx, func(c *conn) error {
		_, indexes, err := missing(c)
		none = len(indexes) == 0
		return err
	}); err != nil || none {
		return err
	}
	return s.locked(ctx, "indexes", projection.Name, 0, func(c *conn) error {
		i, indexes, err := missing(c) // another host may have made them
		if err != nil {
			return err
		}
		for _, index := range indexes {
			told(store.IndexBuild{MissingIndex: index})
			if err := i.buildIndex(index); err != nil {
				return err
			}
			told(store.IndexBuild{MissingIndex: index, Done: true})
		}
		return nil
	})
}

// buildIndex makes an index of a table with rows. It begins when nobody uses the table.
func (i *installer) buildIndex(index store.MissingIndex) error {
	err := i.lockBriefly(index.Table)
	if err == nil {
		err = i.unlock()
	}
	if err == nil {
		err = i.conn.killable(i.store, func() error {
			_, err := i.conn.exec(i.createIndex(index))
			return err
		})
	}
	switch {
	case isNumber(err, erBadDatabase, erNoSuchTable, erNoKeyColumn):
		return fmt.Errorf("%w: table %s is gone", store.ErrTransient, index.Table) // it is looked for again
	case isNumber(err, erLockWaitTimeout):
		return fmt.Errorf("%w: %w: a transaction has a lock on table %s, which gets an index", store.ErrTransient,
			store.ErrLocked, index.Table)
	}
	return i.refused(fmt.Sprintf("index %s", index), "creating index "+indexName(index), err)
}

// erNoKeyColumn is ER_KEY_COLUMN_DOES_NOT_EXIST.
const erNoKeyColumn = 1072
