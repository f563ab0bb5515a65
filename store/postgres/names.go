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

// names are the statements that one connection's server keeps prepared, so that it does not read and plan them again: for a small
// batch that is most of its work. Only statements are kept whose plan is the same whatever the tables hold.
//
// A pooler that works by transaction may hand every transaction to another server, which has other statements. The first sign of it
// ends all names of the store for good: see errNamesLost.
type names struct {
	off   *atomic.Bool // of the store
	known map[string]bool
	asked map[string]bool // in the pipeline under way
}

// namesMax bounds what the server of one connection is asked to keep.
const namesMax = 256

// errNamesLost says that the server does not have the statements that it should. Nothing was written. A second try goes without.
var errNamesLost = fmt.Errorf("%w: the connection goes through a pooler that loses prepared statements", store.ErrTransient)

// withoutNames makes an attempt, and another one when it has found out that statements are not kept.
func withoutNames(attempt func() error) error {
	err := attempt()
	if errors.Is(err, errNamesLost) {
		return attempt()
	}
	return err
}

const namesKey = "pupwasm.names"

// namesOn returns the names of a connection for a new pipeline.
func (s *Store) namesOn(conn *pgconn.PgConn) *names {
	n, _ := conn.CustomData()[namesKey].(*names)
	if n == nil {
		n = &names{off: &s.namesOff, known: map[string]bool{}, asked: map[string]bool{}}
		conn.CustomData()[namesKey] = n
	}
	clear(n.asked)
	return n
}

// keep gives a statement the name under which it is prepared: it tells the whole statement, so that what another client has
// prepared under the same name is the same.
func (s *statement) keep() {
	sum := sha256.New()
	sum.Write([]byte(s.sql))
	oids, _ := s.wire()
	fmt.Fprint(sum, oids)
	s.kept = "pupwasm_" + hex.EncodeToString(sum.Sum(nil)[:12])
}

type nameUse int

const (
	unnamed nameUse = iota
	toPrepare
	ready
)

func (n *names) use(s *statement) nameUse {
	if s.kept == "" || n.off.Load() {
		return unnamed
	}
	switch {
	case n.known[s.kept] || n.asked[s.kept]:
		return ready
	case len(n.known)+len(n.asked) >= namesMax:
		return unnamed
	}
	n.asked[s.kept] = true
	return toPrepare
}

// prepared is called when the server has prepared the statement. It keeps it also when the transaction fails.
func (n *names) prepared(s *statement) {
	n.known[s.kept] = true
}

// lost tells whether an error means that names do not work here, and ends them then.
func (n *names) lost(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Code != stateUndefinedStatement && pg.Code != stateDuplicateStatement {
		return false
	}
	n.off.Store(true)
	return true
}
