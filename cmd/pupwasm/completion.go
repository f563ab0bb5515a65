package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pupwasm/pupwasm/internal/status"
	"github.com/pupwasm/pupwasm/store"
)

// completionWait bounds the wait for a database after a press of the tab key.
const completionWait = 2 * time.Second

// argument offers the values of one argument of a command; args are those before it. What cannot be read is not offered.
type argument struct {
	offer    func(ctx context.Context, from store.Store, args []string) []cobra.Completion
	repeated bool // all further arguments are of this kind
}

// The arguments that the database knows.
var (
	anyName      = argument{offer: offerNames}
	anyVersioned = argument{offer: offerVersioned}
	tableOf      = argument{offer: offerTables}
	segmentOf    = argument{offer: offerSegments}
	segmentsOf   = argument{offer: offerSegments, repeated: true}
	keyOf        = argument{offer: offerKeys}
	keysOf       = argument{offer: offerKeys, repeated: true}
	versionIn    = argument{offer: func(ctx context.Context, from store.Store, args []string) []cobra.Completion {
		return offerVersions(ctx, from, args, func(store.Stage) bool { return true })
	}}
	candidateIn = argument{offer: func(ctx context.Context, from store.Store, args []string) []cobra.Completion {
		return offerVersions(ctx, from, args, func(s store.Stage) bool { return s == store.StageCandidate })
	}}
	retirableIn = argument{offer: func(ctx context.Context, from store.Store, args []string) []cobra.Completion {
		return offerVersions(ctx, from, args, func(s store.Stage) bool { return s != store.StageLive })
	}}
)

// completeProjections offers the names of projections to the shell, and then what further arguments there are.
func completeProjections(globals *globalOptions, then ...argument) cobra.CompletionFunc {
	return completeArguments(globals, append([]argument{anyName}, then...)...)
}

// completeVersioned is the same for commands that take NAME@VERSION.
func completeVersioned(globals *globalOptions, then ...argument) cobra.CompletionFunc {
	return completeArguments(globals, append([]argument{anyVersioned}, then...)...)
}

// completeArguments offers the arguments of a command in their order, or nothing when the database is slow.
func completeArguments(globals *globalOptions, arguments ...argument) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		const directive = cobra.ShellCompDirectiveNoFileComp
		at := arguments[min(len(args), len(arguments)-1)]
		if len(args) >= len(arguments) && !at.repeated || globals.settle(cmd) != nil {
			return nil, directive
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completionWait)
		defer cancel()
		from, err := openStore(ctx, globals)
		if err != nil {
			return nil, directive
		}
		defer from.Close()
		return at.offer(ctx, from, args), directive
	}
}

// statusOf returns the installed versions of all projections, or of the one that the first argument names.
func statusOf(ctx context.Context, from store.Store, args []string) []store.ProjectionStatus {
	var only []string
	if len(args) > 0 {
		id, err := parseProjection(args[0])
		if err != nil {
			return nil
		}
		only = []string{id.Name}
	}
	all, _ := from.Status(ctx, only...)
	return all
}

func offerNames(ctx context.Context, from store.Store, _ []string) (names []cobra.Completion) {
	all := statusOf(ctx, from, nil)
	for i := range all {
		if !slices.Contains(names, all[i].Name) {
			names = append(names, all[i].Name)
		}
	}
	return names
}

func offerVersioned(ctx context.Context, from store.Store, _ []string) (names []cobra.Completion) {
	all := statusOf(ctx, from, nil)
	for i := range all {
		if !slices.Contains(names, all[i].Name) {
			names = append(names, all[i].Name)
		}
		names = append(names, all[i].Name+"@"+all[i].VersionText())
	}
	return names
}

func offerVersions(
	ctx context.Context, from store.Store, args []string, wanted func(store.Stage) bool,
) (versions []cobra.Completion) {
	if strings.Contains(args[0], "@") {
		return nil // it has the version
	}
	all := statusOf(ctx, from, args)
	stages := store.Stages(all)
	for i := range all {
		text, stage := all[i].VersionText(), stages[all[i].ProjectionID]
		if wanted(stage) && !slices.Contains(args[1:], text) {
			versions = append(versions, cobra.CompletionWithDesc(text, string(stage)))
		}
	}
	return versions
}

func offerTables(ctx context.Context, from store.Store, args []string) (tables []cobra.Completion) {
	projection, err := from.Published(ctx, args[0])
	if err != nil {
		return nil
	}
	for i := range projection.Tables {
		tables = append(tables, projection.Tables[i].Name)
	}
	return tables
}

func offerSegments(ctx context.Context, from store.Store, args []string) (segments []cobra.Completion) {
	of, err := known(ctx, from, args[0])
	if err != nil {
		return nil
	}
	for i := range of.Segments {
		s := &of.Segments[i]
		number := strconv.Itoa(s.Segment)
		if !slices.Contains(args[1:], number) {
			segments = append(segments, cobra.CompletionWithDesc(number, string(status.StateOf(of, s))))
		}
	}
	return segments
}

func offerKeys(ctx context.Context, from store.Store, args []string) (keys []cobra.Completion) {
	of, err := known(ctx, from, args[0])
	if err != nil {
		return nil
	}
	request := parkedRequest(of.ProjectionID, nil)
	request.Limit = parkedPage
	parked, _ := from.Parked(ctx, request)
	for i := range parked {
		key := status.KeyText(parked[i].Key)
		if !slices.Contains(args[1:], key) {
			keys = append(keys, cobra.CompletionWithDesc(key, fmt.Sprintf("event %d", parked[i].First)))
		}
	}
	return keys
}

// Endings of the names of files that commands read.
var (
	moduleFiles = []string{"wasm"}
	eventFiles  = []string{"json", "jsonl", "gz"}
	bundleFiles = []string{"gz"}
	yamlFiles   = []string{"yaml", "yml"}
	pemFiles    = []string{"pem"}
)

// completeFile offers files with these endings, and folders, for the first argument.
func completeFile(endings []string) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return endings, cobra.ShellCompDirectiveFilterFileExt
	}
}

// completeFiles offers files with these endings for every argument.
func completeFiles(endings []string) cobra.CompletionFunc {
	return cobra.FixedCompletions(endings, cobra.ShellCompDirectiveFilterFileExt)
}

// completeFolder offers folders for the first argument.
func completeFolder(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveFilterDirs
}

// completeFolders offers folders for every argument.
func completeFolders(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}

// completeCommand offers the names of commands, as 'config show' takes them.
func completeCommand(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var names []cobra.Completion
	if of, rest, err := cmd.Root().Find(args); err == nil && len(rest) == 0 {
		for _, sub := range of.Commands() {
			if sub.IsAvailableCommand() {
				names = append(names, cobra.CompletionWithDesc(sub.Name(), sub.Short))
			}
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
