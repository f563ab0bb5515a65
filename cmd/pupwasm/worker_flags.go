package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/spf13/pflag"

	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
)

// workerFlags are the flags of the options of a worker.
var workerFlags = map[string]string{
	"Segments": "segments", "Concurrency": "connections", "BuildShare": "build-share", "BatchEvents": "batch", "BatchBytes": "batch-bytes",
	"EventBytes":   "event-bytes",
	"CommitEvents": "commit-events",
	"BatchPause":   "batch-pause", "Lease": "lease", "Heartbeat": "heartbeat", "Rebalance": "rebalance", "Poll": "poll",
	"PollMax": "poll-max", "PollFactor": "poll-factor", "WakeJitter": "wake-jitter",
	"RetryMin": "retry-min", "RetryMax": "retry-max",
	"OnError": "on-error", "ParkedMax": "park-max", "ParkedRetries": "park-retries",
	"OutboxMax": "outbox-max", "Relay": "publish",
}

// addWorkerFlags adds a flag for every option of a worker that a single command has a use for.
func addWorkerFlags(flags *pflag.FlagSet, w *segments.Options) {
	d := segments.Defaults()
	flags.StringVar(&w.Name, "worker-name", "",
		"`name` of this worker; when two use one name, the one that started first ends (default: made from host and process)")
	flags.IntVar(&w.Segments, "segments", 0, fmt.Sprintf("number of segments per projection; an existing projection is "+
		"re-divided once all workers ask for the same number (default: unchanged, %d for a new projection)",
		segments.DefaultSegments))
	flags.IntVar(&w.Concurrency, "connections", d.Concurrency,
		"database connections for reads and commits, shared equally by the projections; leases and polling use a few more")
	flags.IntVar(&w.BuildShare, "build-share", d.BuildShare,
		"`percent` of its share of --connections that a version gets which readers do not see")
	flags.IntVar(&w.BatchEvents, "batch", d.BatchEvents, "maximum events per batch")
	flags.IntVar(&w.BatchBytes, "batch-bytes", d.BatchBytes, "approximate maximum bytes of payload and metadata per batch")
	flags.IntVar(&w.EventBytes, "event-bytes", d.EventBytes,
		"approximate maximum bytes of events and rows in memory, over all segments; the process needs several times as much")
	flags.IntVar(&w.CommitEvents, "commit-events", d.CommitEvents,
		"maximum events per commit while catching up; set it to --batch or less to commit every batch separately")
	flags.DurationVar(&w.BatchPause, "batch-pause", d.BatchPause,
		"pause of a segment after each batch, to reduce the load on the database (default 0s)")
	flags.DurationVar(&w.Lease, "lease", d.Lease, "how long a worker without heartbeats keeps its segments")
	flags.DurationVar(&w.Heartbeat, "heartbeat", 0, "interval between heartbeats (default: a quarter of --lease)")
	flags.DurationVar(&w.Rebalance, "rebalance", d.Rebalance,
		"interval between refreshes of the list of workers, after which segments are taken or given up")
	flags.DurationVar(&w.Poll, "poll", d.Poll,
		"shortest interval between polls for new events, used while events arrive one at a time")
	flags.DurationVar(&w.PollMax, "poll-max", d.PollMax,
		"longest interval between polls for new events, used while no events arrive")
	flags.Float64Var(&w.PollFactor, "poll-factor", d.PollFactor,
		"factor by which the poll interval grows after an empty poll")
	flags.Var((*inverted)(&w.PollOnly), "notify",
		"on PostgreSQL, let appends wake a waiting host by LISTEN/NOTIFY; turn it off behind a pooler in transaction mode")
	flags.Lookup("notify").NoOptDefVal = "true"
	flags.DurationVar(&w.WakeJitter, "wake-jitter", d.WakeJitter,
		"maximum random delay before a waiting segment reads new events (default 0s)")
	flags.DurationVar(&w.RetryMin, "retry-min", d.RetryMin,
		"first pause after a database error; each further error doubles it")
	flags.DurationVar(&w.RetryMax, "retry-max", d.RetryMax, "longest pause after a database error")
	flags.StringVar((*string)(&w.OnError), "on-error", "",
		"what to do with an event that a projection fails at: `park` its partition key and go on with the others, stop the "+
			"segment, or skip the event (default: as the module says; park, or stop for a projection with one global order)")
	flagChoices(flags, "on-error", string(store.ErrorPark), string(store.ErrorStop), string(store.ErrorSkip))
	flags.IntVar(&w.ParkedMax, "park-max", d.ParkedMax,
		"maximum parked keys per projection; with one more the projection stops (-1: no limit)")
	flags.IntVar(&w.ParkedRetries, "park-retries", d.ParkedRetries,
		"how often a parked key is tried again by itself: after 2s, doubling up to 10m (-1: only with another module, or "+
			"by 'pupwasm parked retry')")
	flags.IntVar(&w.OutboxMax, "outbox-max", d.OutboxMax,
		"about the most messages of a projection that may be in the outbox, unsent; with more its commits wait (-1: no limit)")
}

// inverted is the flag of an option with the opposite meaning.
type inverted bool

// String is the value of the flag.
func (u *inverted) String() string { return strconv.FormatBool(!bool(*u)) }

// Type is for the help.
func (u *inverted) Type() string { return "bool" }

// Set sets the option to the opposite of the flag.
func (u *inverted) Set(text string) error {
	value, err := strconv.ParseBool(text)
	*u = inverted(!value)
	return err
}

// checkWorker refuses settings that a worker would refuse, by the names of flags and before anything else. Zero
// is a default in the library and a mistake here.
func checkWorker(w segments.Options) error {
	for _, setting := range []struct {
		option string
		zero   bool
	}{
		{"Concurrency", w.Concurrency == 0},
		{"BuildShare", w.BuildShare == 0},
		{"BatchEvents", w.BatchEvents == 0},
		{"BatchBytes", w.BatchBytes == 0},
		{"EventBytes", w.EventBytes == 0},
		{"CommitEvents", w.CommitEvents == 0},
		{"Lease", w.Lease == 0},
		{"Rebalance", w.Rebalance == 0},
		{"Poll", w.Poll == 0},
		{"PollMax", w.PollMax == 0},
		{"PollFactor", w.PollFactor == 0},
		{"RetryMin", w.RetryMin == 0},
		{"RetryMax", w.RetryMax == 0},
	} {
		if setting.zero {
			return usagef("--%s must be more than 0", workerFlags[setting.option])
		}
	}
	for _, limit := range []struct {
		option string
		value  int
		none   string // what -1 is
	}{
		{"ParkedMax", w.ParkedMax, "no limit"},
		{"ParkedRetries", w.ParkedRetries, "none"},
		{"OutboxMax", w.OutboxMax, "no limit"},
	} {
		if limit.value < -1 || limit.value == 0 || limit.value > math.MaxInt32 {
			return usagef("--%s must be from 1 to %d, or -1 for %s, it is %d", workerFlags[limit.option], math.MaxInt32,
				limit.none, limit.value)
		}
	}
	var wrong *segments.OptionError
	if err := w.Validate(); errors.As(err, &wrong) {
		return usagef("--%s %s", workerFlags[wrong.Option], wrong.Reason)
	}
	return nil
}
