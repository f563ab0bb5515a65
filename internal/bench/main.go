package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"time"

	"github.com/pupwasm/pupwasm/host"
)

// config is how much is measured.
type config struct {
	full        bool
	rounds      int
	events      int
	streams     int
	logs        []int         // the lengths that growth is measured over
	guestEvents int           // for the memory of a guest
	near        time.Duration // how long projections are watched near the head
	run         *regexp.Regexp
	json        string
	benchstat   string
	markdown    string
	cpuProfile  string
}

func parseFlags() (config, error) {
	c := config{streams: 5000}
	flag.BoolVar(&c.full, "full", false, "the long form")
	flag.IntVar(&c.rounds, "rounds", 0, "how often every contender runs (3, with -full 5)")
	flag.IntVar(&c.events, "events", 0, "how many events are generated (50000, with -full 200000)")
	flag.StringVar(&c.json, "json", "", "also write the report to this file")
	flag.StringVar(&c.benchstat, "benchstat", "", "also write the samples to this file, for benchstat")
	flag.StringVar(&c.markdown, "markdown", "", "also write the report between the marks in this file")
	flag.StringVar(&c.cpuProfile, "cpuprofile", "", "write a CPU profile of the runs to this file")
	run := flag.String("run", "",
		"measure only what matches: WORKLOAD/CONTENDER, or PART/… as standard error shows them")
	flag.Parse()
	short, long := 3, 5
	if c.rounds == 0 {
		c.rounds = c.pick(short, long)
	}
	if c.events == 0 {
		c.events = c.pick(50_000, 200_000)
	}
	if c.logs = []int{50_000, 300_000}; c.full {
		c.logs = []int{100_000, 1_000_000, 5_000_000}
	}
	c.guestEvents = c.pick(200_000, 10_000_000)
	c.near = time.Duration(c.pick(2, 10)) * time.Second
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
	host.CompilerMain()
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
	r, err := measure(ctx, c)
	if err != nil {
		return err
	}
	r.print(os.Stdout)
	for _, out := range []struct {
		path  string
		write func(path string) error
	}{{c.json, r.writeJSON}, {c.benchstat, r.writeBenchstat}, {c.markdown, r.writeMarkdown}} {
		if out.path == "" {
			continue
		}
		if err := out.write(out.path); err != nil {
			return err
		}
	}
	return nil
}

// measure runs what is asked for on a server of its own.
func measure(ctx context.Context, c config) (*report, error) {
	r := &report{full: c.full, rounds: c.rounds}
	e, err := newEnvironment(ctx, c)
	if err != nil {
		return nil, err
	}
	defer e.close()
	if err := r.describe(ctx, e); err != nil {
		return nil, err
	}
	for _, part := range []struct {
		name string
		run  func(context.Context, *environment, *report) error
	}{
		{"workloads", runWorkloads},
		{"projections", runProjections},
		{"partitions", runPartitions},
		{"growth", runGrowth},
		{"guests", runGuests},
		{"cold starts", runColdStarts},
		{"appends", runAppends},
		{"latencies", runLatencies},
		{"neighbours", runNeighbours},
		{"notify tax", runNotifyTax},
		{"databases", runDatabases},
	} {
		watch := startStopwatch()
		if err := part.run(ctx, e, r); err != nil {
			return nil, err
		}
		if took := watch.elapsed(); took > time.Second {
			fmt.Fprintf(os.Stderr, "%s took %s\n", part.name, took.Round(time.Second))
		}
	}
	r.judge(c.bars(), c.run.String() == "")
	return r, nil
}
