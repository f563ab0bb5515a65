package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// appendResult is the rate of events by the events of a transaction and the writers.
type appendResult struct {
	Events  int     `json:"events_per_transaction"`
	Writers int     `json:"writers"`
	Rate    float64 `json:"events_per_second"`
}

func runAppends(ctx context.Context, e *environment, r *report) error {
	var dsn string
	for _, events := range []int{1, 10, 1000} {
		for _, writers := range []int{1, 4, 16} {
			if !e.run.MatchString(fmt.Sprintf("append/%d/%d", events, writers)) {
				continue
			}
			if dsn == "" {
				var err error
				if dsn, err = e.database(ctx, "appends"); err != nil {
					return err
				}
			}
			rate, err := appendFor(ctx, dsn, e.streams, events, writers, time.Duration(e.pick(1, 5))*time.Second)
			if err != nil {
				return err
			}
			r.Appends = append(r.Appends, appendResult{events, writers, rate})
		}
	}
	return nil
}

// appendFor has writers append to streams at random for some time.
func appendFor(ctx context.Context, dsn string, streams, each, writers int, length time.Duration) (float64, error) {
	s, err := postgres.Open(dsn, postgres.Options{ConnectionsMax: writers})
	if err != nil {
		return 0, err
	}
	defer s.Close()
	if err := s.Ping(ctx); err != nil {
		return 0, err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var over atomic.Bool
	timer := time.AfterFunc(length, func() { over.Store(true) })
	defer timer.Stop()
	var appended atomic.Int64
	var group sync.WaitGroup
	watch := startStopwatch()
	for writer := range writers {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(writer), uint64(each)))
			for !over.Load() && ctx.Err() == nil {
				if err := appendOnce(ctx, s, random, streams, each); err != nil {
					stop(err)
					return
				}
				appended.Add(int64(each))
			}
		})
	}
	group.Wait()
	return float64(appended.Load()) / watch.elapsed().Seconds(), context.Cause(ctx)
}

func appendOnce(ctx context.Context, s *postgres.Store, random *rand.Rand, streams, each int) error {
	appends := make([]store.StreamAppend, each)
	for i := range appends {
		event := booking{account: random.IntN(streams), amount: 1, kind: "Deposited"}.event(i)
		appends[i] = store.StreamAppend{
			Stream:   store.Stream{BoundedContext: "Bank", AggregateType: "Account", AggregateID: event.stream},
			Expected: store.Any(), Events: []store.Event{{Type: event.kind, Payload: event.payload}},
		}
	}
	_, err := s.Append(ctx, store.AppendOptions{}, appends...)
	return err
}

func (r *report) printAppends(out *tabwriter.Writer) {
	if len(r.Appends) == 0 {
		return
	}
	fmt.Fprint(out, "\nappends\nevents/s\tevents a transaction\twriters\t\n")
	for _, a := range r.Appends {
		fmt.Fprintf(out, "%.0f\t%d\t%d\t\n", a.Rate, a.Events, a.Writers)
	}
	_ = out.Flush()
}
