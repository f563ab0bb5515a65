package postgres

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

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

// watchedConn tells when the other side ends the connection, as a server does that goes down.
type watchedConn struct {
	net.Conn
	lost func()
}

// Read reads. What ends it from this side, a limit in time or Close, is no news.
func (c *watchedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	var network net.Error
	if err != nil && !errors.Is(err, net.ErrClosed) && !(errors.As(err, &network) && network.Timeout()) {
		c.lost()
	}
	return n, err
}

// dropIdle closes the idle connections of the own pools when one has fallen silent or is ended by the other side: the
// others are no better. Each would have to be waited for, or would fail when the server has long been back.
func (s *Store) dropIdle() {
	for _, pool := range s.ownPools() {
		pool.Reset()
	}
}
