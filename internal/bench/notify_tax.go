package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pupwasm/pupwasm/segments"
)

// taxWriters append single events, all the time.
const taxWriters = 16

// runNotifyTax lets them append beside a worker that polls or is notified, and where each append notifies.
func runNotifyTax(ctx context.Context, e *environment, r *report) error {
	type kind struct {
		told       string
		follower   startFollower
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
	result := r.addTable("notify_tax", fmt.Sprintf("%d writers of single events", taxWriters), "told",
		column{"appends/s", unitRate, 0, showSpread})
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
			}
			rate, err := taxedRate(ctx, e, k.dsn, k.follower)
			if err != nil {
				return err
			}
			result.add(k.told, sample{unitRate: rate})
		}
	}
	return nil
}

func taxedRate(ctx context.Context, e *environment, dsn string, start startFollower) (float64, error) {
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
