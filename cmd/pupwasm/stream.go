package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pupwasm/pupwasm/store"
)

type streamOptions struct {
	*globalOptions

	boundedContext string
	aggregateType  string
	first, last    int64
}

func (o *streamOptions) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.boundedContext, "context", "", "the stream's bounded `context`")
	flags.StringVar(&o.aggregateType, "type", "", "the stream's aggregate `type`")
	flags.Int64Var(&o.first, "from-version", 1, "start with this `version`")
	flags.Int64Var(&o.last, "to-version", 0, "end with this `version`; 0 for the last one")
	o.addJSON(flags, printsJSONLines)
}

func newStreamCommand(globals *globalOptions) *cobra.Command {
	opts := &streamOptions{globalOptions: globals}
	cmd := &cobra.Command{
		Use:   "stream ID",
		Short: "Show the events of one stream",
		Long: `Show the events of one stream in order of version.

ID is context/type/id, or only the aggregate's id. The long form, or --context and --type, find the stream directly. An
id alone is searched for in the whole log. If several streams have it, they are listed.`,
		Example: `  pupwasm stream Traffic/Fine/S38735
  pupwasm stream S38735 --type Fine`,
		Args:              wantArgs(cobra.ExactArgs(1)),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, args []string) error { return runStream(cmd.Context(), opts, args) },
	}
	opts.addFlags(cmd.Flags())
	return cmd
}

func runStream(ctx context.Context, opts *streamOptions, args []string) error {
	if opts.first < 1 || opts.last < 0 {
		return usagef("--from-version must be 1 or more, --to-version 0 or more")
	}
	if args[0] == "" {
		return usagef("the ID is empty")
	}
	from, err := openStore(ctx, opts.globalOptions)
	if err != nil {
		return err
	}
	defer from.Close()
	stream, err := opts.find(ctx, from, args[0])
	if err != nil {
		return err
	}
	events, err := from.ReadStream(ctx, stream, opts.first, opts.last)
	if err != nil {
		return err
	}
	if len(events) == 0 {
		opts.log.Info().Str("stream", stream.String()).Msg("the stream has no event of these versions")
	}
	return newEventPrinter(opts.out, opts.json).print(events)
}

// find returns the stream of an ID, which may contain slashes itself.
func (o *streamOptions) find(ctx context.Context, from store.Store, id string) (store.Stream, error) {
	if o.boundedContext != "" && o.aggregateType != "" {
		return store.Stream{BoundedContext: o.boundedContext, AggregateType: o.aggregateType, AggregateID: id}, nil
	}
	if parts := strings.SplitN(id, "/", 3); len(parts) == 3 && o.boundedContext == "" && o.aggregateType == "" {
		stream := store.Stream{BoundedContext: parts[0], AggregateType: parts[1], AggregateID: parts[2]}
		if stream.Validate() == nil {
			_, err := from.ReadStream(ctx, stream, 1, 1)
			if !errors.Is(err, store.ErrStreamNotFound) {
				return stream, err
			}
		}
	}
	found, err := o.search(ctx, from, id)
	switch {
	case err != nil:
		return store.Stream{}, err
	case len(found) == 0:
		return store.Stream{}, fmt.Errorf("stream %s: %w: 'pupwasm events' lists events with their streams", id,
			store.ErrStreamNotFound)
	case len(found) > 1:
		names := make([]string, len(found))
		for i := range found {
			names[i] = found[i].String()
		}
		return store.Stream{}, usagef("%d streams have the id %s: choose one of %s", len(found), id,
			strings.Join(names, ", "))
	}
	return found[0], nil
}

// search finds the streams with an aggregate id. The store filters by the id's hash, so few events are read.
func (o *streamOptions) search(ctx context.Context, from store.Store, id string) ([]store.Stream, error) {
	horizon, err := from.Horizon(ctx)
	if err != nil {
		return nil, err
	}
	spread := store.Spread(store.PartitionHash(id))
	request := store.ReadRequest{
		Through: horizon.Position, Limit: pageEvents, Range: store.HashRange{First: spread, Last: spread},
		Columns: store.ColumnBoundedContext | store.ColumnAggregateType | store.ColumnAggregateID,
	}
	if o.boundedContext != "" {
		request.Subscription.BoundedContexts = []string{o.boundedContext}
	}
	if o.aggregateType != "" {
		request.Subscription.AggregateTypes = []string{o.aggregateType}
	}
	var found []store.Stream
	var page store.Page
	for request.After < request.Through {
		if err := from.Read(ctx, request, &page); err != nil {
			return nil, err
		}
		for i := range page.Events {
			if stream := page.Events[i].Stream; stream.AggregateID == id && !slices.Contains(found, stream) {
				found = append(found, stream)
			}
		}
		request.After = page.Through
	}
	return found, nil
}
