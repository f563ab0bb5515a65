package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// A connection may be half open: a firewall has forgotten it, or the server's address has moved, and nothing
// tells. These bound how long such connections are believed in.
const (
	// pingAfter is how long a connection may have been idle to be used without a ping, and pingTimeout how long
	// the ping may take.
	pingAfter   = time.Second
	pingTimeout = 5 * time.Second
	// connectTimeout is for an address, unless the URL has a connect_timeout.
	connectTimeout = 10 * time.Second
	// unansweredMax is how long the kernel waits for what it has sent to be acknowledged by the other side's, see
	// socket_linux.go.
	unansweredMax = 20 * time.Second
)

// guard has the pools find half-open connections out in the time of one ping, however many they hold.
func (s *Store) guard(config *pgxpool.Config) {
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = connectTimeout
	}
	dialer := net.Dialer{KeepAliveConfig: keepAlive, Control: limitUnanswered}
	config.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &watchedConn{Conn: conn, lost: s.dropIdle}, nil
	}
	first := config.AfterConnect
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		watch(conn.PgConn().Conn())
		if first == nil {
			return nil
		}
		return first(ctx, conn)
	}
	next := config.ConnConfig.OnPgError
	config.ConnConfig.OnPgError = func(conn *pgconn.PgConn, answer *pgconn.PgError) bool {
		if strings.HasPrefix(answer.Code, classShutdown) {
			s.dropIdle()
		}
		return next == nil || next(conn, answer)
	}
	config.PingTimeout = pingTimeout
	config.ShouldPing = func(ctx context.Context, params pgxpool.ShouldPingParams) bool {
		if params.IdleDuration < s.pingAfter {
			return false
		}
		within, cancel := context.WithTimeoutCause(ctx, s.pingTimeout, errSilent)
		defer cancel()
		if params.Conn.Ping(within) == nil {
			return false
		}
		if errors.Is(context.Cause(within), errSilent) {
			s.dropIdle()
		}
		return true // the pool pings it again, which fails at once, and drops it
	}
}

// keepAlive finds out in unansweredMax that nobody is there while an answer is waited for.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 2}

// errSilent is why a call has ended that the server did not answer in its time. The deadline of a caller says
// nothing of the server.
var errSilent = errors.New("the server is silent")

// watchedConn tells when the other side ends the connection, as a server does that goes down. It tells so of the
// connections of a pool, and not of those by which a statement is cancelled: they end so always.
type watchedConn struct {
	net.Conn
	lost    func()
	pooled  atomic.Bool
	limited atomic.Bool // this side has set it a limit in time, as it does when it gives it up
}

// watch begins it for a connection that is established. TLS is above it, whose own type the driver looks for.
func watch(conn net.Conn) {
	if over, is := conn.(*tls.Conn); is {
		conn = over.NetConn()
	}
	if watched, is := conn.(*watchedConn); is {
		watched.pooled.Store(true)
	}
}

// SetDeadline sets a limit in time.
func (c *watchedConn) SetDeadline(t time.Time) error {
	c.limited.Store(!t.IsZero())
	return c.Conn.SetDeadline(t)
}

// Read reads. An end is no news where this side has asked for it.
func (c *watchedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil && !errors.Is(err, net.ErrClosed) && c.pooled.Load() && !c.limited.Load() {
		c.lost()
	}
	return n, err
}

// dropIdle closes the idle connections of the own pools when one has fallen silent or is ended by the other side: the
// others are no better. Each would have to be waited for, or would fail when the server has long been back.
func (s *Store) dropIdle() {
	if !s.opened.Load() { // the first connections are made while the pools are
		return
	}
	for _, pool := range s.ownPools() {
		pool.Reset()
	}
}
