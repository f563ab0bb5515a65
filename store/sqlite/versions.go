package sqlite

import (
	"context"
	"fmt"

	"github.com/pupwasm/pupwasm/store"
)

// versions returns the installed versions of a projection.
func (c *conn) versions(q *queries, name string) (versions store.Versioned, err error) {
	err = c.query(q.versions, func(row *prepared) error {
		installed, err := store.ReadInstalled(store.NumberedID(name, row.ColumnInt64(0)), row.ColumnText(1), row.ColumnText(2))
		if err == nil {
			installed.Live, installed.Rebuild = row.ColumnBool(3), row.ColumnInt(5)
			installed.Replaced = store.NumberedID(name, row.ColumnInt64(4))
			versions = append(versions, *installed)
		}
		return err
	}, name)
	if err != nil {
		return nil, fmt.Errorf("looking the projection up: %w", err)
	}
	versions.Sort()
	return versions, nil
}

// Installed returns the installed versions, with their tables. See [store.Projections].
func (s backend) Installed(ctx context.Context, projection string) (versions store.Versioned, err error) {
	err = s.read(ctx, func(c *conn) error {
		if versions, err = c.versions(&s.queries, projection); err != nil {
			return err
		}
		for v := range versions {
			i := &installer{conn: c, projection: s.placed(&versions[v].Projection)}
			if versions[v].Found, err = i.shapes(); err != nil {
				return err
			}
		}
		return nil
	})
	return versions, err
}

// Promote makes a version the live one. See [store.Versions].
func (s backend) Promote(ctx context.Context, projection store.ProjectionID) (store.Promotion, error) {
	return s.exchange(ctx, projection.Name, func(versions store.Versioned) (*store.Installed, error) {
		return versions.Known(projection)
	})
}

// Rollback makes the version live that the live one has replaced. See [store.Versions].
func (s backend) Rollback(ctx context.Context, projection string) (store.Promotion, error) {
	return s.exchange(ctx, projection, func(versions store.Versioned) (*store.Installed, error) {
		return versions.Previous(projection)
	})
}

// exchange makes the version live that choose returns. There is no other writer meanwhile, so that both versions stand
// still.
func (s backend) exchange(
	ctx context.Context, name string, choose func(store.Versioned) (*store.Installed, error),
) (promotion store.Promotion, err error) {
	err = s.write(ctx, func(c *conn) error {
		versions, err := c.versions(&s.queries, name)
		if err != nil {
			return err
		}
		next, err := choose(versions)
		if err != nil {
			return err
		}
		live := versions.Live()
		promotion = store.Promotion{Projection: name, From: live.ID(), To: next.ID()}
		if next.Live {
			return nil
		}
		i := &installer{conn: c, queries: &s.queries, home: s.options.Schema, projection: s.placed(&next.Projection), live: true}
		before, err := i.layout(live.ID()).read()
		if err != nil {
			return err
		}
		after, err := i.layout(next.ID()).read()
		if err != nil {
			return err
		}
		if err := store.CheckPromotion(next.ID(), after, live.ID(), before); err != nil {
			return err
		}
		if err := i.publish(live.Shown()); err != nil {
			return err
		}
		if err := i.conn.handOver(&s.queries, live, before, next); err != nil {
			return fmt.Errorf("handing messages over: %w", err)
		}
		if _, err := c.exec(s.queries.demote, name); err != nil {
			return fmt.Errorf("registering the live version: %w", err)
		}
		replaces := versions.Replaces(next.ID()).Number()
		if _, err := c.exec(s.queries.promote, name, next.ID().Number(), replaces); err != nil {
			return fmt.Errorf("registering the live version: %w", err)
		}
		return nil
	})
	if err != nil {
		return store.Promotion{}, err
	}
	return promotion, nil
}

// runBy returns a worker that lives and runs a version, or has a segment of it; "" for none.
func (c *conn) runBy(q *queries, of store.ProjectionID) (worker string, err error) {
	err = c.query(q.runBy, func(row *prepared) error {
		worker = row.ColumnText(0)
		return nil
	}, of.Name, of.Version, of.Build)
	if err != nil {
		return "", fmt.Errorf("looking for workers: %w", err)
	}
	if worker == "" {
		return c.liveOwner(q, of)
	}
	return worker, nil
}

// Retire deletes a version. See [store.Versions].
func (s backend) Retire(ctx context.Context, projection store.ProjectionID) error {
	return s.write(ctx, func(c *conn) error {
		owner, err := c.runBy(&s.queries, projection)
		if err != nil {
			return err
		}
		versions, err := c.versions(&s.queries, projection.Name)
		if err != nil {
			return err
		}
		if versions.AskedFor(projection) {
			return c.askRebuild(&s.queries, projection.Name, 0)
		}
		was, err := versions.Retirable(projection, owner)
		if err != nil {
			return err
		}
		for _, statement := range []string{s.queries.forgetReplaced, s.queries.deleteVersion, s.queries.outbox.dropHeld} {
			if _, err := c.exec(statement, was.Name, was.ID().Number()); err != nil {
				return fmt.Errorf("forgetting the version: %w", err)
			}
		}
		return s.dropPlace(c, was)
	})
}
