package mysql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

// versions returns the installed versions of a projection.
func (c *conn) versions(q *versionQueries, name string) (versions store.Versioned, err error) {
	err = c.query(q.versions, func(r *row) error {
		installed, err := store.ReadInstalled(store.NumberedID(name, r.int64(0)), r.text(1), r.text(2))
		if err == nil {
			installed.Live, installed.Rebuild = r.bool(3), r.int(5)
			installed.Replaced = store.NumberedID(name, r.int64(4))
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
		if versions, err = c.versions(&s.queries.versions, projection); err != nil {
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
	return s.exchange(ctx, projection.Name, (*installer).checkIndexes,
		func(versions store.Versioned) (*store.Installed, error) { return versions.Known(projection) })
}

// Rollback makes the version live that the live one has replaced. See [store.Versions].
func (s backend) Rollback(ctx context.Context, projection string) (store.Promotion, error) {
	whole := func(*installer) error { return nil } // it has been live before, as it is
	return s.exchange(ctx, projection, whole, func(versions store.Versioned) (*store.Installed, error) {
		return versions.Previous(projection)
	})
}

// exchange makes the version live that choose returns, once ready finds nothing in the way.
func (s backend) exchange(
	ctx context.Context, name string, ready func(*installer) error,
	choose func(store.Versioned) (*store.Installed, error),
) (promotion store.Promotion, err error) {
	err = s.alone(ctx, name, func(c *conn) error {
		if err := s.mend(c, name); err != nil {
			return err
		}
		versions, err := c.versions(&s.queries.versions, name)
		if err != nil {
			return err
		}
		next, err := choose(versions)
		if err != nil {
			return err
		}
		promotion = store.Promotion{Projection: name, From: versions.Live().ID(), To: next.ID()}
		if next.Live {
			return nil
		}
		return s.promote(c, versions, next, ready)
	})
	if err != nil {
		return store.Promotion{}, err
	}
	return promotion, nil
}

// promote makes readers see a version in place of the live one. RENAME TABLE commits by itself, so that the change of
// the views is what counts: it comes while commits of the live version wait for a transaction on a second connection,
// which has written what is live by then and has nothing left to do but to commit. Where that fails, or the host ends
// before, whoever has the lock next writes it again: see settleExchange.
func (s backend) promote(
	c *conn, versions store.Versioned, next *store.Installed, ready func(*installer) error,
) error {
	live := versions.Live()
	i := &installer{store: s.Store, conn: c, queries: &s.queries, projection: s.placed(&next.Projection)}
	if err := i.conn.checkMine(i.projection); err != nil {
		return err
	}
	if err := i.near(live); err != nil {
		return err
	}
	if err := ready(i); err != nil {
		return err
	}
	release, err := s.takeSecond(c.ctx)
	if err != nil {
		return err
	}
	defer release()
	views := s.readerViews(c, &next.Projection)
	err = views.prepare(live.Shown())
	exchanged := false
	if err == nil {
		err = s.write(c.ctx, func(held *conn) error {
			before, err := i.meet(held, live)
			if err != nil {
				return err
			}
			if err := held.makeLive(&s.queries, versions, before, next); err != nil {
				return err
			}
			err = views.exchange(live.Shown())
			exchanged = err == nil
			return err
		})
	}
	whole := *c // what is left to do is short
	whole.ctx = context.WithoutCancel(c.ctx)
	if settling := s.settleExchange(&whole, next.Name); err == nil || exchanged {
		err = settling
	}
	return err
}

// makeLive notes which version is the live one, and that it sends. Commits of the one before wait where before says.
func (c *conn) makeLive(q *queries, versions store.Versioned, before *store.Layout, next *store.Installed) error {
	if _, err := c.exec(q.versions.demote, next.Name); err != nil {
		return fmt.Errorf("registering the live version: %w", err)
	}
	if _, err := c.exec(q.versions.promote, next.Name, next.ID().Number(),
		versions.Replaces(next.ID()).Number()); err != nil {
		return fmt.Errorf("registering the live version: %w", err)
	}
	return c.handOver(q, versions.Live(), before, next)
}

// settleExchange ends what a promotion has begun, for whoever has the projection's lock: the version is live that
// readers see.
func (s *Store) settleExchange(c *conn, name string) error {
	versions, err := c.versions(&s.queries.versions, name)
	if err != nil || len(versions) == 0 {
		return err
	}
	live := versions.Live()
	views := s.readerViews(c, &live.Projection)
	found, err := views.find()
	if err != nil {
		return err
	}
	var shown []string
	for _, name := range live.Shown() {
		if text := found[name].shows; text != "" && !slices.Contains(shown, text) {
			shown = append(shown, text)
		}
	}
	if len(shown) == 1 && shown[0] != live.ID().VersionText() {
		id, _ := store.ParseVersion(name, shown[0])
		if next := versions.Find(id); next != nil {
			if err := c.transactAgain(func(c *conn) error {
				before, err := layoutOf{conn: c, queries: &s.queries.layout, projection: live.ID()}.read()
				if err != nil {
					return err
				}
				return c.makeLive(&s.queries, versions, before, next)
			}); err != nil {
				return err
			}
		}
	}
	return views.clear()
}

func (s *Store) readerViews(c *conn, of *store.Projection) *readerViews {
	return &readerViews{conn: c, of: s.placed(of)}
}

const (
	// meetTries bounds how long commits of the live version wait for a version that is about to take its place, a few
	// milliseconds each, and meetBehindMax how far behind that may be for them to wait at all.
	meetTries     = 100
	meetPause     = 2 * time.Millisecond
	meetBehindMax = 5000
)

// near reports what is in the way of a promotion, before anybody is kept waiting for it.
func (i *installer) near(live *store.Installed) error {
	before, err := i.layout(live.ID()).look()
	if err != nil {
		return err
	}
	var behind *store.BehindError
	err = i.arrived(live, before)
	if errors.As(err, &behind) && behind.Positions <= meetBehindMax {
		return nil
	}
	return err
}

// arrived reports what keeps the version from taking the place of the live one, which stands where before says.
func (i *installer) arrived(live *store.Installed, before *store.Layout) error {
	layout, err := i.layout(i.projection.ID()).look()
	if err != nil {
		return err
	}
	return store.CheckPromotion(i.projection.ID(), layout, live.ID(), before)
}

// meet keeps commits of the live version waiting until the transaction of held ends, and waits until the version is
// nowhere behind it. Those of the version go on meanwhile: it arrives where the live one stands, as before says.
func (i *installer) meet(held *conn, live *store.Installed) (before *store.Layout, err error) {
	layout := i.layout(live.ID())
	layout.conn = held
	if before, err = layout.read(); err != nil {
		return nil, err
	}
	var behind *store.BehindError
	for range meetTries {
		if err = i.arrived(live, before); !errors.As(err, &behind) {
			return before, err
		}
		if _, err := held.exec(fmt.Sprintf("DO SLEEP(%g)", meetPause.Seconds())); err != nil {
			return nil, fmt.Errorf("waiting for the version: %w", err)
		}
	}
	return nil, err
}

// checkIndexes reports that indexes of the version are not built yet.
func (i *installer) checkIndexes() error {
	found, err := i.shapes()
	if err != nil {
		return err
	}
	if missing := i.projection.MissingIndexes(found); len(missing) > 0 {
		return &store.UnbuiltError{Projection: i.projection.ID(), Indexes: missing}
	}
	return nil
}
