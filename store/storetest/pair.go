package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

// RunApart runs the cases that concern tables on those of one driver, with the log in a database of another or of the
// same.
func RunApart(t *testing.T, logs, tables Driver) {
	runGroups(t, Driver{Dialect: tables.Dialect, New: func(t testing.TB) Database {
		t.Helper()
		return pairOf(logs.New(t), tables.New(t))
	}}, []caseGroup{
		{"apart", apartCases},
		{"native", nativeCases},
		{"fence", fenceCases},
		{"parking", parkingCases},
		{"lease_model", leaseModelCases},
		{"pause", pauseCases},
		{"layout", layoutCases},
		{"reset", resetCases},
		{"outbox", outboxCases},
		{"outbox_begin", outboxBeginCases},
		{"outbox_versions", outboxVersionCases},
		{"outbox_held", outboxHeldCases},
	})
}

// pairOf makes one database of two, for the suite: a log, and tables.
func pairOf(log, tables Database) Database {
	pair := tables
	pair.log = &log
	pair.Open = func(t testing.TB) store.Store {
		t.Helper()
		l, own := log.Open(t), tables.Open(t)
		return &pairStore{Tables: own.Apart(), logStore: l, log: l, own: own}
	}
	pair.HoldAppend, pair.BeginAfter = log.HoldAppend, log.BeginAfter
	if tables.Clock != nil {
		pair.Clock = func(t testing.TB, s store.Store) func(since time.Duration) {
			t.Helper()
			return tables.Clock(t, s.(*pairStore).own)
		}
	}
	return pair
}

// logStore are the methods that a pair has of its log.
type logStore interface {
	store.Streams
	store.BulkAppender
	store.Reader
	store.LogChecker
}

// pairStore is two stores in the hands of a worker: it adopts the log for segments that have not begun, and brings
// along what a commit notes of the log.
type pairStore struct {
	store.Tables
	logStore
	log, own store.Store
}

// Ping asks both.
func (p *pairStore) Ping(ctx context.Context) error {
	return errors.Join(p.log.Ping(ctx), p.Tables.Ping(ctx))
}

// Close closes both.
func (p *pairStore) Close() {
	p.log.Close()
	p.own.Close()
}

// Claim adopts the log for segments that have not begun.
func (p *pairStore) Claim(ctx context.Context, request store.ClaimRequest) ([]store.Claim, error) {
	claims, err := p.Tables.Claim(ctx, request)
	held := claims[:0]
	for _, claim := range claims {
		if claim.Applied.Log == (store.LogID{}) {
			state, err := p.Locate(ctx)
			if err != nil {
				return nil, err
			}
			if err := p.Adopt(ctx, claim, state.Log); errors.Is(err, store.ErrFenced) {
				continue
			} else if err != nil {
				return nil, err
			}
			claim.Applied.Log = state.Log
		}
		held = append(held, claim)
	}
	return held, err
}

// Install gives transactions that bring along what a commit notes of the log.
func (p *pairStore) Install(ctx context.Context, projection *store.Projection, segments int) (store.Catalogue, error) {
	catalogue, err := p.Tables.Install(ctx, projection, segments)
	if err != nil {
		return nil, err
	}
	return &pairCatalogue{catalogue, p}, nil
}

// InstallBeside is Install beside an earlier version.
func (p *pairStore) InstallBeside(
	ctx context.Context, projection *store.Projection, segments int,
) (store.Catalogue, error) {
	catalogue, err := p.Tables.InstallBeside(ctx, projection, segments)
	if err != nil {
		return nil, err
	}
	return &pairCatalogue{catalogue, p}, nil
}

type pairCatalogue struct {
	store.Catalogue
	pair *pairStore
}

// Begin opens such a transaction.
func (c *pairCatalogue) Begin(claim store.Claim) store.Tx {
	return &pairTx{c.Catalogue.Begin(claim), c.pair}
}

type pairTx struct {
	store.Tx
	pair *pairStore
}

// Commit looks up in the log what the commit notes of it.
func (x *pairTx) Commit(ctx context.Context, commit store.Commit) error {
	horizon, err := x.pair.Horizon(ctx)
	if err != nil {
		return err
	}
	commit.Head = horizon.Head
	if commit.LastPosition != commit.Through {
		applied, err := x.pair.AppliedAt(ctx, commit.Through)
		if err != nil {
			return err
		}
		commit.LastPosition, commit.LastEvent = applied.Position, applied.Event
	}
	return x.Tx.Commit(ctx, commit)
}

// Native is that of the tables.
func (x *pairTx) Native(ctx context.Context) (any, error) { return x.Tx.(store.NativeTx).Native(ctx) }
