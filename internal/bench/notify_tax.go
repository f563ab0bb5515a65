package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/pupwasm/pupwasm/segments"
)

// taxResult is the rate of many who append, by who is told about it.
type taxResult struct {
	Told  string    `json:"told"`
	Rates []float64 `json:"events_per_second"` // one a round
}

// taxWriters append single events, all the time.
const taxWriters = 16

// runNotifyTax lets them append beside a worker that polls or is notified, and where each append notifies.
func runNotifyTax(ctx context.Context, e *environment, r *report) error {
	type kind struct {
		told       string
		follower   func(context.Context, *environment, *workload) (func() error, string, error)
		statements []string
		dsn        string
	}
	kinds := []*kind{
		{told: "nobody"},
		{told: "worker that polls", follower: startWorker(segments.Options{PollOnly: true})},
		{told: "worker with notify", follower: startWorker(segments.Options{})},
		{told: "each append notifies", statements: []string{"CREATE SCHEMA bench", tellFunction, tellTrigger}},
	}
	kinds = slices.DeleteFunc(kinds, func(k *kind) bool { return !e.run.MatchString("tax/" + k.told) })
	for round := range e.rounds {
		for i, k := range kinds {
			if round == 0 {
				dsn, err := e.database(ctx, fmt.Sprintf("tax_%d", i))
				if err != nil {
					return err
				}
				if err := execute(ctx, dsn, k.statements...); err != nil {
					return err
				}
				k.dsn = dsn
				r.Taxes = append(r.Taxes, taxResult{Told: k.told})
			}
			rate, err := taxedRate(ctx, e, k.dsn, k.follower)
			if err != nil {
				return err
			}
			r.Taxes[i].Rates = append(r.Taxes[i].Rates, rate)
		}
	}
	return nil
}

func taxedRate(ctx context.Context, e *environment, dsn string, start func(context.Context, *environment, *workload) (func() error, string, error)) (float64, error) {
	length := time.Duration(e.pick(1, 3)) * time.Second
	once, done, err := openAppend(ctx, &appendBench{dsn: dsn, streams: e.streams}, taxWriters)
	if err != nil {
		return 0, err
	}
	defer done()
	if start == nil {
		return appendFor(ctx, once, 1, taxWriters, length)
	}
	following, stop := context.WithCancel(ctx)
	defer stop()
	follow, _, err := start(following, e, balanceWorkload(&eventLog{dsn: dsn}, nil))
	if err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- follow() }()
	// The worker starts meanwhile, as it does in every round.
	if _, err := appendFor(ctx, once, 1, taxWriters, length/2); err != nil {
		return 0, err
	}
	rate, err := appendFor(ctx, once, 1, taxWriters, length)
	stop()
	if following := <-ended; err == nil && !errors.Is(following, context.Canceled) {
		err = following
	}
	return rate, err
}

func (r *report) printTaxes(out *tabwriter.Writer) {
	if len(r.Taxes) == 0 {
		return
	}
	fmt.Fprintf(out, "\n%d writers of single events\nappends/s\tleast\tmost\t  told\n", taxWriters)
	for _, t := range r.Taxes {
		rate, least, most := spread(slices.Clone(t.Rates))
		fmt.Fprintf(out, "%.0f\t%.0f\t%.0f\t  %s\n", rate, least, most, t.Told)
	}
	_ = out.Flush()
}
