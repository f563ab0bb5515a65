package postgres

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pupwasm/pupwasm/store"
)

// stmtCache is the set of statements that one connection's server keeps prepared. The server then neither parses
// nor plans them again, which for a small batch is most of its work. A statement is cached only if its plan does
// not depend on what the tables hold.
//
// A pooler in transaction mode may send each transaction to another server connection, which has other statements.
// The first error of that kind turns the caches of the store off for good: see errStatementsLost.
type stmtCache struct {
	off      *atomic.Bool // of the store
	prepared map[string]bool
	pending  map[string]bool // in the pipeline under way
}

// stmtCacheMax bounds what the server of one connection is asked to keep.
const stmtCacheMax = 256

// errStatementsLost says that the server lacks statements that it should have. Nothing was written. A retry does
// without them.
var errStatementsLost = fmt.Errorf("%w: the connection goes through a pooler that loses prepared statements",
	store.ErrTransient)

// retryUncached makes a second attempt when the first one found that statements are lost.
func retryUncached(attempt func() error) error {
	err := attempt()
	if errors.Is(err, errStatementsLost) {
		return attempt()
	}
	return err
}

const stmtCacheKey = "pupwasm.statements"

// stmtCacheOf returns the cache of a connection for a new pipeline.
func (s *Store) stmtCacheOf(conn *pgconn.PgConn) *stmtCache {
	n, _ := conn.CustomData()[stmtCacheKey].(*stmtCache)
	if n == nil {
		n = &stmtCache{off: &s.stmtCacheOff, prepared: map[string]bool{}, pending: map[string]bool{}}
		conn.CustomData()[stmtCacheKey] = n
	}
	clear(n.pending)
	return n
}

// cache gives a statement the name under which it is prepared. The name is a hash of the whole statement: what
// another client prepared under the same name is the same statement.
func (s *statement) cache() {
	sum := sha256.New()
	sum.Write([]byte(s.sql))
	oids, _ := s.wire()
	fmt.Fprint(sum, oids)
	s.cachedAs = "pupwasm_" + hex.EncodeToString(sum.Sum(nil)[:12])
}

type stmtUse int

const (
	uncached stmtUse = iota
	toPrepare
	ready
)

func (n *stmtCache) use(s *statement) stmtUse {
	if s.cachedAs == "" || n.off.Load() {
		return uncached
	}
	switch {
	case n.prepared[s.cachedAs] || n.pending[s.cachedAs]:
		return ready
	case len(n.prepared)+len(n.pending) >= stmtCacheMax:
		return uncached
	}
	n.pending[s.cachedAs] = true
	return toPrepare
}

// add is called when the server has prepared the statement, which it keeps even if the transaction fails.
func (n *stmtCache) add(s *statement) {
	n.prepared[s.cachedAs] = true
}

// lost reports whether an error means that statements are lost here, and turns the cache off then.
func (n *stmtCache) lost(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Code != stateUndefinedStatement && pg.Code != stateDuplicateStatement {
		return false
	}
	n.off.Store(true)
	return true
}
