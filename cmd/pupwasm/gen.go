package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/pupwasm/pupwasm/internal/build"
	"github.com/pupwasm/pupwasm/internal/eventgen"
	"github.com/pupwasm/pupwasm/internal/oneline"
)

func newGenCommand(globals *globalOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:         "gen",
		Short:       "Generate typed access to events",
		Example:     `  pupwasm gen events events`,
		Annotations: map[string]string{withoutConfig: ""},
	}
	asGroup(cmd)
	cmd.AddCommand(newGenEventsCommand(globals))
	return cmd
}

const genEventsHelp = `Generate typed access to the events whose structs are in DIR/v1, DIR/v2 and so on, a Go package for each version of
their schemas. A struct there is an event, unless another struct holds it. In JSON it is what encoding/json makes of it.

  DIR/pupevents         for projections: readers without reflection, which allocate nothing per event
  DIR/registry_gen.go   for applications: the registry that writes events for the store and reads them
  DIR/schema/*.json     a JSON Schema for each event and version
  DIR/vN/decimals_gen.go  JSON of the types marked with //pup:decimals

An event that has a later version needs a function there which makes it into that one. Readers and registry then give
every event as its newest version:

  func UpOrderPlaced(old v1.OrderPlaced) OrderPlaced { … }    // in DIR/v2

Comments above a type say more:

  //pup:event order.placed   it is an event, stored with this type; by default with the name of the struct
  //pup:part                 it is no event, though no struct holds it
  //pup:decimals 2           values of this int64 are JSON numbers with 2 decimals: 12.50 is 1250

What projections use is left out where go.mod does not require github.com/pupwasm/pupwasm/guest-sdk, and what
applications use where it does not require github.com/pupwasm/pupwasm: 'go get' adds them. For 'go generate', put this
line into a Go file in DIR/v1:

  //go:generate pupwasm gen events ..`

type genEventsOptions struct {
	*globalOptions

	check bool
}

func newGenEventsCommand(globals *globalOptions) *cobra.Command {
	opts := &genEventsOptions{globalOptions: globals}
	cmd := &cobra.Command{
		Use:   "events [DIR]",
		Short: "Generate readers, registry and schemas of events from structs",
		Long:  genEventsHelp,
		Example: `  pupwasm gen events
  pupwasm gen events internal/events
  pupwasm gen events --check`,
		Args:              wantArgs(cobra.MaximumNArgs(1)),
		ValidArgsFunction: completeFolders,
		Annotations:       map[string]string{withoutConfig: ""},
		RunE: func(cmd *cobra.Command, args []string) error {
			return runGenEvents(cmd.Context(), opts, append(args, ".")[0])
		},
	}
	cmd.Flags().BoolVar(&opts.check, "check", false, "write nothing, and fail if a file is not what would be generated")
	opts.addJSON(cmd.Flags(), printsJSON)
	return cmd
}

// generatedReport is the JSON form of what was generated.
type generatedReport struct {
	Events []eventgen.Event `json:"events"`
	Files  []eventgen.File  `json:"files"`
	Lacks  []string         `json:"lacks"` // Go modules for what was left out
}

func runGenEvents(ctx context.Context, opts *genEventsOptions, folder string) error {
	generate := eventgen.Generate
	if opts.check {
		generate = eventgen.Check
	}
	result, err := generate(ctx, folder)
	if err != nil {
		return opts.genEventsError(folder, err)
	}
	stale := 0
	for i := range result.Files {
		file := &result.Files[i]
		file.Path = build.Relative(file.Path)
		if file.Outcome == eventgen.Stale {
			stale++
		}
	}
	if opts.json {
		err = opts.result(generatedReport{Events: result.Events, Files: result.Files, Lacks: append([]string{}, lacks(result)...)})
	} else {
		opts.printGenerated(result)
	}
	if err == nil && stale > 0 {
		err = fmt.Errorf("%s not what 'pupwasm gen events %s' generates: run it", are(stale, "file"), folder)
	}
	return err
}

// are begins a sentence about a number of things.
func are(n int, noun string) string {
	verb := " are"
	if n == 1 {
		verb = " is"
	}
	return count(int64(n), noun) + verb
}

// lacks are the Go modules for what was left out.
func lacks(result *eventgen.Result) (modules []string) {
	if result.LacksSDK {
		modules = append(modules, sdkModule)
	}
	if result.LacksProgram {
		modules = append(modules, "github.com/pupwasm/pupwasm")
	}
	return modules
}

func (o *genEventsOptions) printGenerated(result *eventgen.Result) {
	unchanged := 0
	for _, file := range result.Files {
		if file.Outcome == eventgen.Unchanged {
			unchanged++
			continue
		}
		fmt.Fprintf(o.out, "%-9s %s\n", file.Outcome, printable(file.Path))
	}
	newest := 0
	for _, e := range result.Events {
		if e.Newest {
			newest++
		}
	}
	fmt.Fprintf(o.out, "%s in %s, %s unchanged\n", count(int64(newest), "event"), count(int64(len(result.Events)), "version"),
		count(int64(unchanged), "file"))
	left := map[bool]string{true: "the readers of projections", false: "the registry of applications"}
	for _, module := range lacks(result) {
		fmt.Fprintf(o.out, "left out: %s; 'go get %s' adds what they need to go.mod\n", left[module == sdkModule], module)
	}
}

// genEventsError prints what is wrong in the sources, and returns an error that sums it up.
func (o *genEventsOptions) genEventsError(folder string, err error) error {
	var none *eventgen.NoVersionsError
	var mistakes *build.MistakesError
	switch {
	case errors.As(err, &none):
		return usagef("%v", err)
	case errors.Is(err, fs.ErrNotExist):
		return usagef("%s: there is no such folder", printable(folder))
	case errors.As(err, &mistakes):
		for _, line := range mistakeLines(err) {
			fmt.Fprintln(o.errs, printable(line))
		}
		return fmt.Errorf("%s: nothing is generated: %s", printable(folder), oneline.Count(int64(len(mistakes.Mistakes)), "mistake"))
	default:
		return err
	}
}
