package segments

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/internal/backoff"
	"github.com/pupwasm/pupwasm/store"
)

// Options configures a worker. The zero value is ready to use.
type Options struct {
	// Name identifies the worker among all. Of two processes that run under one name, the older one ends.
	// Defaults to host name, process id and a random suffix.
	Name string
	// Segments is the number of segments per projection. An existing projection is divided again once all
	// workers that run it and set Segments ask for the same number. Defaults to 0: as it is stored, and 4 for a
	// new projection.
	Segments int
	// BatchEvents is the most events in one batch. A module may ask for fewer. Defaults to 1000.
	BatchEvents int
	// BatchBytes is the most bytes of payload and metadata in one batch; a single larger event is a batch of its own.
	// Defaults to 2 MiB.
	BatchBytes int
	// EventBytes is about how many bytes of events, and of the rows that come of them, all segments together
	// have in memory; half as many again are pages that several segments read. A read waits while there are
	// more, and one is always let through. What a host takes is some times that: the same events are in the
	// guests and on their way to the database. Defaults to 64 MiB.
	EventBytes int
	// CommitEvents is the maximum number of events per commit. While a segment is far behind, several batches
	// are folded into one: they are written together, within 250 milliseconds, and a crash repeats them
	// together. On PostgreSQL a commit of a version that readers do not see has up to twenty times as many, within 5
	// seconds. Set it to BatchEvents or less to commit every batch separately. Batches of a projection that has
	// queries are always committed separately. Defaults to 50,000.
	CommitEvents int
	// BatchPause is a rest after each batch of a segment, each of which is a commit then, to spare the
	// database. Defaults to 0.
	BatchPause time.Duration
	// Concurrency is how many reads and commits may be in flight at once, over all projections. Each projection
	// has an equal share, and one at least. It should not be above the connections of the store. Defaults to 8.
	Concurrency int
	// BuildShare is the part of its share of Concurrency, in percent, that a version gets which readers do not see, so
	// that building it leaves room for those that they see. Defaults to 50.
	BuildShare int
	// Lease is how long other workers wait for a worker whose heartbeats fail. Defaults to 10 seconds.
	Lease time.Duration
	// Heartbeat is the interval of heartbeats, at most half of Lease. Defaults to a quarter of Lease.
	Heartbeat time.Duration
	// Rebalance is the interval at which the worker polls who else works, takes its share of the segments, and
	// gives up what is beyond it. Defaults to 1 second.
	Rebalance time.Duration
	// Poll is the shortest interval between two polls of the horizon; a notification causes one at once. It is
	// kept while single events come and a segment waits for them. Polls are fewer when they bring many events
	// each, when nobody waits, or when the database takes long to answer. Defaults to 500 microseconds.
	Poll time.Duration
	// PollMax is the longest interval, reached when nothing happens. Defaults to 1 second.
	PollMax time.Duration
	// PollFactor is by how much the interval grows each time that nothing has happened. Defaults to 1.5.
	PollFactor float64
	// PollOnly keeps appends from waking the worker. Otherwise they do while fewer than some hundred of them
	// come a second, where the store can ([store.Notifier]): then PollMax may be long. While notifications do
	// not arrive, it is a second or less. Defaults to false.
	PollOnly bool
	// WakeJitter bounds a random time that a segment waits when new events end a rest, so that many hosts do
	// not ask the database in one instant. Defaults to 0.
	WakeJitter time.Duration
	// RetryMin is the first pause after an error of the database; pauses double, with jitter. Defaults to 100
	// milliseconds.
	RetryMin time.Duration
	// RetryMax is the longest pause after an error of the database. Defaults to 10 seconds.
	RetryMax time.Duration
	// FailRefused makes Run end with an error when the database accepts none of the modules, of which none has
	// run before. Otherwise they are tried again every 10 seconds. Defaults to false.
	FailRefused bool
	// FailFast makes Run end with a [*FailedError] when a segment fails, of any projection. Otherwise the others go on.
	// Nothing is parked or skipped then: OnError has no effect. Defaults to false.
	FailFast bool
	// Projections are settings of single projections in every version, by name, in place of those above.
	Projections map[string]ProjectionOptions
	// OnError is what becomes of an event that a projection fails at. Defaults to what the program says, and
	// then to [store.ErrorPark] where events are divided by a key, and [store.ErrorStop] otherwise.
	OnError store.ErrorPolicy
	// ParkedMax is the most keys of a projection that may be parked: with one more its segment fails. Defaults
	// to 100; below 0 there is no limit. A segment also fails when more than 1% of the last 100,000 events of
	// its projection failed on this worker.
	ParkedMax int
	// ParkedRetries is how often a parked key is tried again by itself at one event: after 2 seconds, and twice
	// that the next time, up to 10 minutes. Code that it was not tried with tries it at once. Defaults to 3;
	// below 0 a key waits for other code or for an order.
	ParkedRetries int
	// OnPark is called for each key that is parked, of the projections that the worker runs: once over all workers, as
	// far as they are not killed in between. When it returns an error it is called again, after 1 second and then less
	// often, down to once a minute. Calls come one after the other, apart from the work, and have 10 seconds: then, and
	// when Run ends, their context ends. Keys that were parked before count too. Defaults to none.
	OnPark func(ctx context.Context, key store.ParkedKey) error
	// Relay sends messages beside the worker, under its lease. Defaults to none: other hosts send those of this worker.
	Relay Relay
	// OutboxMax is about the most messages of a projection that may wait in the outbox, to be sent or held: with more,
	// commits that have messages wait. Defaults to 1,000,000; below 0 there is no limit.
	OutboxMax int
	// Once makes Run return when everything that was appended before it is applied or has failed. Defaults to false.
	Once bool
	// Logger receives what happens. Defaults to none.
	Logger zerolog.Logger
	// Observer is told what happens, for metrics and alerts. Defaults to none.
	Observer *Observer
}

// ProjectionOptions are settings of one projection. A zero field is the worker's setting.
type ProjectionOptions struct {
	// Segments is the number of segments. Other workers that ask for another number keep an existing projection
	// as it is.
	Segments     int
	BatchEvents  int           // see [Options].BatchEvents
	CommitEvents int           // see [Options].CommitEvents
	BatchPause   time.Duration // see [Options].BatchPause; below 0 there is none
	// Poll is how long a segment that has read all there was rests before it looks for more: the rows of a projection
	// that nobody waits for come later, in fewer and larger commits. A segment that is behind does not rest. The log
	// is polled for all projections at once, at the intervals of [Options], so that a shorter rest changes nothing.
	// Defaults to 0: a segment reads as soon as a poll has found something.
	Poll          time.Duration
	OnError       store.ErrorPolicy // see [Options].OnError
	ParkedMax     int               // see [Options].ParkedMax
	ParkedRetries int               // see [Options].ParkedRetries
	// Durability says whether its commits wait for the disk. Defaults to the option of the store.
	Durability store.Durability
	// MessagesFrom is from where on the projection sends, unless that was decided when it was installed before. Defaults
	// to MessagesFromNow.
	MessagesFrom MessagesFrom
	OutboxMax    int // see [Options].OutboxMax
}

// Or returns the options with those of another set where a field is zero.
func (o ProjectionOptions) Or(other ProjectionOptions) ProjectionOptions {
	o.Segments = cmp.Or(o.Segments, other.Segments)
	o.BatchEvents = cmp.Or(o.BatchEvents, other.BatchEvents)
	o.CommitEvents = cmp.Or(o.CommitEvents, other.CommitEvents)
	o.BatchPause = cmp.Or(o.BatchPause, other.BatchPause)
	o.Poll = cmp.Or(o.Poll, other.Poll)
	o.OnError = cmp.Or(o.OnError, other.OnError)
	o.ParkedMax = cmp.Or(o.ParkedMax, other.ParkedMax)
	o.ParkedRetries = cmp.Or(o.ParkedRetries, other.ParkedRetries)
	o.Durability = cmp.Or(o.Durability, other.Durability)
	o.MessagesFrom = cmp.Or(o.MessagesFrom, other.MessagesFrom)
	o.OutboxMax = cmp.Or(o.OutboxMax, other.OutboxMax)
	return o
}

// Validate reports what is wrong with the options of one projection.
//
// # Errors
//
// [*OptionError].
func (o ProjectionOptions) Validate() error {
	switch {
	case o.Poll < 0:
		return &OptionError{Option: "Poll", Reason: fmt.Sprintf("must not be negative, it is %s", o.Poll)}
	case o.MessagesFrom != "" && o.MessagesFrom != MessagesFromNow && o.MessagesFrom != MessagesFromBeginning:
		return &OptionError{Option: "MessagesFrom", Reason: fmt.Sprintf("must be %q or %q, it is %q", MessagesFromNow,
			MessagesFromBeginning, string(o.MessagesFrom))}
	case o.Durability < store.DurabilityOfStore || o.Durability > store.Volatile:
		return &OptionError{Option: "Durability", Reason: fmt.Sprintf("must be one of the constants, it is %d", o.Durability)}
	}
	return Options{}.of(o).Validate()
}

// of returns the options with those of a projection.
func (o Options) of(own ProjectionOptions) Options {
	o.Projections = nil
	o.Segments = cmp.Or(own.Segments, o.Segments)
	o.BatchEvents = cmp.Or(own.BatchEvents, o.BatchEvents)
	o.CommitEvents = cmp.Or(own.CommitEvents, o.CommitEvents)
	o.BatchPause = max(cmp.Or(own.BatchPause, o.BatchPause), 0)
	o.OnError = cmp.Or(own.OnError, o.OnError)
	o.ParkedMax = cmp.Or(own.ParkedMax, o.ParkedMax)
	o.ParkedRetries = cmp.Or(own.ParkedRetries, o.ParkedRetries)
	o.OutboxMax = cmp.Or(own.OutboxMax, o.OutboxMax)
	return o
}

// DefaultSegments is the number of segments of a new projection when no worker asks for another.
const DefaultSegments = 4

// leaseMax bounds a lease: nobody would notice a worker that died.
const leaseMax = 24 * time.Hour

// Defaults returns the options that the zero value means, without the name, which [New] makes up.
func Defaults() Options {
	return Options{
		BatchEvents:  1000,
		BatchBytes:   2 << 20,
		EventBytes:   64 << 20,
		CommitEvents: 50_000,
		Concurrency:  8,
		BuildShare:   50,
		Lease:        10 * time.Second,
		Heartbeat:    10 * time.Second / 4,
		Rebalance:    time.Second,
		Poll:         500 * time.Microsecond,
		PollMax:      time.Second,
		PollFactor:   1.5,
		RetryMin:     100 * time.Millisecond,
		RetryMax:     10 * time.Second,

		ParkedMax:     100,
		ParkedRetries: 3,
		OutboxMax:     1_000_000,
	}
}

func (o Options) withDefaults() Options {
	if o.Name == "" {
		o.Name = defaultName()
	}
	d := Defaults()
	setDefault(&o.BatchEvents, d.BatchEvents)
	setDefault(&o.BatchBytes, d.BatchBytes)
	setDefault(&o.EventBytes, d.EventBytes)
	setDefault(&o.CommitEvents, d.CommitEvents)
	setDefault(&o.Concurrency, d.Concurrency)
	setDefault(&o.BuildShare, d.BuildShare)
	setDefault(&o.Lease, d.Lease)
	setDefault(&o.Heartbeat, o.Lease/4)
	setDefault(&o.Rebalance, d.Rebalance)
	setDefault(&o.Poll, d.Poll)
	setDefault(&o.PollMax, d.PollMax)
	setDefault(&o.PollFactor, d.PollFactor)
	setDefault(&o.RetryMin, d.RetryMin)
	setDefault(&o.RetryMax, d.RetryMax)
	setDefault(&o.ParkedMax, d.ParkedMax)
	setDefault(&o.ParkedRetries, d.ParkedRetries)
	setDefault(&o.OutboxMax, d.OutboxMax)
	if o.Observer == nil {
		o.Observer = &Observer{}
	}
	return o
}

func setDefault[T int | float64 | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// OptionError says which option of a worker cannot be used.
type OptionError struct {
	Option string // the field of Options
	Reason string // what it must be, and what it is
}

// Error names the option and what it must be.
func (e *OptionError) Error() string { return "option " + e.Option + " " + e.Reason }

// Validate reports what is wrong with options. Zero values are the defaults.
//
// # Errors
//
// [*OptionError].
func (o Options) Validate() error {
	for _, name := range slices.Sorted(maps.Keys(o.Projections)) {
		var fault *OptionError
		if err := o.Projections[name].Validate(); errors.As(err, &fault) {
			return &OptionError{Option: fmt.Sprintf("Projections[%q].%s", name, fault.Option), Reason: fault.Reason}
		}
	}
	o = o.withDefaults()
	fault := func(option, format string, args ...any) error {
		return &OptionError{Option: option, Reason: fmt.Sprintf(format, args...)}
	}
	switch {
	case o.Segments < 0 || o.Segments > store.SegmentsMax:
		return fault("Segments", "must be between 1 and %d, it is %d", store.SegmentsMax, o.Segments)
	case o.BatchEvents < 1 || o.BatchEvents > 100_000:
		return fault("BatchEvents", "must be between 1 and 100000, it is %d", o.BatchEvents)
	case o.BatchBytes < 1:
		return fault("BatchBytes", "must be at least 1, it is %d", o.BatchBytes)
	case o.EventBytes < 1<<20:
		return fault("EventBytes", "must be at least %d, it is %d", 1<<20, o.EventBytes)
	case o.CommitEvents < 1 || o.CommitEvents > 10_000_000:
		return fault("CommitEvents", "must be between 1 and 10000000, it is %d", o.CommitEvents)
	case o.BatchPause < 0:
		return fault("BatchPause", "must not be negative, it is %s", o.BatchPause)
	case o.Concurrency < 1 || o.Concurrency > 10_000:
		return fault("Concurrency", "must be between 1 and 10000, it is %d", o.Concurrency)
	case o.BuildShare < 1 || o.BuildShare > 100:
		return fault("BuildShare", "must be between 1 and 100 percent, it is %d", o.BuildShare)
	case o.Lease < 100*time.Millisecond || o.Lease > leaseMax:
		return fault("Lease", "must be between 100ms and %s, it is %s", leaseMax, o.Lease)
	case o.Heartbeat < time.Millisecond || o.Heartbeat > o.Lease/2:
		return fault("Heartbeat", "must be between 1ms and half of the lease, which is %s; it is %s", o.Lease, o.Heartbeat)
	case o.Rebalance < 10*time.Millisecond:
		return fault("Rebalance", "must be at least 10ms, it is %s", o.Rebalance)
	case o.Poll < 100*time.Microsecond:
		return fault("Poll", "must be at least 100µs, it is %s", o.Poll)
	case o.PollMax < o.Poll:
		return fault("PollMax", "must not be below the shortest interval, which is %s; it is %s", o.Poll, o.PollMax)
	case !(o.PollFactor >= 1 && o.PollFactor <= 1000): // also NaN
		return fault("PollFactor", "must be between 1 and 1000, it is %g", o.PollFactor)
	case o.WakeJitter < 0:
		return fault("WakeJitter", "must not be negative, it is %s", o.WakeJitter)
	case o.RetryMin < time.Millisecond:
		return fault("RetryMin", "must be at least 1ms, it is %s", o.RetryMin)
	case o.OnError.Validate("") != nil:
		return fault("OnError", "must be %q, %q or %q, it is %q", store.ErrorPark, store.ErrorStop, store.ErrorSkip,
			string(o.OnError))
	case o.RetryMax < o.RetryMin:
		return fault("RetryMax", "must not be below the first pause, which is %s; it is %s", o.RetryMin, o.RetryMax)
	}
	return nil
}

// backoff is what pauses after errors of the database follow.
func (o Options) backoff() backoff.Backoff { return backoff.Backoff{Min: o.RetryMin, Max: o.RetryMax} }
