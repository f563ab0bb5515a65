package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/eventline"
	"github.com/pupwasm/pupwasm/internal/trial"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
)

type checkOptions struct {
	*globalOptions

	events  string
	count   int
	seed    uint64
	runtime runtimeOptions
}

const checkHelp = `Run a module several times over the same events, each time differently, and compare the rows, and what is sent. The
rows and messages must not depend on where batches begin, on what an earlier batch left behind, on the number of segments, on random
numbers, on the order of a map, or on the time. Each run uses a temporary SQLite database, so SQL of the module needs a
text for SQLite.

The events are those of a file, in the format that 'pupwasm append' reads. Without a file they are made up from what the
module subscribes to. A module that reads more of a payload than made-up events have needs a file.`

func newCheckCommand(globals *globalOptions) *cobra.Command {
	opts := &checkOptions{globalOptions: globals}
	cmd := &cobra.Command{
		Use:   "check FILE.wasm",
		Short: "Check that a module's rows and messages depend on the events only",
		Long:  checkHelp,
		Example: `  pupwasm check bin/modules/fine_balance.wasm
  pupwasm check bin/modules/fine_balance.wasm --events events.jsonl`,
		Args:              wantArgs(cobra.ExactArgs(1)),
		ValidArgsFunction: completeFile(moduleFiles),
		RunE:              func(cmd *cobra.Command, args []string) error { return runModuleCheck(cmd.Context(), opts, args[0]) },
	}
	cmd.Flags().StringVar(&opts.events, "events", "", "`file` of events (default: made-up events)")
	globals.addJSON(cmd.Flags(), printsJSON)
	flagFiles(cmd.Flags(), "events", eventFiles)
	cmd.Flags().IntVar(&opts.count, "count", 2000, "number of events to make up, or maximum to read from the file")
	cmd.Flags().Uint64Var(&opts.seed, "seed", 1, "seed of the made-up events and of the batches")
	opts.runtime.addFlags(cmd.Flags())
	return cmd
}

// errDiffers says that two variants have different rows or messages.
var errDiffers = errors.New("the rows or messages depend on more than the events")

func runModuleCheck(ctx context.Context, opts *checkOptions, file string) error {
	if opts.count < 1 {
		return usagef("--count %d: must be 1 or more", opts.count)
	}
	folder, err := os.MkdirTemp("", "pupwasm-check-")
	if err != nil {
		return fmt.Errorf("making a folder for the databases: %w", err)
	}
	defer os.RemoveAll(folder)
	c := &check{opts: opts, folder: folder, file: file}
	// Only the first run shows what the module logs.
	reference := variant{name: "one event a batch", batch: 1, instances: host.InstancesFresh, segments: 1, logged: true}
	want, err := c.run(ctx, reference)
	if err != nil {
		return err
	}
	rows, err := want.Rows(ctx)
	if err != nil {
		return err
	}
	report := moduleCheckReport{
		Projection: c.name, Events: c.count, Rows: rows, Messages: int64(len(want.sent.Messages())), Same: true,
	}
	made := count(rows, "row")
	if c.sends {
		made += ", " + count(report.Messages, "message")
	}
	if err := opts.say("%s: %s, %s with one event in a batch", c.name, count(int64(c.count), "event"), made); err != nil {
		return err
	}
	for _, w := range variants(opts.seed, c.global) {
		what, difference, err := c.compare(ctx, want, w)
		if err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		said, run := c.saidOfSame(), variantReport{Name: w.name, Same: difference == ""}
		if !run.Same {
			report.Same, run.Difference, run.Hint = false, difference, w.hint
			said = fmt.Sprintf("DIFFERENT %s: %s. %s", what, difference, w.hint)
		}
		report.Runs = append(report.Runs, run)
		if err := opts.say("  %-42s %s", w.name, said); err != nil {
			return err
		}
	}
	if err := opts.result(report); err != nil {
		return err
	}
	if !report.Same {
		return errDiffers
	}
	return nil
}

// moduleCheckReport is the JSON form of a check.
type moduleCheckReport struct {
	Projection string          `json:"projection"`
	Events     int             `json:"events"`
	Rows       int64           `json:"rows"`     // with one event in a batch
	Messages   int64           `json:"messages"` // likewise
	Same       bool            `json:"same"`
	Runs       []variantReport `json:"runs"`
}

type variantReport struct {
	Name       string `json:"name"`
	Same       bool   `json:"same"`
	Difference string `json:"difference,omitempty"`
	Hint       string `json:"hint,omitempty"`
}

// variant is a way to run a module. The rows and messages must be the same in each.
type variant struct {
	name, hint  string
	batch       int // events in a batch
	instances   host.Instances
	segments    int
	environment host.Environment
	logged      bool // what the module logs is shown
}

const (
	hintSplits   = "They depend on where batches begin, or on what the module keeps between batches"
	hintState    = "They depend on what the module keeps between batches, for instance in a package variable"
	hintSegments = "They depend on the number of segments: see docs/partition.md"
	hintRandom   = "They depend on random numbers, or on the order of a map"
	hintTime     = "They depend on the time: use the time of the event instead"
	hintChance   = "They differ from run to run"
)

// variants are all except the reference. Each seed has other random numbers, so that Go iterates over maps in
// other orders.
func variants(seed uint64, global bool) []variant {
	random := rand.New(rand.NewPCG(seed, seed))
	some := func() int { return 2 + random.IntN(60) }
	list := []variant{{
		name: "the same settings again", hint: hintChance, batch: 1, instances: host.InstancesFresh,
		segments: 1,
	}}
	for range 2 {
		size := some()
		list = append(list,
			variant{
				name: fmt.Sprintf("batches of %d", size), hint: hintSplits, batch: size, instances: host.InstancesFresh,
				segments: 1,
			},
			variant{
				name: fmt.Sprintf("batches of %d, an instance for all", size), hint: hintState, batch: size,
				instances: host.InstancesReuse, segments: 1,
			})
	}
	list = append(list,
		variant{
			name: "batches of 1000, an instance for all", hint: hintSplits, batch: 1000, instances: host.InstancesReuse,
			segments: 1,
		},
		variant{
			name: "other random numbers", hint: hintRandom, batch: 1, instances: host.InstancesFresh, segments: 1,
			environment: host.Environment{Random: random.Uint64()},
		},
		variant{
			name: "other random numbers again", hint: hintRandom, batch: 1, instances: host.InstancesFresh, segments: 1,
			environment: host.Environment{Random: random.Uint64()},
		},
		variant{
			name: "another time", hint: hintTime, batch: 1, instances: host.InstancesFresh, segments: 1,
			environment: host.Environment{Wall: 54 * 365 * 24 * time.Hour},
		},
	)
	if !global {
		for _, n := range []int{3, 8} {
			size := some()
			list = append(list, variant{
				name: fmt.Sprintf("%d segments, batches of %d", n, size), hint: hintSegments,
				batch: size, instances: host.InstancesReuse, segments: n,
			})
		}
	}
	return list
}

// check is one run of the command.
type check struct {
	opts   *checkOptions
	folder string
	file   string
	number int // of runs

	// Known after the first load.
	name   string
	global bool
	sends  bool // it has messages
	count  int  // of events
	log    *trial.Log
}

// load loads the module, the first time with its events.
func (c *check) load(ctx context.Context, runtime *host.Runtime) (*host.Module, error) {
	module, _, err := loadModule(ctx, runtime, c.file)
	if err != nil || c.log != nil {
		return module, err
	}
	c.name, c.global = module.Description.Name, module.Description.Order == store.OrderGlobal
	c.sends = len(module.Description.Messages) > 0
	var events []store.RecordedEvent
	if c.opts.events == "" {
		events = makeEvents(&module.Description.Subscription, c.opts.count, c.opts.seed)
	} else if events, err = c.read(); err != nil {
		module.Close(ctx)
		return nil, err
	}
	c.count, c.log = len(events), trial.NewLog(events)
	return module, nil
}

// read reads the events of the file.
func (c *check) read() ([]store.RecordedEvent, error) {
	file, err := os.Open(c.opts.events)
	if err != nil {
		return nil, &inputError{where: c.opts.events, err: unwrapPath(err)}
	}
	defer file.Close()
	lines, err := eventline.NewReader(file, store.PayloadBytesMax)
	if err != nil {
		return nil, &inputError{where: c.opts.events, err: err}
	}
	source := newLineSource(c.opts.events, lines, false, nil)
	var log trial.Recorder
	var events []store.RecordedEvent
	for len(events) < c.opts.count {
		line, err := source.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		events = append(events, log.Record(line.Stream, line.Event))
	}
	if len(events) == 0 {
		return nil, &inputError{where: c.opts.events, err: errors.New("has no events")}
	}
	return events, nil
}

// saidOfSame is said of a variant in which nothing differs.
func (c *check) saidOfSame() string {
	if c.sends {
		return "the same rows and messages"
	}
	return "the same rows"
}

// checked is what came of a variant.
type checked struct {
	*trial.Result

	sent trial.Sent
}

// run runs one variant with a database of its own, which stays.
func (c *check) run(ctx context.Context, w variant) (*checked, error) {
	c.number++
	globals := *c.opts.globalOptions
	globals.log = c.opts.log.Level(max(c.opts.log.GetLevel(), zerolog.WarnLevel))
	if !w.logged {
		globals.log = zerolog.Nop()
	}
	settings := c.opts.runtime
	settings.instances, settings.environment = string(w.instances), w.environment
	runtime, err := settings.start(ctx, &globals)
	if err != nil {
		return nil, err
	}
	defer runtime.Close(context.WithoutCancel(ctx))
	module, err := c.load(ctx, runtime)
	if err != nil {
		return nil, err
	}
	result := &checked{}
	result.Result, err = trial.Run(ctx, module, c.log, trial.Options{
		Path:     filepath.Join(c.folder, fmt.Sprintf("%d.db", c.number)),
		Segments: w.segments, BatchEvents: w.batch, Sent: &result.sent, Logger: globals.log,
	})
	var failed *segments.FailedError
	if c.opts.events == "" && errors.As(err, &failed) {
		err = fmt.Errorf("%w (the events are made up: --events takes those of a file)", err)
	}
	return result, err
}

// compare runs a variant and describes one row or message that differs, or returns "". what says which of them it is.
func (c *check) compare(ctx context.Context, want *checked, w variant) (what, difference string, err error) {
	got, err := c.run(ctx, w)
	if err != nil {
		return "", "", err
	}
	defer os.Remove(got.Path)
	differences, err := trial.Compare(ctx, want.Result, got.Result)
	for _, d := range differences {
		if d.Differ > 0 {
			return "ROWS", differenceText(d), err
		}
	}
	switch was, is, differs := want.sent.Differs(&got.sent); {
	case !differs:
		return "", "", err
	case is == "":
		return "MESSAGES", "it does not send " + shortened(was), err
	case was == "":
		return "MESSAGES", fmt.Sprintf("it sends %s besides", shortened(is)), err
	default:
		return "MESSAGES", fmt.Sprintf("it sends %s, and sent %s", shortened(is), shortened(was)), err
	}
}

// differenceText describes a row that differs.
func differenceText(d trial.Difference) string {
	switch {
	case d.Is == "":
		return fmt.Sprintf("table %s lacks %s", d.Table, shortened(d.Was))
	case d.Was == "":
		return fmt.Sprintf("table %s has %s besides", d.Table, shortened(d.Is))
	}
	return fmt.Sprintf("table %s has %s, and had %s", d.Table, shortened(d.Is), shortened(d.Was))
}

const shownRow = 160

func shortened(row string) string {
	if runes := []rune(row); len(runes) > shownRow {
		return printable(string(runes[:shownRow-1])) + "…"
	}
	return printable(row)
}
