package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/pupwasm/pupwasm/internal/bundle"
	"github.com/pupwasm/pupwasm/store"
)

type recordOptions struct {
	eventsOptions

	out     string // file
	force   bool
	module  string // file
	redact  []string
	whole   bool
	runtime runtimeOptions
}

const recordHelp = `Take events from a log as a fixture, in the format that 'pupwasm append', 'pupwasm test' and the test kits read.

Flags choose the events as in 'pupwasm events'. With --module, they are also those that a module asks for. With
--whole-streams, all events of their streams are taken: a projection that keeps state needs the beginnings.

--redact replaces the values of a field, in payloads and metadata: a text by "redacted", a number by 0, true by false. A
field is a path of names with dots between them, and a step through an array goes through all of its elements. The ids of
streams stay: leave streams out whose ids name people. With --module, a field that the module is divided by is refused.`

func newRecordCommand(globals *globalOptions) *cobra.Command {
	opts := &recordOptions{eventsOptions: eventsOptions{globalOptions: globals, poll: time.Second}}
	cmd := &cobra.Command{
		Use:   "record",
		Short: "Take events from a log as a fixture for tests",
		Long:  recordHelp,
		Example: `  pupwasm record --stream Shop/Order/17 --out fixtures/order.jsonl
  pupwasm record --module modules/orders.wasm --last 500 --whole-streams --redact customer.email,customer.name`,
		Args: wantArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			selection, err := opts.selection(cmd.Flags().Changed)
			if err != nil {
				return err
			}
			return runRecord(cmd.Context(), opts, selection)
		},
	}
	flags := cmd.Flags()
	opts.addSelection(flags, 1000)
	flags.StringVar(&opts.out, "out", "-", "`file` to write, or - for standard output")
	flags.BoolVar(&opts.force, "force", false, "replace the file if it exists")
	flags.StringVar(&opts.module, "module", "", "take only events that the module of this `file` asks for")
	flagFiles(flags, "module", moduleFiles)
	flags.BoolVar(&opts.whole, "whole-streams", false, "take all events of the streams of the chosen events")
	flags.StringSliceVar(&opts.redact, "redact", nil, "replace the values of these `fields` (names separated by commas)")
	opts.runtime.addFlags(flags)
	return cmd
}

func runRecord(ctx context.Context, opts *recordOptions, selection eventSelection) error {
	projection, err := opts.projection(ctx)
	if err != nil {
		return err
	}
	if projection != nil {
		if err := opts.narrow(&projection.Subscription); err != nil {
			return err
		}
	}
	redactor, err := bundle.NewRedactor(opts.redact, projection)
	if err != nil {
		return usagef("--redact: %v", err)
	}
	from, err := openStore(ctx, opts.globalOptions)
	if err != nil {
		return err
	}
	defer from.Close()
	r := &recording{list: newEventList(&opts.eventsOptions, selection, from), redactor: redactor, whole: opts.whole}
	if err := r.list.seek(ctx); err != nil {
		return err
	}
	write := func(to io.Writer) error { return r.write(ctx, to) }
	switch {
	case opts.out != "-":
		err = writeNewFile(opts.out, opts.force, write)
	case len(opts.redact) > 0:
		err = writeAtOnce(opts.globalOptions.out, write) // nothing before it is known that all fields were found
	default:
		err = write(opts.globalOptions.out)
	}
	if err != nil {
		return err
	}
	more := ""
	if r.more {
		more = fmt.Sprintf("; there are more: --after %d goes on, --limit 0 takes all", r.list.passed)
	}
	_, err = fmt.Fprintf(opts.errs, "%s recorded%s\n", count(r.events, "event"), more)
	return err
}

// writeAtOnce writes all, or nothing when there is an error.
func writeAtOnce(to io.Writer, write func(to io.Writer) error) error {
	file, err := os.CreateTemp("", "pupwasm-record-*") // of mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	if err := write(file); err != nil {
		return err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	_, err = io.Copy(to, file)
	return err
}

// projection is that of --module, or nil.
func (o *recordOptions) projection(ctx context.Context) (*store.Projection, error) {
	if o.module == "" {
		return nil, nil //nolint:nilnil // events for nobody in particular
	}
	quiet := *o.globalOptions
	quiet.log = zerolog.Nop()
	runtime, err := o.runtime.start(ctx, &quiet)
	if err != nil {
		return nil, err
	}
	defer runtime.Close(context.WithoutCancel(ctx))
	module, _, err := loadModule(ctx, runtime, o.module)
	if err != nil {
		return nil, err
	}
	defer module.Close(context.WithoutCancel(ctx))
	return &module.Description.Projection, nil
}

// narrow leaves of the events those that a module asks for.
func (o *recordOptions) narrow(to *store.Subscription) error {
	for _, of := range []struct {
		flag  string
		given *[]string
		asked []string
	}{
		{"context", &o.contexts, to.BoundedContexts},
		{"type", &o.types, to.AggregateTypes},
		{"event-type", &o.eventTypes, to.EventTypes},
	} {
		if len(of.asked) == 0 {
			continue
		}
		both := of.asked
		if len(*of.given) > 0 {
			both = slices.DeleteFunc(slices.Clone(*of.given), func(name string) bool { return !slices.Contains(of.asked, name) })
		}
		if len(both) == 0 {
			return usagef("--%s %s: the module does not ask for it, it asks for %s", of.flag,
				printable(strings.Join(*of.given, ", ")), printable(strings.Join(of.asked, ", ")))
		}
		*of.given = both
	}
	return nil
}

// recording writes the events of a list.
type recording struct {
	list     *eventList
	redactor *bundle.Redactor
	whole    bool // streams
	events   int64
	more     bool
}

func (r *recording) write(ctx context.Context, to io.Writer) (err error) {
	printer := newEventPrinter(to, true)
	record := func(events []store.RecordedEvent) error {
		if err := r.redactor.Events(events); err != nil {
			return err
		}
		r.events += int64(len(events))
		return printer.print(events)
	}
	r.list.show = record
	var streams []store.Stream
	if r.whole {
		seen := map[store.Stream]bool{}
		r.list.show = func(events []store.RecordedEvent) error {
			for i := range events {
				if stream := events[i].Stream; !seen[stream] {
					seen[stream] = true
					streams = append(streams, stream)
				}
			}
			return nil
		}
	}
	if r.more, err = r.list.print(ctx); err != nil {
		return err
	}
	if r.whole {
		events, err := r.wholeStreams(ctx, streams)
		if err == nil {
			err = record(events)
		}
		if err != nil {
			return err
		}
	}
	switch missing := r.redactor.Missing(); {
	case r.events == 0:
		return usagef("there is nothing to record: %s", r.list.nothing())
	case len(missing) > 0:
		return usagef("--redact %s: no recorded event has the field", printable(strings.Join(missing, ", ")))
	}
	return nil
}

// recordedMax bounds the events of whole streams, which are in memory.
const recordedMax = 100_000

// wholeStreams returns the events of streams that the flags do not leave out, in order of position.
func (r *recording) wholeStreams(ctx context.Context, streams []store.Stream) (all []store.RecordedEvent, err error) {
	through, err := r.list.horizon(ctx)
	if err != nil {
		return nil, err
	}
	wanted := store.Subscription{EventTypes: r.list.eventTypes}
	for _, stream := range streams {
		pages := &streamPages{from: r.list.from, stream: stream, next: 1}
		for after := int64(0); after < through; {
			var page store.Page
			request := store.ReadRequest{After: after, Through: through, Limit: pageEvents, Bytes: pageBytes, Subscription: wanted}
			if err := r.list.backoff.do(ctx, func() error { return pages.Read(ctx, request, &page) }); err != nil {
				return nil, err
			}
			if all = append(all, page.Events...); len(all) > recordedMax {
				return nil, usagef("the streams have more than %d events: choose fewer by --limit or --last", recordedMax)
			}
			after = page.Through
		}
	}
	slices.SortFunc(all, func(a, b store.RecordedEvent) int { return cmp.Compare(a.Position, b.Position) })
	return all, nil
}
