package cases

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/clock"
)

// variation is a way to run a case. What comes of the events must be the same in each.
type variation struct {
	reference bool
	segments  int
	batch     int // the most events of a batch
	instances host.Instances
	elsewhere bool  // with other random numbers, and at another time
	ends      []int // numbers of events after which a worker begins with a new module
}

// String says how the case was run.
func (v variation) String() string {
	parts := []string{"in 1 segment"}
	if v.segments > 1 {
		parts[0] = fmt.Sprintf("in %d segments", v.segments)
	}
	parts = append(parts, fmt.Sprintf("batches of up to %d", v.batch))
	if v.instances == host.InstancesFresh {
		parts = append(parts, "a new instance for each batch")
	} else {
		parts = append(parts, "one instance for all batches")
	}
	if v.elsewhere {
		parts = append(parts, "other random numbers and another time")
	}
	if len(v.ends) > 0 {
		numbers := make([]string, len(v.ends))
		for i, end := range v.ends {
			numbers[i] = strconv.Itoa(end)
		}
		parts = append(parts, "a restart after event "+strings.Join(numbers, ", "))
	}
	return strings.Join(parts, ", ")
}

// Segments are the divisions in which each case runs.
var Segments = []int{1, 2, 4, 8}

// reference is the run that the others are compared with.
var reference = variation{reference: true, segments: 1, batch: 1000, instances: host.InstancesFresh}

// variations are the other runs of a case with so many events, after the first one. Each division has instances that are new and that are
// used again, small and large batches, and restarts at events that random chooses.
func variations(random *rand.Rand, events int, first *outcome) (all []variation) {
	for _, segments := range Segments {
		if segments > 1 && (first.global || first.stopped) {
			break
		}
		small := variation{segments: segments, batch: 1 + random.IntN(3), instances: host.InstancesReuse}
		if segments == 1 {
			small.batch = 1
		}
		restarted := variation{segments: segments, batch: 1 + random.IntN(events), instances: host.InstancesFresh, elsewhere: true}
		for at := 0; len(restarted.ends) < 2; {
			if at += 1 + random.IntN(events); at >= events {
				break
			}
			restarted.ends = append(restarted.ends, at)
		}
		if random.IntN(2) == 0 {
			restarted.instances = host.InstancesReuse
		}
		if first.stopped {
			small.batch, restarted.batch = 1, 1
		}
		all = append(all, small, restarted)
	}
	return all
}

// Options say how cases run.
type Options struct {
	Seed uint64 // of what is random in the variations
	// Rounds is how often each case runs in all divisions, each time otherwise. 0 runs the case once and nothing else.
	Rounds int
}

// Result is what came of a case.
type Result struct {
	Case     *Case
	Failures []Failure // none when it passes
	Runs     int
	Took     time.Duration

	first *outcome
	same  bool // all runs gave the same
}

// Failure is something that is not as it must be.
type Failure struct {
	Where string // FILE:LINE:COLUMN
	Text  string // one line
}

// Passed reports that all is as it must be.
func (r *Result) Passed() bool { return len(r.Failures) == 0 }

// parallel is how many variations of a case run at the same time.
const parallel = 4

// Run runs a case in all variations.
//
// # Errors
//
// [*host.LoadError], [*segments.RefusedError]; those of the databases, and ctx's. What is wrong with the rows is no error.
func (m *Module) Run(ctx context.Context, c *Case, options Options) (*Result, error) {
	began := clock.Now()
	r := &Result{Case: c, Runs: 1, same: true}
	var err error
	r.first, err = m.run(ctx, c, reference)
	if err == nil && r.first.stopped {
		one := reference
		one.batch = 1
		r.first, err = m.run(ctx, c, one)
	}
	if err != nil {
		return nil, err
	}
	r.Failures = append(r.Failures, judge(c, r.first)...)
	var all []variation
	for round := range options.Rounds {
		random := rand.New(rand.NewPCG(options.Seed, uint64(round)))
		all = append(all, variations(random, len(c.Events), r.first)...)
	}
	outcomes := make([]*outcome, len(all))
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, v := range all {
		group.Go(func() (err error) {
			outcomes[i], err = m.run(within, c, v)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for i, o := range outcomes {
		if r.same {
			differences := differ(c, r.first, o, all[i])
			r.same = len(differences) == 0
			r.Failures = append(r.Failures, differences...)
		}
	}
	r.Runs, r.Took = len(all)+1, clock.Now().Sub(began)
	return r, nil
}
