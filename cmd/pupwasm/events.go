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
	after      int64
	through    int64
	limit      int64
	follow     bool
	poll       time.Duration
	json       bool
}

func (o *eventsOptions) addFlags(flags *pflag.FlagSet) {
	flags.StringArrayVar(&o.contexts, "context", nil, "show only this bounded `context`; may be repeated")
	flags.StringArrayVar(&o.types, "type", nil, "show only this aggregate `type`; may be repeated")
	flags.StringArrayVar(&o.eventTypes, "event-type", nil, "show only this event `type`; may be repeated")
	flags.Int64Var(&o.after, "after", 0, "start after this `position`")
	flags.Int64Var(&o.through, "through", 0, "end with this `position`; 0 for the end of the log")
	flags.Int64Var(&o.limit, "limit", 100, "maximum number of `events`; 0 for no limit")
	flags.BoolVarP(&o.follow, "follow", "f", false,
		"continue with new events until interrupted; without --after, show only new events")
	flags.DurationVar(&o.poll, "poll", 500*time.Millisecond, "with --follow, interval between polls for new events")
	flags.BoolVar(&o.json, "json", false, "print JSON lines, which 'pupwasm append' reads")
}

func newEventsCommand(globals *globalOptions) *cobra.Command {
	opts := &eventsOptions{globalOptions: globals}
	cmd := &cobra.Command{
		Use:   "events",
		Short: "List events in order of position",
		Long: `List events in order of position, the oldest first.

The list ends at the horizon, the high-water mark below which no event can still appear. An append that has not ended
holds back later events ('pupwasm status' shows it).`,
		Example: `  pupwasm events --type Fine --event-type Payment --limit 10
  pupwasm events --after 561000 --json
  pupwasm events --follow`,
		Args: wantArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if opts.follow && !cmd.Flags().Changed("limit") {
				opts.limit = 0
			}
			return runEvents(cmd.Context(), opts, opts.follow && !cmd.Flags().Changed("after"))
		},
	}
	opts.addFlags(cmd.Flags())
	return cmd
}

// pageEvents is how many events are read at once.
const pageEvents = 250

func runEvents(ctx context.Context, opts *eventsOptions, fromEnd bool) error {
	switch {
	case opts.after < 0 || opts.through < 0 || opts.limit < 0:
		return usagef("--after, --through and --limit must be 0 or more")
	case opts.poll < time.Millisecond:
		return usagef("--poll %s: must be at least 1ms", opts.poll)
	}
	from, err := openStore(ctx, opts.globalOptions)
	if err != nil {
		return err
	}
	defer from.Close()

	retry := &backoff{log: opts.log}
	if opts.follow {
		retry.limit = -1
	}
	list := &eventList{
		eventsOptions: opts, from: from, backoff: retry, printer: newEventPrinter(opts.out, opts.json),
		left: opts.limit,
	}
	if fromEnd {
		if err := list.toEnd(ctx); err != nil {
			return err
		}
	}
	after := opts.after
	more, err := list.print(ctx)
	if err != nil || !opts.follow {
		switch {
		case err != nil:
		case more && !opts.json:
			_, err = fmt.Fprintf(opts.errs, "there is more: go on with --after %d, or see all with --limit 0\n", opts.after)
		case !list.shown:
			_, err = fmt.Fprintln(opts.errs, opts.nothing(after))
		}
		return err
	}
	return list.follow(ctx)
}

// nothing is the message for an empty selection; it repeats the filters.
func (o *eventsOptions) nothing(after int64) string {
	var by []string
	for _, filter := range []struct {
		flag   string
		values []string
	}{{"--context", o.contexts}, {"--type", o.types}, {"--event-type", o.eventTypes}} {
		for _, value := range filter.values {
			by = append(by, filter.flag+" "+printable(value))
		}
	}
	if after > 0 {
		by = append(by, fmt.Sprintf("--after %d", after))
	}
	if o.through > 0 {
		by = append(by, fmt.Sprintf("--through %d", o.through))
	}
	if len(by) == 0 {
		return "there are no events yet"
	}
	return "no event matches " + strings.Join(by, " ")
}

// eventList prints the selected events from --after on, which it advances.
type eventList struct {
	*eventsOptions
	from    store.Store
	backoff *backoff
	printer *eventPrinter
	page    store.Page
	left    int64 // of the limit
	shown   bool  // some event
}

func (l *eventList) horizon(ctx context.Context) (through int64, err error) {
	err = l.backoff.do(ctx, func() error {
		h, err := l.from.Horizon(ctx)
		through = h.Position
		return err
	})
	if l.through > 0 {
		through = min(through, l.through)
	}
	return through, err
}

func (l *eventList) toEnd(ctx context.Context) (err error) {
	l.after, err = l.horizon(ctx)
	return err
}

// print writes the selected events up to the horizon. more reports that the limit ended it.
func (l *eventList) print(ctx context.Context) (more bool, err error) {
	through, err := l.horizon(ctx)
	if err != nil {
		return false, err
	}
	for l.after < through {
		request := store.ReadRequest{
			After: l.after, Through: through, Limit: pageEvents,
			Subscription: store.Subscription{BoundedContexts: l.contexts, AggregateTypes: l.types, EventTypes: l.eventTypes},
			Range:        store.FullRange(), Columns: store.AllColumns,
		}
		if l.limit > 0 {
			// One more than shown, to know whether there are more.
			request.Limit = int(min(pageEvents-1, l.left)) + 1
		}
		if err := l.backoff.do(ctx, func() error { return l.from.Read(ctx, request, &l.page) }); err != nil {
			return false, err
		}
		shown := l.page.Events
		l.shown = l.shown || len(shown) > 0
		if l.limit > 0 && int64(len(shown)) > l.left {
			shown, more = shown[:l.left], true
		}
		l.left -= int64(len(shown))
		if err := l.printer.print(shown); err != nil {
			return false, fmt.Errorf("writing the events: %w", err)
		}
		if more {
			if len(shown) > 0 {
				l.after = shown[len(shown)-1].Position
			}
			return true, nil
		}
		l.after = l.page.Through
	}
	return false, nil
}

// follow prints new events until the context ends, or the limit or --through is reached.
func (l *eventList) follow(ctx context.Context) error {
	tick := time.NewTicker(l.poll)
	defer tick.Stop()
	for {
		if (l.limit > 0 && l.left == 0) || (l.through > 0 && l.after >= l.through) {
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
