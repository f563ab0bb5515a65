package jetstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/internal/backoff"
	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

// CopyOptions configures a copy. The zero value is ready to use.
type CopyOptions struct {
	Options // Source is not used

	// Stream is the name of the stream, of letters, digits, - and _. It is created when it is missing. Defaults to EVENTS.
	Stream string
	// Prefix begins the subjects: prefix.context.type.id.eventtype. Defaults to events.
	Prefix string
	// Replicas is of a stream that is created. Defaults to 3 in a cluster and to 1 on a server alone.
	Replicas int
	// After is the position behind which the copy of a stream begins that has no message yet. The log must have reached it.
	After int64
	// PollMax is the longest interval at which the log is asked for new events. Defaults to 100 milliseconds.
	PollMax time.Duration
	// GiveUp is how long the log, or NATS, may be unavailable until the copy ends with an error. What NATS was asked for
	// until then may take its Timeout. Defaults to 0: for ever.
	GiveUp time.Duration
	// Progress is told how far the copy is, now and then, by the goroutine that copies. Defaults to none.
	Progress func(CopyProgress)
}

// CopyProgress is how far a copy is.
type CopyProgress struct {
	Stream   string
	Sequence uint64 // of the stream's last message
	Position int64  // in the log, up to which the stream has every event
	Horizon  int64  // up to where the log can be read
	Copied   int64  // events that this copy has stored
}

const (
	defaultStream = "EVENTS"
	defaultPrefix = "events"
	pollMin       = 5 * time.Millisecond
	prefixMax     = 200
	streamNameMax = 100
	replicasMax   = 5 // of JetStream
)

func (o CopyOptions) withDefaults() CopyOptions {
	if o.Stream == "" {
		o.Stream = defaultStream
	}
	if o.Prefix == "" {
		o.Prefix = defaultPrefix
	}
	if o.PollMax == 0 {
		o.PollMax = 100 * time.Millisecond
	}
	if o.Progress == nil {
		o.Progress = func(CopyProgress) {}
	}
	return o
}

func (o *CopyOptions) validate() error {
	isStream := o.Stream != "" && len(o.Stream) <= streamNameMax && store.SubjectToken(o.Stream) == o.Stream
	switch {
	case !isStream:
		return fmt.Errorf("the stream %.60q: a name has letters, digits, - and _, at most %d", o.Stream, streamNameMax)
	case !store.IsSubject(o.Prefix) || len(o.Prefix) > prefixMax:
		return fmt.Errorf("the prefix of subjects %.60q: use tokens of letters, digits, - and _ with dots between them; it "+
			"begins with a letter and has at most %d bytes", o.Prefix, prefixMax)
	case o.Replicas < 0 || o.Replicas > replicasMax:
		return fmt.Errorf("a stream has 1 to %d replicas, not %d", replicasMax, o.Replicas)
	case o.After < 0:
		return fmt.Errorf("a log begins behind position 0, not %d", o.After)
	case o.PollMax < pollMin:
		return fmt.Errorf("the interval between polls must be at least %s, it is %s", pollMin, o.PollMax)
	case o.GiveUp < 0:
		return fmt.Errorf("how long to try again must not be negative, it is %s", o.GiveUp)
	}
	return nil
}

// Copy copies a log to a stream of JetStream: every event once, in order of position, whatever becomes of the copy, the
// database, and NATS, and however many copies run. See [Event] for what the messages are.
//
// # Once
//
// Every message says which sequence it is to be stored behind, so that a stream takes each event from one copy only, and
// none when one before it is missing. A copy that has lost the thread waits for the answers to everything that is on its way,
// and goes on behind the event that the stream's last message has: the stream itself is the record of how far the copy
// is. The event must be in the log still, so that a stream is never continued from another log, or from one that has
// lost what the stream has. While one copy goes on, the others wait and watch.
//
// The user needs the rights to publish to the subjects, to $JS.API.STREAM.CREATE, INFO and MSG.GET of the stream, and to
// subscribe to _INBOX.>.
type Copy struct {
	conn    *connection
	log     store.Log
	options CopyOptions
	logger  zerolog.Logger

	progress CopyProgress
	poll     backoff.Backoff // between polls of the log
	warned   bool            // of the stream's configuration
	told     time.Time       // when Progress was called last
	since    time.Time       // since when nothing goes on because of an error; zero when it does
	waits    bool            // that was logged
}

// errOvertaken says that another copy has stored what this one was about to.
var errOvertaken = errors.New("another copy has stored the next event")

// OpenCopy prepares a copy of a log, see [Open] for the URLs. The caller closes it, and the log.
//
// # Errors
//
// The URL or an option cannot be used. The text has no secrets.
func OpenCopy(ctx context.Context, urls string, log store.Log, options CopyOptions) (*Copy, error) {
	options = options.withDefaults()
	if err := options.validate(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	each := dialTimeout
	if options.GiveUp > 0 {
		each = min(each, max(options.GiveUp, dialTimeoutMin))
	}
	conn, err := dial(urls, options.Options, each)
	if err != nil {
		return nil, err
	}
	return &Copy{
		conn: conn, log: log, options: options, logger: options.Logger,
		progress: CopyProgress{Stream: options.Stream},
		poll:     backoff.Backoff{Min: min(2*pollMin, options.PollMax), Max: options.PollMax},
	}, nil
}

// Close closes the connection to NATS.
func (c *Copy) Close() { c.conn.close() }

// Run copies until ctx ends.
//
// # Errors
//
// ctx's; [*StreamError] when the stream cannot be a copy of the log; a position to begin behind that the log has not
// reached; a message that the servers do not take; errors of the log that do not pass; and what is not available for longer
// than GiveUp.
func (c *Copy) Run(ctx context.Context) error { return c.run(ctx, false) }

// Once copies what the log has now, and returns how far the copy is.
//
// # Errors
//
// Those of Run.
func (c *Copy) Once(ctx context.Context) (CopyProgress, error) {
	err := c.run(ctx, true)
	return c.progress, err
}

// Copied returns how far the copy is. It must not run.
func (c *Copy) Copied() CopyProgress { return c.progress }

const (
	progressInterval = 250 * time.Millisecond

	// dialTimeoutMin is how long a server may take at least that is connected to, however soon a copy gives up.
	dialTimeoutMin = time.Second
	retryMin       = 100 * time.Millisecond
	retryMax       = 5 * time.Second
	// watchMin and watchMax bound the interval at which a copy looks whether the one that overtook it goes on.
	watchMin = time.Second
	watchMax = 2 * time.Second
)

// run copies in rounds: each begins behind the stream's last message.
func (c *Copy) run(ctx context.Context, once bool) error {
	retry := backoff.Backoff{Min: retryMin, Max: retryMax}
	r := &round{copy: c, once: once}
	for {
		before := c.progress.Position
		err := r.run(ctx)
		if err == nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if errors.Is(err, errOvertaken) {
			err = c.watch(ctx, once)
		}
		if err == nil || c.progress.Position > before {
			c.goesOn()
		}
		if c.since.IsZero() {
			retry.Reset()
		}
		if err == nil {
			continue
		}
		if err := c.fails(err); err != nil {
			return err
		}
		if !backoff.Sleep(ctx, min(retry.Pause(), c.left(retryMax))) {
			return ctx.Err()
		}
	}
}

// stops notes that the copy does not go on.
func (c *Copy) stops() {
	if c.since.IsZero() {
		c.since = clock.Now()
	}
}

// left is how long the copy, which does not go on, may still try, if that is less than most.
func (c *Copy) left(most time.Duration) time.Duration {
	if c.options.GiveUp == 0 {
		return most
	}
	return min(most, max(c.options.GiveUp-clock.Since(c.since), 0))
}

// fails notes an error. It returns it when the copy is to end.
func (c *Copy) fails(err error) error {
	if !errors.Is(err, store.ErrTransient) {
		return err
	}
	c.stops()
	if c.left(retryMax) == 0 {
		return err
	}
	if !c.waits {
		c.waits = true
		c.logger.Warn().Err(err).Msg("the copy waits, and tries again")
	}
	return nil
}

// goesOn notes that the copy does what it is to do.
func (c *Copy) goesOn() {
	if c.waits {
		c.logger.Info().Stringer("after", clock.Since(c.since).Round(time.Millisecond)).Msg("the copy goes on")
	}
	c.since, c.waits = time.Time{}, false
}

// round copies from the stream's last message on, until something fails.
type round struct {
	copy    *Copy
	once    bool
	chosen  bool  // through is known, of the first round
	through int64 // up to where once copies
	page    store.Page
}

// run returns nil only when everything is copied that is to be copied once.
func (r *round) run(ctx context.Context) error {
	c := r.copy
	if !c.conn.nats.IsConnected() {
		c.stops()
		if err := c.conn.wait(ctx, c.left(c.conn.timeout)); err != nil {
			return err
		}
	}
	stream, err := c.stream(ctx)
	if err != nil {
		return err
	}
	end, err := c.end(ctx, stream)
	if err != nil {
		return err
	}
	f := &flight{copy: c, end: *end}
	if err = r.follow(ctx, f); err != nil {
		f.settle(ctx)
	}
	return err
}

// follow sends what the log has, and what it gets.
func (r *round) follow(ctx context.Context, f *flight) error {
	c := r.copy
	read := f.end.position // up to here
	for !r.done(read) {
		horizon, err := c.log.Horizon(ctx)
		if err != nil {
			return err
		}
		if horizon.Log != f.end.log {
			return errLogChanged
		}
		if !r.chosen {
			r.chosen, r.through = true, horizon.Position
		}
		c.progress.Horizon = horizon.Position
		last := read
		through := horizon.Position
		if r.once {
			through = r.through
		}
		if read, err = r.send(ctx, f, read, through); err != nil {
			return err
		}
		c.goesOn()
		c.progress.Position = read
		c.options.Progress(c.progress)
		if r.done(read) {
			break
		}
		if read > last {
			c.poll.Reset()
		}
		if !backoff.Sleep(ctx, c.poll.Pause()) {
			return ctx.Err()
		}
	}
	return nil
}

// done reports that everything is copied that is to be copied once.
func (r *round) done(read int64) bool { return r.once && r.chosen && read >= r.through }

// send sends the events behind a position, up to another one, and waits until the stream has them. It returns the position
// up to where it has read.
func (r *round) send(ctx context.Context, f *flight, read, through int64) (int64, error) {
	for read < through {
		request := store.ReadRequest{
			After: read, Through: through, Limit: pageEvents, Bytes: pageBytes, Range: store.FullRange(),
			Columns: store.AllColumns &^ store.ColumnPartitionHash,
		}
		if err := r.copy.log.Read(ctx, request, &r.page); err != nil {
			return read, err
		}
		if r.page.Log != f.end.log {
			return read, errLogChanged
		}
		if err := f.send(ctx, r.page.Events); err != nil {
			return read, err
		}
		read = r.page.Through
	}
	return read, f.land(ctx, 0)
}

// errLogChanged says that the log was another one before: a standby has taken the place of its server, or it was replaced.
// The next round finds out.
var errLogChanged = fmt.Errorf("the log is read from another server now: %w", store.ErrTransient)

const (
	pageEvents = 1000
	pageBytes  = 8 << 20
)

// watch waits while another copy goes on, or for a moment only.
func (c *Copy) watch(ctx context.Context, briefly bool) error {
	c.logger.Info().Str("stream", c.options.Stream).Msg("another relay copies to the stream: this one waits until it stops")
	pause := backoff.Backoff{Min: watchMin, Max: watchMax}
	last := uint64(0)
	for {
		if !backoff.Sleep(ctx, pause.Pause()) {
			return ctx.Err()
		}
		if briefly {
			return nil
		}
		stream, err := c.stream(ctx)
		if err != nil {
			return err
		}
		sequence := stream.CachedInfo().State.LastSeq
		if sequence == last {
			return nil
		}
		last = sequence
	}
}
