package jetstream

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/internal/clock"
)

// connection is a connection to NATS that comes back by itself, for ever.
type connection struct {
	nats    *nats.Conn
	js      natsjs.JetStream
	servers servers
	secrets []string
	timeout time.Duration
	logger  zerolog.Logger

	mu        sync.Mutex
	changed   chan struct{} // closed, and made again, when the connection is lost, or made
	open      bool          // as was logged last
	trouble   error         // why it is not open, or what a server has refused last
	troubleAt time.Time
}

const (
	reconnectWait = 250 * time.Millisecond
	dialTimeout   = 5 * time.Second
	// pingInterval and pingsMax bound how long a connection is used whose server has gone without a word.
	pingInterval = 5 * time.Second
	pingsMax     = 2
	// flightMax is the most messages that are on their way at once.
	flightMax = 4096
)

// dial prepares a connection. It tries each server once, for so long, and goes on in the background when none answers.
//
// # Errors
//
// The URL or the options are wrong.
func dial(urls string, options Options, each time.Duration) (*connection, error) {
	at, err := parseServers(urls)
	if err != nil {
		return nil, err
	}
	settings, err := options.settings()
	if err != nil {
		return nil, err
	}
	c := &connection{
		servers: at, timeout: options.Timeout, logger: options.Logger, changed: make(chan struct{}),
		secrets: append(at.secrets, options.Token, options.Password), trouble: nats.ErrNoServers,
	}
	if c.timeout == 0 {
		c.timeout = defaultTimeout
	}
	tried := c.changed
	settings = append(settings,
		nats.Name("pupwasm"), nats.NoEcho(), nats.Timeout(each),
		nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.IgnoreAuthErrorAbort(),
		nats.ReconnectWait(reconnectWait), nats.ReconnectJitter(reconnectWait, reconnectWait),
		nats.ReconnectBufSize(-1), // nothing is sent later than its sender waits for
		nats.PingInterval(pingInterval), nats.MaxPingsOutstanding(pingsMax),
		nats.ConnectHandler(c.connected), nats.ReconnectHandler(c.connected),
		nats.DisconnectErrHandler(c.disconnected), nats.ReconnectErrHandler(c.failed),
		nats.ErrorHandler(c.refused),
	)
	if c.nats, err = nats.Connect(at.urls, settings...); err != nil {
		return nil, errors.New(c.plain(err))
	}
	c.js, err = natsjs.New(c.nats, natsjs.WithDefaultTimeout(c.timeout), natsjs.WithPublishAsyncTimeout(c.timeout),
		natsjs.WithPublishAsyncMaxPending(flightMax))
	if err != nil {
		c.nats.Close()
		return nil, errors.New(c.plain(err))
	}
	<-tried // either connected or failed was called
	return c, nil
}

func (c *connection) connected(*nats.Conn) {
	if c.become(true, nil) {
		c.logger.Info().Str("nats", c.servers.shown).Msg("connected to NATS")
	}
}

func (c *connection) disconnected(conn *nats.Conn, err error) {
	if err == nil {
		err = nats.ErrDisconnected
	}
	if c.become(false, err) && !conn.IsClosed() {
		c.logger.Warn().Str("nats", c.servers.shown).Str("error", c.plain(err)).Msg("connection to NATS lost, trying again")
	}
}

// failed is called when a server could not be connected to.
func (c *connection) failed(_ *nats.Conn, err error) {
	if err != nil {
		c.become(false, err)
	}
}

// refused is called with errors that are of no call, such as a missing permission.
func (c *connection) refused(_ *nats.Conn, _ *nats.Subscription, err error) {
	c.mu.Lock()
	c.trouble, c.troubleAt = err, clock.Now()
	c.mu.Unlock()
	c.logger.Warn().Str("error", c.plain(err)).Msg("NATS reports an error")
}

// become notes what the connection is, and reports whether it was otherwise.
func (c *connection) become(open bool, trouble error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	changed := c.open != open
	c.open, c.trouble, c.troubleAt = open, trouble, clock.Now()
	close(c.changed)
	c.changed = make(chan struct{})
	return changed
}

// wait waits until the connection is open, as long as is said, and as an acknowledgement may take.
//
// # Errors
//
// [*UnavailableError]; ctx's.
func (c *connection) wait(ctx context.Context, most time.Duration) error {
	within, cancel := context.WithTimeout(ctx, min(most, c.timeout))
	defer cancel()
	for {
		c.mu.Lock()
		changed := c.changed
		c.mu.Unlock()
		if c.nats.IsConnected() {
			return nil
		}
		select {
		case <-changed:
		case <-within.Done():
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return c.unavailable(nats.ErrDisconnected)
		}
	}
}

// recent returns what went wrong without being the error of a call, within the time of one, or nil. It is why there is no
// connection, however long ago that was found out.
func (c *connection) recent() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.trouble == nil || c.open && clock.Since(c.troubleAt) > 2*c.timeout {
		return nil
	}
	return c.trouble
}

// within is a context for one exchange with the server.
func (c *connection) within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, c.timeout)
}

func (c *connection) close() { c.nats.Close() }
