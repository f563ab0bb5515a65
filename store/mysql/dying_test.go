package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"sync"
)

// Dying is a host that ends at its n-th statement, the first being 1: the server does not get it any more, or runs it
// and nobody hears of it. All connections of the host go with it. At 0 it lives on.
type Dying struct {
	At    int
	After bool // the server runs the statement

	mu   sync.Mutex
	seen int
	dead bool
	open []driver.Conn
}

var errDead = errors.New("the host has ended")

// Died reports whether it has ended.
func (d *Dying) Died() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dead
}

// OpenDying opens the store of such a host.
func OpenDying(url string, options Options, d *Dying) (Backend, error) {
	s, err := Open(url, options)
	if err != nil {
		return Backend{}, err
	}
	s.db = sql.OpenDB(dyingConnector{s.db, d})
	return backend{Store: s}, nil
}

// dyingConnector makes connections of another handle end with the host.
type dyingConnector struct {
	db   *sql.DB
	host *Dying
}

func (c dyingConnector) Driver() driver.Driver { return c.db.Driver() }

func (c dyingConnector) Close() error { return c.db.Close() }

func (c dyingConnector) Connect(ctx context.Context) (driver.Conn, error) {
	held, err := c.db.Conn(ctx) // for good
	if err != nil {
		return nil, err
	}
	made := dyingConn{host: c.host}
	err = held.Raw(func(driverConn any) error {
		made.Conn = driverConn.(driver.Conn)
		return nil
	})
	c.host.mu.Lock()
	defer c.host.mu.Unlock()
	c.host.open = append(c.host.open, made.Conn)
	return made, err
}

type dyingConn struct {
	driver.Conn
	host *Dying
}

func (c dyingConn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (rows driver.Rows, err error) {
	err = c.host.run(func() error {
		rows, err = c.Conn.(driver.QueryerContext).QueryContext(ctx, text, args)
		return err
	})
	return rows, err
}

func (c dyingConn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (result driver.Result, err error) {
	err = c.host.run(func() error {
		result, err = c.Conn.(driver.ExecerContext).ExecContext(ctx, text, args)
		return err
	})
	return result, err
}

// run runs a statement, unless the host has ended.
func (d *Dying) run(statement func() error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return errDead
	}
	d.seen++
	if d.seen != d.At {
		return statement()
	}
	d.dead = true
	if d.After {
		_ = statement()
	}
	for _, open := range d.open {
		_ = open.Close()
	}
	return errDead
}
