package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pupwasm/pupwasm/store"
)

// Columns are added to tables that are there in a transaction of its own, since readers and commits wait for it: an
// install that has to check many statements would take too long. So that a module that is refused leaves nothing, its
// statements are tried before, on temporary tables that are like those that are there.

// errNewColumns ends an install that needs columns which the tables do not have yet.
var errNewColumns = fmt.Errorf("%w: the tables lack columns", store.ErrTransient)

// tryColumns checks the statements and the views as if the columns were there.
func (i *installer) tryColumns(ctx context.Context, added []store.NewColumn) error {
	err := i.tentatively(ctx, func() error {
		err := i.asOwner(ctx, func() error {
			for t := range i.projection.Tables {
				name := i.projection.Tables[t].Name
				if err := i.runAlone(ctx, fmt.Sprintf("CREATE TEMPORARY TABLE %s (LIKE %s INCLUDING ALL)", quote(name),
					i.projection.table(name)), nil); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("making temporary tables: %w", err)
		}
		like := *i
		err = i.tx.QueryRow(ctx, "SELECT nspname::text FROM pg_namespace WHERE oid = pg_my_temp_schema()").
			Scan(&like.projection.schema)
		if err != nil {
			return fmt.Errorf("looking for the temporary tables: %w", err)
		}
		like.catalogue = &catalogue{}
		if err := like.catalogue.read(like.projection); err != nil {
			return err
		}
		if err := like.alterTables(ctx, added); err != nil {
			return err
		}
		if err := like.checkStatements(ctx); err != nil {
			return err
		}
		return like.checkViews(ctx)
	})
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == stateInsufficientRights {
		return nil // what the role may not try, the install will tell; the columns stay then
	}
	return err
}

// extend adds the columns that the tables lack, and shows them to readers.
func (i *installer) extend(ctx context.Context) error {
	if err := i.begin(ctx); err != nil {
		return err
	}
	versions, err := readVersions(ctx, i.tx, i.queries, i.projection.Name)
	if err != nil {
		return err
	}
	was := versions.Find(i.projection.ID())
	if was == nil {
		return nil // it was reset meanwhile
	}
	if err := i.isolate(ctx); err != nil {
		return err
	}
	if err := i.compare(ctx, was); err != nil {
		return err
	}
	joined, added := was.Join(i.projection.Projection)
	if len(added) == 0 {
		return nil // another host was faster
	}
	if err := i.waitBriefly(ctx); err != nil {
		return err
	}
	if err := i.alterTables(ctx, added); err != nil {
		return err
	}
	found, err := i.shapes(ctx)
	if err != nil {
		return err
	}
	shapes, err := was.ShapesWith(added, found)
	if err != nil {
		return err
	}
	shown := *i // the views of before: those of this module are not there yet
	shown.projection.Projection = &was.Projection
	was.Tables = joined.Tables
	if err := i.declare(ctx, shown.projection.Projection, shapes); err != nil || !was.Live {
		return err
	}
	return shown.publish(ctx, was.Shown())
}

// alterTables adds columns. It writes no row: all are NULL.
func (i *installer) alterTables(ctx context.Context, added []store.NewColumn) error {
	for t := range i.projection.Tables {
		table := &i.projection.Tables[t]
		var clauses []string
		for _, a := range added {
			if column, _ := table.Column(a.Column); a.Table == table.Name {
				clauses = append(clauses, "ADD COLUMN "+quote(a.Column)+" "+sqlType(column.Type))
			}
		}
		if len(clauses) == 0 {
			continue
		}
		err := i.asOwner(ctx, func() error {
			return i.runAlone(ctx, "ALTER TABLE "+i.projection.table(table.Name)+" "+strings.Join(clauses, ", "), nil)
		})
		if err != nil {
			return refusedFor(fmt.Sprintf("table %q", table.Name), fmt.Errorf("adding columns to table %s: %w",
				table.Name, err))
		}
	}
	return nil
}

// readersWaitMax bounds how long a transaction waits for another that has a lock on a table or on a view of readers,
// since readers that come later wait behind it.
const readersWaitMax = 50 * time.Millisecond

// waitBriefly bounds every wait for a lock from now on.
func (i *installer) waitBriefly(ctx context.Context) error {
	_, err := i.tx.Exec(ctx, "SELECT pg_catalog.set_config('lock_timeout', $1, true)", readersWaitMax.String())
	if err != nil {
		return fmt.Errorf("bounding the wait for readers: %w", err)
	}
	return nil
}
