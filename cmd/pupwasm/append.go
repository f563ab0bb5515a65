package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/internal/eventline"
	"github.com/pupwasm/pupwasm/internal/oneline"
	"github.com/pupwasm/pupwasm/store"
)

type appendOptions struct {
	*globalOptions

	check      bool
	errorsMax  int
	newIDs     bool
	batch      int
	retry      time.Duration
	noProgress bool
	schemas    string
}

func (o *appendOptions) addFlags(flags *pflag.FlagSet) {
	flags.BoolVar(&o.check, "check", false, "check every line and append nothing; needs no database")
	flags.IntVar(&o.errorsMax, "max-errors", 20, "with --check, stop after `n` bad lines")
	flags.BoolVar(&o.newIDs, "new-ids", false,
		"give each line without an event_id a new id, so that a repeated line is appended again")
	flags.IntVar(&o.batch, "batch", 4096, "maximum `events` per transaction")
	flags.IntVar(&o.payloadMax, "payload-max", store.PayloadBytesMax, "maximum bytes of the payload of an event")
	flags.DurationVar(&o.retry, "retry", time.Minute, "how long to retry when the database is not available")
	flags.StringVar(&o.schemas, "event-schemas", "",
		"refuse payloads that do not fit the JSON Schemas in this `folder`, one file for each event type and version")
	flags.BoolVar(&o.noProgress, "no-progress", false, "do not show a progress bar")
	o.addJSON(flags, printsJSON)
}

const appendHelp = `Append the events of FILE, or of standard input when FILE is - or missing. The input may be packed
with gzip, under any name. Each line is one event. An input that begins with [ is an array of events, or several arrays
in a row.

  {"bounded_context":"Traffic","aggregate_type":"Fine","aggregate_id":"S38735","event_type":"CreateFine",
   "event_version":1,"created_at":"1999-12-31T23:00:00Z","payload":{"amount":62.59}}

(in one line). The first four members are required. The others:

  payload            any JSON, stored as it is written
  payload_base64     instead of payload, for data that is not JSON
  metadata           an object up to 1 MiB
  created_at         RFC 3339, in the years 1 to 9999 of UTC; by default the time of the append. Digits below
                     microseconds are cut off; a leap second (:60) is the start of the next second
  event_version      version of the event's schema, by default 1
  event_id           a UUID
  expected_version   the version that the stream must have before the event: 0 for a new stream, -1 for any
  trace_id, correlation_id, causation_id

It also reads the output of 'pupwasm events --json', without its global_position and aggregate_version.

You can append the same input again: an event whose event_id is stored is skipped. A line without event_id gets an id
made from its content and from the number of equal lines before it. So the input may grow or be corrected in between,
and equal lines of one input are separate events. To append lines without event_id and created_at again from another
input on purpose, use --new-ids.

Events are stored in the order of the lines, --batch of them per transaction. The first bad line ends the import:
earlier transactions stay, and its own is not made. --check finds all bad lines beforehand.

--event-schemas DIR reads every DIR/*.json as a JSON Schema (draft 2020-12). Its member "x-event" says what it is for:
{"type":"OrderPlaced","version":2}. The payload of each event must then be JSON that fits the schema of its event_type and
event_version; one without a schema is refused. (--schema is the schema of the database.)`

func newAppendCommand(globals *globalOptions) *cobra.Command {
	opts := &appendOptions{globalOptions: globals}
	cmd := &cobra.Command{
		Use:   "append [FILE|-]",
		Short: "Append events from JSON lines or arrays",
		Long:  appendHelp,
		Example: `  pupwasm append events.jsonl.gz
  pupwasm append --check events.jsonl
  pupwasm append --check --event-schemas events/schema events.jsonl
  pupwasm events --json --limit 0 | pupwasm append --database sqlite:copy.db -`,
		Args:              wantArgs(cobra.MaximumNArgs(1)),
		ValidArgsFunction: completeFile(eventFiles),
		RunE:              func(cmd *cobra.Command, args []string) error { return runAppend(cmd.Context(), opts, args) },
	}
	opts.addFlags(cmd.Flags())
	return cmd
}

func runAppend(ctx context.Context, opts *appendOptions, args []string) error {
	if opts.batch < 1 || opts.batch > 65_536 {
		return usagef("--batch %d: must be from 1 to 65536", opts.batch)
	}
	if opts.payloadMax < 1 {
		return usagef("--payload-max %d: must be 1 or more", opts.payloadMax)
	}
	if opts.errorsMax < 1 {
		return usagef("--max-errors %d: must be 1 or more", opts.errorsMax)
	}
	schemas, err := loadSchemas(opts.schemas)
	if err != nil {
		return err
	}
	name, file, size, err := openInput(opts, args)
	if err != nil {
		return err
	}
	defer file.Close()
	lines, err := eventline.NewReader(file, opts.payloadMax)
	if err != nil {
		return &inputError{where: name, err: err}
	}
	bar := newProgress(opts, size)
	defer bar.done()
	if opts.check {
		return runCheck(ctx, opts, newLineSource(name, lines, false, schemas), bar)
	}

	retry := &backoff{limit: opts.retry, log: opts.log, before: bar.clear}
	// An appended event must survive a power failure. On SQLite that is a setting.
	opts.durable = true
	var to store.Store
	err = retry.do(ctx, func() error {
		if err := migrateUp(ctx, opts.globalOptions); err != nil {
			return err
		}
		to, err = openStore(ctx, opts.globalOptions)
		return err
	})
	if err != nil {
		return err
	}
	defer to.Close()

	start := clock.Now()
	im := &importer{
		to: to, name: name, lines: lines, batchEvents: opts.batch, newIDs: opts.newIDs, backoff: retry, bar: bar,
		schemas: schemas,
	}
	err = im.run(ctx)
	bar.done()
	if err != nil {
		return err
	}
	return opts.summary(im, clock.Now().Sub(start))
}

// openInput opens the file or standard input. The size is -1 when it is not known.
func openInput(opts *appendOptions, args []string) (name string, file io.ReadCloser, size int64, err error) {
	if len(args) == 0 && isTerminal(opts.in) {
		return "", nil, 0, usagef("append needs a FILE, or - for what is typed: see 'pupwasm append --help'")
	}
	if len(args) == 0 || args[0] == "-" {
		return "standard input", io.NopCloser(opts.in), -1, nil
	}
	name = args[0]
	opened, err := os.Open(name)
	if err != nil {
		return "", nil, 0, &inputError{where: name, err: unwrapPath(err)}
	}
	info, err := opened.Stat()
	if err == nil && info.IsDir() {
		err = errors.New("is a folder, not a file of events")
	}
	if err != nil {
		opened.Close()
		return "", nil, 0, &inputError{where: name, err: err}
	}
	size = -1
	if info.Mode().IsRegular() {
		size = info.Size()
	}
	return name, opened, size, nil
}

// appendReport is the JSON form of what was appended.
type appendReport struct {
	Appended     int64   `json:"appended"`
	AlreadyThere int64   `json:"already_there"`
	Seconds      float64 `json:"seconds"`
}

// checkedReport is the JSON form of what --check has found.
type checkedReport struct {
	Good int64  `json:"good"`
	Bad  int64  `json:"bad"`
	Unit string `json:"unit"` // line, or event of an array
}

func (o *appendOptions) summary(im *importer, took time.Duration) error {
	if o.json {
		return o.result(appendReport{Appended: im.appended, AlreadyThere: im.skipped, Seconds: took.Seconds()})
	}
	_, err := fmt.Fprintf(o.out, "%s appended, %d already there, %s\n", count(im.appended, "event"), im.skipped,
		rate(im.appended+im.skipped, took))
	if im.skippedGuess > 0 {
		o.log.Warn().Int64("events", im.skippedGuess).
			Msg("lines without event_id and created_at count as repeats of equal lines appended before; --new-ids makes them " +
				"new events")
	}
	return err
}

// count writes a number with its noun.
func count(n int64, noun string) string { return oneline.Count(n, noun) }

// runCheck reads the whole input and reports its bad lines.
func runCheck(ctx context.Context, opts *appendOptions, source *lineSource, bar *progress) error {
	name, lines := source.name, source.lines
	good, bad := int64(0), int64(0)
	for ctx.Err() == nil {
		_, err := source.next()
		bar.set(lines.BytesRead())
		if errors.Is(err, io.EOF) {
			bar.done()
			if err := opts.result(checkedReport{Good: good, Bad: bad, Unit: lines.Unit()}); err != nil {
				return err
			}
			if bad > 0 {
				return &inputError{where: name, err: fmt.Errorf("%s, %d good", count(bad, "bad "+lines.Unit()), good)}
			}
			return opts.say("%s, every %s is good", count(good, "event"), lines.Unit())
		}
		if err == nil {
			good++
			continue
		}
		bad++
		bar.clear()
		fmt.Fprintln(opts.errs, "pupwasm: "+errorText(err))
		var fault *lineFault
		if !errors.As(err, &fault) {
			return &inputError{where: name, err: fmt.Errorf("it cannot be read to its end: %s, %d good", count(bad, "fault"),
				good)}
		}
		if bad == int64(opts.errorsMax) {
			return &inputError{where: name, err: fmt.Errorf("stopped after %s: --max-errors sets the number",
				count(bad, "bad "+lines.Unit()))}
		}
	}
	return ctx.Err()
}
