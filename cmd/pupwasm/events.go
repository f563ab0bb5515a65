package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pupwasm/pupwasm/store"
)

type eventsOptions struct {
	*globalOptions

	contexts   []string
	types      []string
	eventTypes []string
	stream     string
	after      int64
	through    int64
	limit      int64
	last       int64
	since      string
	follow     bool
	poll       time.Duration
}

func (o *eventsOptions) addFlags(flags *pflag.FlagSet) {
	o.addSelection(flags, 100)
	flags.BoolVarP(&o.follow, "follow", "f", false,
		"continue with new events until interrupted; without --after, --since or --last, show only new events")
	flags.DurationVar(&o.poll, "poll", 500*time.Millisecond, "with --follow, interval between polls for new events")
	o.addJSON(flags, printsJSONLines)
}

// addSelection adds the flags that choose events.
func (o *eventsOptions) addSelection(flags *pflag.FlagSet, limit int64) {
	flags.StringArrayVar(&o.contexts, "context", nil, "show only this bounded `context`; may be repeated")
	flags.StringArrayVar(&o.types, "type", nil, "show only this aggregate `type`; may be repeated")
	flags.StringArrayVar(&o.eventTypes, "event-type", nil, "show only this event `type`; may be repeated")
	flags.StringVar(&o.stream, "stream", "", "show only this `CONTEXT/TYPE/ID`, found by the index of streams")
	flags.Int64Var(&o.after, "after", 0, "start after this `position`")
	flags.Int64Var(&o.through, "through", 0, "end with this `position`; 0 for the end of the log")
	flags.Int64Var(&o.limit, "limit", limit, "maximum number of `events`, the oldest ones; 0 for no limit")
	flags.Int64Var(&o.last, "last", 0, "show only the last `N` of the events")
	flags.StringVar(&o.since, "since", "", "show only events created since a `time`: 10m ago, or 2026-01-02T03:04:05Z")
}

const eventsHelp = `List events in order of position, the oldest first.

The list ends at the horizon, the high-water mark below which no event can still appear. An append that has not ended
holds back later events ('pupwasm status' shows it).

--last reads the log backwards from its end, as far as it takes to find N events that match the other flags.

--since compares created_at, which the writer of an event may set. It does not read the whole log: a binary search finds
the first event that was created since then, as if times ascended with positions. Where older events were imported
later, add --after 0, which reads all events from there on and leaves none out.`

func newEventsCommand(globals *globalOptions) *cobra.Command {
	opts := &eventsOptions{globalOptions: globals}
	cmd := &cobra.Command{
		Use:   "events",
		Short: "List events in order of position",
		Long:  eventsHelp,
		Example: `  pupwasm events --type Fine --event-type Payment --limit 10
  pupwasm events --last 20
  pupwasm events --since 10m --event-type Payment
  pupwasm events --stream Traffic/Fine/S38735 --last 5 --follow
  pupwasm events --after 561000 --json`,
		Args: wantArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			selection, err := opts.selection(cmd.Flags().Changed)
			if err != nil {
				return err
			}
			return runEvents(cmd.Context(), opts, selection)
		},
	}
	opts.addFlags(cmd.Flags())
	return cmd
}

// pageEvents is how many events are read at once.
const pageEvents = 250

func runEvents(ctx context.Context, opts *eventsOptions, selection eventSelection) error {
	from, err := openStore(ctx, opts.globalOptions)
	if err != nil {
		return err
	}
	defer from.Close()
	list := newEventList(opts, selection, from)
	list.show = newEventPrinter(opts.out, opts.json).print
	if err := list.seek(ctx); err != nil {
		return err
	}
	more, err := list.print(ctx)
	if err != nil || !opts.follow {
		switch {
		case err != nil:
		case more && !opts.json:
			_, err = fmt.Fprintf(opts.errs, "there is more: go on with --after %d, or see all with --limit 0\n",
				list.passed)
		case !list.shown:
			_, err = fmt.Fprintln(opts.errs, opts.nothing())
		}
		return err
	}
	return list.tail(ctx)
}

// nothing is the message for an empty selection; it repeats the filters.
func (o *eventsOptions) nothing() string {
	var by []string
	for _, filter := range []struct {
		flag   string
		values []string
	}{
		{"--context", o.contexts},
		{"--type", o.types},
		{"--event-type", o.eventTypes},
		{"--stream", []string{o.stream}},
		{"--since", []string{o.since}},
	} {
		for _, value := range filter.values {
			if value != "" {
				by = append(by, filter.flag+" "+printable(value))
			}
		}
	}
	if o.after > 0 {
		by = append(by, fmt.Sprintf("--after %d", o.after))
	}
	if o.through > 0 {
		by = append(by, fmt.Sprintf("--through %d", o.through))
	}
	if len(by) == 0 {
		return "there are no events yet"
	}
	return "no event matches " + strings.Join(by, " ")
}

// newEventList returns a list that shows nothing yet.
func newEventList(opts *eventsOptions, selection eventSelection, from store.Store) *eventList {
	retry := &backoff{log: opts.log}
	if opts.follow {
		retry.limit = -1
	}
	list := &eventList{
		eventsOptions: opts, eventSelection: selection, from: from, pages: from, backoff: retry, left: opts.limit,
	}
	if selection.only != nil {
		list.pages = &streamPages{from: from, stream: *selection.only, next: 1}
	}
	return list
}

// eventList shows the selected events, page by page.
type eventList struct {
	*eventsOptions
	eventSelection
	from    store.Store
	pages   pageReader
	backoff *backoff
	show    func(events []store.RecordedEvent) error
	page    store.Page
	passed  int64 // the position behind which the next events are
	end     int64 // the position that is the last one, or 0 for the end of the log
	left    int64 // of the limit
	shown   bool  // some event
}

// pageReader reads events as [store.Reader] does.
type pageReader interface {
	Read(ctx context.Context, request store.ReadRequest, page *store.Page) error
}

func (l *eventList) horizon(ctx context.Context) (through int64, err error) {
	err = l.backoff.do(ctx, func() error {
		h, err := l.from.Horizon(ctx)
		through = h.Position
		return err
	})
	if l.end > 0 {
		through = min(through, l.end)
	}
	return through, err
}

// read returns the selected events of the next page behind after, which are valid until the next call.
func (l *eventList) read(
	ctx context.Context, after, through int64, limit int, columns store.Columns,
) ([]store.RecordedEvent, error) {
	request := store.ReadRequest{
		After: after, Through: through, Limit: limit, Bytes: pageBytes, Range: store.FullRange(), Columns: columns,
		Subscription: store.Subscription{BoundedContexts: l.contexts, AggregateTypes: l.types, EventTypes: l.eventTypes},
	}
	err := l.backoff.do(ctx, func() error { return l.pages.Read(ctx, request, &l.page) })
	return l.createdSince(l.page.Events), err
}

// print writes the selected events up to the horizon. more reports that the limit ended it.
func (l *eventList) print(ctx context.Context) (more bool, err error) {
	through, err := l.horizon(ctx)
	if err != nil {
		return false, err
	}
	for l.passed < through {
		limit := pageEvents
		if l.limit > 0 && l.created.IsZero() {
			// One more than shown, to know whether there are more.
			limit = int(min(pageEvents-1, l.left)) + 1
		}
		shown, err := l.read(ctx, l.passed, through, limit, store.AllColumns)
		if err != nil {
			return false, err
		}
		if l.limit > 0 && int64(len(shown)) > l.left {
			shown, more = shown[:l.left], true
		}
		l.shown = l.shown || more || len(shown) > 0
		l.left -= int64(len(shown))
		if err := l.show(shown); err != nil {
			return false, fmt.Errorf("writing the events: %w", err)
		}
		if more {
			if len(shown) > 0 {
				l.passed = shown[len(shown)-1].Position
			}
			return true, nil
		}
		l.passed = l.page.Through
	}
	return false, nil
}

// tail prints new events until the context ends, or the limit or --through is reached.
func (l *eventList) tail(ctx context.Context) error {
	tick := time.NewTicker(l.poll)
	defer tick.Stop()
	for {
		if (l.limit > 0 && l.left == 0) || (l.end > 0 && l.passed >= l.end) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		if _, err := l.print(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}
