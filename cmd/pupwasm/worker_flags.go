package main

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/pflag"

	"github.com/pupwasm/pupwasm/segments"
)

// workerFlags are the flags of the options of a worker.
var workerFlags = map[string]string{
	"Segments": "segments", "Concurrency": "connections", "BatchEvents": "batch", "BatchBytes": "batch-bytes", "EventBytes": "event-bytes",
	"CommitEvents": "commit-events",
	"BatchPause":   "batch-pause", "Lease": "lease", "Heartbeat": "heartbeat", "Rebalance": "rebalance", "Poll": "poll",
	"PollMax": "poll-max", "PollFactor": "poll-factor", "WakeJitter": "wake-jitter", "RetryMin": "retry-min", "RetryMax": "retry-max",
}

// addWorkerFlags adds a flag for every option of a worker.
func addWorkerFlags(flags *pflag.FlagSet, w *segments.Options) {
	d := segments.Defaults()
	flags.StringVar(&w.Name, "worker-name", "", "`name` of this worker; of two that run under one name, the older one ends (default: made from host and process)")
	flags.IntVar(&w.Segments, "segments", 0, fmt.Sprintf("into how many segments a projection is divided; what is divided otherwise "+
		"follows when all workers agree (default: as it is, %d when it is new)", segments.DefaultSegments))
	flags.IntVar(&w.Concurrency, "connections", d.Concurrency, "connections for batches, shared equally by the projections; a few more are for leases and looks")
	flags.IntVar(&w.BatchEvents, "batch", d.BatchEvents, "events a batch, at most")
	flags.IntVar(&w.BatchBytes, "batch-bytes", d.BatchBytes, "bytes of payload and metadata a batch, about")
	flags.IntVar(&w.EventBytes, "event-bytes", d.EventBytes, "bytes of events and rows that all segments together have in memory, about; the process takes some times that")
	flags.IntVar(&w.CommitEvents, "commit-events", d.CommitEvents, "events a commit, at most, while a segment is far behind; not above --batch: every batch by itself")
	flags.DurationVar(&w.BatchPause, "batch-pause", d.BatchPause, "rest of a segment after each batch, to spare the database (default 0s)")
	flags.DurationVar(&w.Lease, "lease", d.Lease, "how long others wait for this worker when its heartbeats fail")
	flags.DurationVar(&w.Heartbeat, "heartbeat", 0, "interval of heartbeats (default: a quarter of --lease)")
	flags.DurationVar(&w.Rebalance, "rebalance", d.Rebalance, "interval of looks at who else works, to take or give up segments")
	flags.DurationVar(&w.Poll, "poll", d.Poll, "shortest interval between looks for new events, while single ones come")
	flags.DurationVar(&w.PollMax, "poll-max", d.PollMax, "longest interval between looks for new events, when nothing happens")
	flags.Float64Var(&w.PollFactor, "poll-factor", d.PollFactor, "by how much that interval grows each time that nothing has happened")
	flags.Var((*unless)(&w.PollOnly), "notify", "on PostgreSQL, let appends wake a host that waits by LISTEN/NOTIFY; turn it off behind a pooler that works by transaction")
	flags.Lookup("notify").NoOptDefVal = "true"
	flags.DurationVar(&w.WakeJitter, "wake-jitter", d.WakeJitter, "random wait of a segment, at most, when new events end a rest (default 0s)")
	flags.DurationVar(&w.RetryMin, "retry-min", d.RetryMin, "first pause after an error of the database; pauses double")
	flags.DurationVar(&w.RetryMax, "retry-max", d.RetryMax, "longest pause after an error of the database")
}

// unless is a flag of an option that has the opposite name.
type unless bool

func (u *unless) String() string { return strconv.FormatBool(!bool(*u)) }
func (u *unless) Type() string   { return "bool" }

func (u *unless) Set(text string) error {
	value, err := strconv.ParseBool(text)
	*u = unless(!value)
	return err
}

// checkWorker refuses settings that a worker would refuse, in the words of the command line and before anything is done. Zero
// is a default in the library and a mistake here.
func checkWorker(w segments.Options) error {
	for _, setting := range []struct {
		option string
		zero   bool
	}{
		{"Concurrency", w.Concurrency == 0},
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
	var wrong *segments.OptionError
	if err := w.Validate(); errors.As(err, &wrong) {
		return usagef("--%s %s", workerFlags[wrong.Option], wrong.Reason)
	}
	return nil
}
