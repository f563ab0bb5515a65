package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
)

// config is how much is measured.
type config struct {
	full       bool
	rounds     int
	events     int
	streams    int
	run        *regexp.Regexp
	json       string
	cpuProfile string
}

func parseFlags() (config, error) {
	c := config{streams: 5000}
	flag.BoolVar(&c.full, "full", false, "the long form")
	flag.IntVar(&c.rounds, "rounds", 0, "how often every contender runs (3, with -full 5)")
	flag.IntVar(&c.events, "events", 0, "how many events are generated (50000, with -full 200000)")
	flag.StringVar(&c.json, "json", "", "also write the report to this file")
	flag.StringVar(&c.cpuProfile, "cpuprofile", "", "write a CPU profile of the runs to this file")
	run := flag.String("run", "", "measure only what matches: WORKLOAD/CONTENDER, append/…, latency/…")
	flag.Parse()
	short, long := 3, 5
	if c.rounds == 0 {
		c.rounds = c.pick(short, long)
	}
	if c.events == 0 {
		c.events = c.pick(50_000, 200_000)
	}
	var err error
	c.run, err = regexp.Compile(*run)
	return c, err
}

// pick returns the amount for the short or for the long form.
func (c config) pick(short, full int) int {
	if c.full {
		return full
	}
	return short
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := bench(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(ctx context.Context) error {
	c, err := parseFlags()
	if err != nil {
		return err
	}
	r := &report{Full: c.full, Rounds: c.rounds}
	e, err := newEnvironment(ctx, c)
	if err != nil {
		return err
	}
	defer e.close()
	for _, part := range []func(context.Context, *environment, *report) error{runWorkloads, runAppends, runLatencies} {
		if err := part(ctx, e, r); err != nil {
			return err
		}
	}
	r.judge()
	r.print(os.Stdout)
	if c.json != "" {
		return r.writeJSON(c.json)
	}
	return nil
}
