// Package trial runs modules over events by the worker that hosts have, each in a SQLite database of its own, and
// compares the rows that come of it. Nothing else is touched.
//
//	trial.go    one run of one module
//	log.go      events as a log; recorder.go gives them their places
//	compare.go  the rows of two runs; sent.go  their messages
//	first.go    the first event after which two modules part
//	stored.go   the module that ran a version last
package trial

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// Options says how a module is run. The zero value of each field but Path is ready to use.
type Options struct {
	Path        string         // of the database that Run makes, which must not be there; who calls removes it
	Limits      sqlite.Options // of SQL; the rest of it does not matter
	Segments    int            // of the projection; defaults to 1
	BatchEvents int            // the most events in one batch, see [segments.Options]
	// ParkAll parks the key of every event that fails, however many, and tries none again. Otherwise what becomes of
	// such events is what the module says.
	ParkAll bool
	// Faulted is told each event that fails, by several goroutines, and maybe twice. However many there are, what becomes
	// of them is what OnError says, or the module. nil is for nobody.
	Faulted func(segments.ObservedEvent)
	OnError store.ErrorPolicy
	Sent    *Sent          // collects what is sent; nil is for nobody
	Logger  zerolog.Logger // of the worker; defaults to none
}

// Result is what a run has made of the events. The rows are in the database.
type Result struct {
	Projection *store.Projection
	Path       string
	Faults     []Fault       // of ParkAll, in order of position
	Took       time.Duration // of applying and committing, without start and end
}

// Fault is a key of which an event failed. The later events of the key were not tried.
type Fault struct {
	Key      string `json:"key"` // which may have any bytes
	Position int64  `json:"position"`
	Error    string `json:"error"`
}

// Open opens a database at a path, and makes an empty one where there is none. The caller closes the store.
func Open(ctx context.Context, path string, limits sqlite.Options) (store.Store, error) {
	opened, err := sqlite.Open(path, sqlite.Options{
		StatementTimeout: limits.StatementTimeout, TransactionTimeout: limits.TransactionTimeout,
	})
	if err != nil {
		return nil, err
	}
	if err := opened.Migrate(ctx); err != nil {
		opened.Close()
		return nil, err
	}
	return opened.Backend(), nil
}

// Run runs a module over the events of a log. It closes the module, also when it fails.
//
// # Errors
//
// Those of [segments.Worker.Run]: [*segments.RefusedError] when SQLite does not accept the module, and
// [*segments.FailedError] when it fails and nothing is parked; those of the database.
func Run(ctx context.Context, module *host.Module, log *Log, o Options) (*Result, error) {
	db, err := Open(ctx, o.Path, o.Limits)
	if err != nil {
		module.Close(context.WithoutCancel(ctx))
		return nil, err
	}
	defer db.Close()
	return Apply(ctx, db, module, log, o)
}

// Apply is Run in a database that is open, where it goes on behind what was applied before.
func Apply(ctx context.Context, db store.Store, module *host.Module, log *Log, o Options) (*Result, error) {
	var took stopwatch
	options := segments.Options{
		Once: true, FailRefused: true, Segments: max(o.Segments, 1), BatchEvents: o.BatchEvents, Logger: o.Logger,
		Rebalance: 10 * time.Millisecond, Observer: took.observer(), OnError: o.OnError,
	}
	options.Observer.Faulted = o.Faulted
	if o.ParkAll {
		options.OnError = store.ErrorPark
	}
	if o.ParkAll || o.Faulted != nil {
		options.ParkedMax, options.ParkedRetries = -1, -1
	}
	var tables store.Tables = db
	if o.Sent != nil {
		tables = sentTables{db, o.Sent}
	}
	worker, err := segments.New(log, tables, options)
	if err != nil {
		module.Close(context.WithoutCancel(ctx))
		return nil, err
	}
	result := &Result{Projection: &module.Description.Projection, Path: o.Path}
	worker.Set(module)
	if err := worker.Run(ctx); err != nil {
		return nil, err
	}
	result.Took = took.read()
	if !o.ParkAll {
		return result, nil
	}
	result.Faults, err = faults(ctx, db, result.Projection.ID())
	return result, err
}

// faults returns the first fault of each parked key.
func faults(ctx context.Context, tables store.Tables, of store.ProjectionID) ([]Fault, error) {
	parked, err := tables.Parked(ctx, store.ParkedRequest{Projection: of, Range: store.FullRange()})
	if err != nil {
		return nil, err
	}
	all := make([]Fault, len(parked))
	for i := range parked {
		all[i] = Fault{Key: string(parked[i].Key), Position: parked[i].First, Error: parked[i].Error}
	}
	sortFaults(all)
	return all, nil
}

// Refused returns why SQLite does not accept a module, from an error of Run, or nil.
func Refused(err error) error {
	var refused *segments.RefusedError
	if errors.As(err, &refused) {
		return refused.Err
	}
	return nil
}

// stopwatch takes the time from the first claim to the last commit.
type stopwatch struct {
	mu          sync.Mutex
	began, last time.Time
}

func (s *stopwatch) observer() *segments.Observer {
	return &segments.Observer{
		Claimed: func(segments.ObservedSegment) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.began.IsZero() {
				s.began = clock.Now()
			}
		},
		Committed: func(segments.ObservedCommit) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.last = clock.Now()
		},
	}
}

func (s *stopwatch) read() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(s.last.Sub(s.began), 0)
}
