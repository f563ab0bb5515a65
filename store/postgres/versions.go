package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm/store"
)

// rowSource is a pool or a transaction.
type rowSource interface {
	Query(ctx context.Context, sql string, arguments ...any) (pgx.Rows, error)
}

// readVersions returns the installed versions of a projection.
func readVersions(ctx context.Context, from rowSource, queries *queries, name string) (store.Versioned, error) {
	rows, err := from.Query(ctx, queries.versions, name)
	if err != nil {
		return nil, fmt.Errorf("looking the projection up: %w", err)
	}
	versions, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (store.Installed, error) {
		var version, replaced int64
		var declared, shapes string
		var live bool
		var rebuild int
		if err := row.Scan(&version, &declared, &shapes, &live, &replaced, &rebuild); err != nil {
			return store.Installed{}, err
		}
		installed, err := store.ReadInstalled(store.NumberedID(name, version), declared, shapes)
		if err != nil {
			return store.Installed{}, err
		}
		installed.Live, installed.Replaced, installed.Rebuild = live, store.NumberedID(name, replaced), rebuild
		return *installed, nil
	})
	if err != nil {
		return nil, fmt.Errorf("looking the projection up: %w", err)
	}
	store.Versioned(versions).Sort()
	return versions, nil
}

// Installed returns the installed versions, with their tables. See [store.Projections].
func (s backend) Installed(ctx context.Context, projection string) (versions store.Versioned, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err = pgx.BeginTxFunc(ctx, s.pool, options, func(tx pgx.Tx) error {
		if versions, err = readVersions(ctx, tx, &s.queries, projection); err != nil {
			return err
		}
		for v := range versions {
			i := &installer{tx: tx, projection: s.placed(&versions[v].Projection)}
			if versions[v].Found, err = i.shapes(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	return versions, translate(err)
}

// Promote makes a version the live one. See [store.Versions].
func (s backend) Promote(ctx context.Context, projection store.ProjectionID) (store.Promotion, error) {
	return s.exchange(ctx, projection.Name, (*installer).checkIndexes,
		func(versions store.Versioned) (*store.Installed, error) { return versions.Known(projection) })
}

// Rollback makes the version live that the live one has replaced. See [store.Versions].
func (s backend) Rollback(ctx context.Context, projection string) (store.Promotion, error) {
	whole := func(*installer, context.Context) error { return nil } // it has been live before, as it is
	return s.exchange(ctx, projection, whole, func(versions store.Versioned) (*store.Installed, error) {
		return versions.Previous(projection)
	})
}

// exchange makes the version live that choose returns, once ready finds nothing in the way.
func (s backend) exchange(
	ctx context.Context, name string, ready func(*installer, context.Context) error,
	choose func(store.Versioned) (*store.Installed, error),
) (promotion store.Promotion, err error) {
	err = pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, s.queries.lockProjection, name); err != nil {
			return fmt.Errorf("locking the projection: %w", err)
		}
		versions, err := readVersions(ctx, tx, &s.queries, name)
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
		return s.promote(ctx, tx, versions, next, ready)
	})
	if err != nil {
		return store.Promotion{}, translate(err)
	}
	return promotion, nil
}

// promote makes readers see a version in place of the live one, in a transaction that has locked the projection.
func (s backend) promote(
	ctx context.Context, tx pgx.Tx, versions store.Versioned, next *store.Installed,
	ready func(*installer, context.Context) error,
) error {
	live := versions.Live()
	i := &installer{
		tx: tx, queries: &s.queries, projection: s.placed(&next.Projection), home: s.options.Schema,
		isolation: s.options.Isolation, limits: s.installLimits(), live: true,
	}
	if err := i.pin(ctx); err != nil {
		return err
	}
	if err := i.becomeOwner(ctx); err != nil {
		return err
	}
	layout, err := i.stopBoth(ctx, live, ready)
	if err != nil {
		return err
	}
	if err := s.handover(tx, next.Name).pass(ctx, live, next, layout); err != nil {
		return err
	}
	if err := i.waitBriefly(ctx); err != nil {
		return err
	}
	if err := i.publish(ctx, live.Shown()); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, s.queries.demote, next.Name); err != nil {
		return fmt.Errorf("registering the live version: %w", err)
	}
	replaces := versions.Replaces(next.ID()).Number()
	if _, err := tx.Exec(ctx, s.queries.promote, next.Name, next.ID().Number(), replaces); err != nil {
		return fmt.Errorf("registering the live version: %w", err)
	}
	return nil
}

const (
	// meetTries bounds how long commits of the live version wait for a version that is about to take its place, a few
	// milliseconds each, and meetBehindMax how far behind that may be for them to wait at all.
	meetTries     = 100
	meetPause     = 2 * time.Millisecond
	meetBehindMax = 5000
)

// becomeOwner has views made by the role that owns the version's tables, whoever promotes. It changes no owner.
func (i *installer) becomeOwner(ctx context.Context) error {
	var owner, self string
	var member bool
	err := i.tx.QueryRow(ctx, `SELECT pg_get_userbyid(n.nspowner)::text, current_user::text,
		pg_has_role(n.nspowner, 'MEMBER') FROM pg_namespace n WHERE n.nspname = $1`, i.projection.schema).
		Scan(&owner, &self, &member)
	switch {
	case err != nil:
		return fmt.Errorf("looking for the owner of schema %s: %w", i.projection.schema, err)
	case !member:
		return &store.InputError{
			Field:  fmt.Sprintf("version %s of projection %s", i.projection.ID().VersionText(), i.projection.Name),
			Reason: fmt.Sprintf("belongs to role %s, of which %s is no member: let a member promote it", owner, self),
		}
	case owner != self:
		i.owner = owner
	}
	return nil
}

// meet waits until the version is nowhere behind the live one, and keeps commits of the live one waiting from then on
// until the transaction ends. Those of the version go on meanwhile: it arrives where the live one stands. It keeps
// nobody waiting for a version that is far behind, or that ready finds something amiss with.
func (i *installer) meet(
	ctx context.Context, live *store.Installed, ready func(*installer, context.Context) error,
) (held *store.Layout, err error) {
	id, of := i.projection.ID(), i.layout(i.projection.ID())
	now, err := i.layout(live.ID()).look(ctx)
	if err != nil {
		return nil, err
	}
	check := func(before *store.Layout) error {
		layout, err := of.look(ctx)
		if err != nil {
			return err
		}
		return store.CheckPromotion(id, layout, live.ID(), before)
	}
	var behind *store.BehindError
	if err := check(now); err != nil && (!errors.As(err, &behind) || behind.Positions > meetBehindMax) {
		return nil, err
	}
	if err := ready(i, ctx); err != nil {
		return nil, err
	}
	if held, err = i.layout(live.ID()).read(ctx); err != nil {
		return nil, err
	}
	for range meetTries {
		if err = check(held); !errors.As(err, &behind) {
			return held, err
		}
		if _, err := i.tx.Exec(ctx, "SELECT pg_catalog.pg_sleep($1)", meetPause.Seconds()); err != nil {
			return nil, fmt.Errorf("waiting for the version: %w", err)
		}
	}
	return nil, err
}

// checkIndexes reports that indexes of the version are not built yet.
func (i *installer) checkIndexes(ctx context.Context) error {
	found, err := i.shapes(ctx)
	if err != nil {
		return err
	}
	if missing := i.projection.MissingIndexes(found); len(missing) > 0 {
		return &store.UnbuiltError{Projection: i.projection.ID(), Indexes: missing}
	}
	return nil
}

// runBy returns a worker that lives and runs a version, or has a segment of it; "" for none.
func (s *Store) runBy(ctx context.Context, tx pgx.Tx, of store.ProjectionID) (worker string, err error) {
	err = tx.QueryRow(ctx, s.queries.runBy, of.Name, of.Version, of.Build).Scan(&worker)
	if errors.Is(err, pgx.ErrNoRows) {
		return s.liveOwner(ctx, tx, of)
	}
	if err != nil {
		return "", fmt.Errorf("looking for workers: %w", err)
	}
	return worker, nil
}

// Retire deletes a version. See [store.Versions].
func (s backend) Retire(ctx context.Context, projection store.ProjectionID) error {
	err := pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, s.queries.lockProjection, projection.Name); err != nil {
			return fmt.Errorf("locking the projection: %w", err)
		}
		owner, err := s.runBy(ctx, tx, projection)
		if err != nil {
			return err
		}
		versions, err := readVersions(ctx, tx, &s.queries, projection.Name)
		if err != nil {
			return err
		}
		if versions.AskedFor(projection) {
			return askRebuild(ctx, tx, &s.queries, projection.Name, 0)
		}
		was, err := versions.Retirable(projection, owner)
		if err != nil {
			return err
		}
		if err := s.stopCommits(ctx, tx, was); err != nil {
			return err
		}
		if err := s.handover(tx, was.Name).dropHeld(ctx, was.ID().Number()); err != nil {
			return err
		}
		for _, statement := range []string{s.queries.forgetReplaced, s.queries.deleteVersion} {
			if _, err := tx.Exec(ctx, statement, was.Name, was.ID().Number()); err != nil {
				return fmt.Errorf("forgetting the version: %w", err)
			}
		}
		return dependedOn(was.Name, dropVersion(ctx, tx, store.PlaceOf(s.options.Schema, was.ID()).Tables, was))
	})
	return translate(err)
}

const (
	// commitWaitMax bounds how long a retirement waits for one lock. It is below PostgreSQL's deadlock_timeout, after
	// which a commit of a worker might be what gives way.
	commitWaitMax = 100 * time.Millisecond
	commitTries   = 50
)

// stopCommits locks the tables and the segments of a version that is about to go. Commits that have queried the tables
// take the lock of their segment later, and those that have not take it before: so it tries for both, and gives up both
// where it waits for a commit that waits for it.
func (s backend) stopCommits(ctx context.Context, tx pgx.Tx, was *store.Installed) error {
	layout := layoutOf{tx: tx, queries: &s.queries, projection: was.ID()}
	var err error
	for range commitTries {
		err = pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error {
			if err := waitForCommits(ctx, tx); err != nil {
				return err
			}
			if err := lockTables(ctx, tx, store.PlaceOf(s.options.Schema, was.ID()).Tables, was); err != nil {
				return err
			}
			return layout.tryLock(ctx)
		})
		if !errors.Is(translate(err), store.ErrLocked) {
			return err
		}
	}
	return err
}
