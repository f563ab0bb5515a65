package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/pupwasm/pupwasm/store"
)

const parkedHelp = `Show and change what is parked.

When a projection fails at an event, the event's partition key (by default its stream) is parked: its later events wait,
in order, and those of other keys go on. The host that has the key's segment tries it again by itself, a few times, and
at once when it runs a module that the key was not tried with. See 'pupwasm run --help' for --on-error.

A key that is no printable text is shown and given in hex: hex:00ff.`

func newParkedCommand(globals *globalOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "parked",
		Short: "Show, retry and skip events that a projection fails at",
		Long:  parkedHelp,
		Example: `  pupwasm parked list
  pupwasm parked show fines A100
  pupwasm parked retry fines A100
  pupwasm parked skip fines A100 --yes`,
	}
	asGroup(cmd)
	cmd.AddCommand(newParkedListCommand(globals), newParkedShowCommand(globals), newParkedRetryCommand(globals),
		newParkedSkipCommand(globals), newParkedSkippedCommand(globals))
	return cmd
}

// keyText is a partition key as a person reads and gives it.
func keyText(key []byte) string {
	text := string(key)
	plain := utf8.Valid(key) && len(key) > 0 && !strings.HasPrefix(text, "hex:") && text == strings.TrimSpace(text) &&
		!strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
	if plain {
		return text
	}
	return "hex:" + hex.EncodeToString(key)
}

// parseKey reads what keyText writes.
func parseKey(text string) ([]byte, error) {
	digits, isHex := strings.CutPrefix(text, "hex:")
	if !isHex {
		return []byte(text), nil
	}
	key, err := hex.DecodeString(digits)
	if err != nil {
		return nil, usagef("key %s: behind 'hex:' there must be pairs of hex digits", printable(text))
	}
	return append([]byte{}, key...), nil
}

// parkedReport is the JSON form of a parked key.
type parkedReport struct {
	Projection  string            `json:"projection"`
	Key         string            `json:"key"`
	Position    int64             `json:"position"` // of the event that failed
	EventID     string            `json:"event_id"`
	Last        int64             `json:"last_position"` // of the last event that waits
	Events      int64             `json:"events"`        // how many wait
	Error       string            `json:"error"`
	Attempts    int               `json:"attempts"`
	ParkedAt    time.Time         `json:"parked_at"`
	NextAttempt *time.Time        `json:"next_attempt_at,omitempty"` // none: it is not tried again by itself
	Order       store.ParkedOrder `json:"order,omitempty"`
}

func reportParked(k *store.ParkedKey) parkedReport {
	r := parkedReport{
		Projection: k.Projection, Key: keyText(k.Key), Position: k.First, EventID: k.Event.String(), Last: k.Last,
		Events: k.Events, Error: inFlags(k.Error), Attempts: k.Attempts, ParkedAt: k.ParkedAt.UTC(), Order: k.Order,
	}
	if !k.NextAttempt.IsZero() {
		next := k.NextAttempt.UTC()
		r.NextAttempt = &next
	}
	return r
}

// next says when a key is tried again.
func (r *parkedReport) next() string {
	switch {
	case r.Order == store.OrderSkip:
		return "skip ordered"
	case r.Order == store.OrderRetry:
		return "retry ordered"
	case r.NextAttempt == nil:
		return "with another module"
	}
	return r.NextAttempt.Format(time.RFC3339)
}

func newParkedListCommand(globals *globalOptions) *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "list [PROJECTION]",
		Short: "List parked keys",
		Long: `List the parked keys of all projections or of one. POSITION is that of the event that failed, EVENTS is how many
events wait with it, NEXT is when the key is tried again by itself.`,
		Args: wantArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runParkedList(cmd.Context(), globals, strings.Join(args, ""), asJSON)
		},
		ValidArgsFunction: completeProjections(globals),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// parkedPage is how many keys are asked for at once.
const parkedPage = 1000

// eachParked gives the parked keys of a projection, or of all for "", to handle.
func eachParked(ctx context.Context, from store.Store, projection string, handle func(k *store.ParkedKey) error) error {
	request := store.ParkedRequest{Projection: projection, Range: store.FullRange(), Limit: parkedPage}
	for {
		page, err := from.Parked(ctx, request)
		if err != nil {
			return err
		}
		for i := range page {
			if err := handle(&page[i]); err != nil {
				return err
			}
		}
		if len(page) < parkedPage {
			return nil
		}
		request.After = page[len(page)-1].ParkedID
	}
}

// checkKnown refuses the name of a projection that was never installed.
func checkKnown(ctx context.Context, from store.Store, projection string) error {
	known, err := from.Status(ctx, projection)
	if err == nil && len(known) == 0 {
		return usagef("projection %s is not known: 'pupwasm status' lists those that are", printable(projection))
	}
	return err
}

func runParkedList(ctx context.Context, globals *globalOptions, projection string, asJSON bool) error {
	from, err := openStore(ctx, globals)
	if err != nil {
		return err
	}
	defer from.Close()
	if projection != "" {
		if err := checkKnown(ctx, from, projection); err != nil {
			return err
		}
	}
	reports := []parkedReport{}
	err = eachParked(ctx, from, projection, func(k *store.ParkedKey) error {
		reports = append(reports, reportParked(k))
		return nil
	})
	switch {
	case err != nil:
		return err
	case asJSON:
		return writeJSON(globals.out, reports)
	case len(reports) == 0:
		_, err := fmt.Fprintln(globals.out, "nothing is parked")
		return err
	}
	table := tabwriter.NewWriter(globals.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "PROJECTION\tKEY\tPOSITION\tEVENTS\tATTEMPTS\tPARKED\tNEXT\tERROR")
	for i := range reports {
		r := &reports[i]
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%s\t%s\t%s\n", printable(r.Projection), r.Key, r.Position, r.Events, r.Attempts,
			r.ParkedAt.Format(time.RFC3339), r.next(), printable(r.Error))
	}
	return table.Flush()
}

func newParkedShowCommand(globals *globalOptions) *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "show PROJECTION KEY",
		Short: "Show why a key is parked",
		Long:  `Show why a key is parked, the event that failed, and where the events are that wait with it.`,
		Args:  wantArgs(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runParkedShow(cmd.Context(), globals, args[0], args[1], asJSON)
		},
		ValidArgsFunction: completeProjections(globals),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// shownPositions is how many positions of waiting events are shown.
const shownPositions = 20

func runParkedShow(ctx context.Context, globals *globalOptions, projection, keyArgument string, asJSON bool) error {
	key, err := parseKey(keyArgument)
	if err != nil {
		return err
	}
	from, err := openStore(ctx, globals)
	if err != nil {
		return err
	}
	defer from.Close()
	found, err := from.Parked(ctx, store.ParkedRequest{Projection: projection, Key: key, Range: store.FullRange()})
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return notParked(projection, keyArgument)
	}
	report := reportParked(&found[0])
	if asJSON {
		return writeJSON(globals.out, report)
	}
	waiting, err := from.ParkedPositions(ctx, projection, key, 0, shownPositions)
	if err != nil {
		return err
	}
	var page store.Page
	request := store.ReadRequest{
		After: report.Position - 1, Through: report.Position, Limit: 1, Range: store.FullRange(), Columns: store.AllColumns,
	}
	if err := from.Read(ctx, request, &page); err != nil {
		return err
	}
	fmt.Fprintf(globals.out, "projection  %s\nkey         %s\nerror       %s\nattempts    %d\nparked      %s\nnext        %s\nevents      %d, at %s\n\n",
		printable(report.Projection), report.Key, printable(report.Error), report.Attempts,
		report.ParkedAt.Format(time.RFC3339), report.next(), report.Events, positionsText(waiting, report.Events))
	return newEventPrinter(globals.out, false).print(page.Events)
}

// positionsText lists positions, the first of so many.
func positionsText(positions []int64, all int64) string {
	texts := make([]string, len(positions))
	for i, position := range positions {
		texts[i] = strconv.FormatInt(position, 10)
	}
	text := strings.Join(texts, ", ")
	if int64(len(positions)) < all {
		text += ", …"
	}
	return text
}

func notParked(projection, key string) error {
	return usagef("key %s of projection %s is not parked: 'pupwasm parked list' lists those that are", printable(key),
		printable(projection))
}

func newParkedRetryCommand(globals *globalOptions) *cobra.Command {
	all := false
	cmd := &cobra.Command{
		Use:   "retry PROJECTION [KEY…]",
		Short: "Try the events of parked keys again",
		Long: `Have the host that runs the projection try the events of parked keys again, from the one that failed. It does so
within moments, or when it starts. 'pupwasm parked list' shows what came of it.`,
		Args: wantArgs(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) > 1) {
				return usagef("name the keys to try again, or all with --all")
			}
			return orderParked(cmd.Context(), globals, args[0], args[1:], store.OrderRetry)
		},
		ValidArgsFunction: completeProjections(globals),
	}
	cmd.Flags().BoolVar(&all, "all", false, "all keys of the projection")
	return cmd
}

func newParkedSkipCommand(globals *globalOptions) *cobra.Command {
	yes := false
	cmd := &cobra.Command{
		Use:   "skip PROJECTION KEY",
		Short: "Leave out the event that failed, for good",
		Long: `Have the host that runs the projection leave out the event at which a key failed, and apply those that wait behind
it. The rows are then as if the event had never been: only a reset applies it again. 'pupwasm parked skipped' lists
what was left out.`,
		Args: wantArgs(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !yes {
				return usagef("the projection %s is then without an event of key %s: say so with --yes", printable(args[0]),
					printable(args[1]))
			}
			return orderParked(cmd.Context(), globals, args[0], args[1:], store.OrderSkip)
		},
		ValidArgsFunction: completeProjections(globals),
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "confirm that the event is left out")
	return cmd
}

// orderParked gives an order for keys of a projection, or for all of them where none is named. A key that is not
// parked is found before any order is given.
func orderParked(ctx context.Context, globals *globalOptions, projection string, named []string, order store.ParkedOrder) error {
	keys := make([][]byte, len(named))
	for i, text := range named {
		var err error
		if keys[i], err = parseKey(text); err != nil {
			return err
		}
	}
	to, err := openStore(ctx, globals)
	if err != nil {
		return err
	}
	defer to.Close()
	if err := checkKnown(ctx, to, projection); err != nil {
		return err
	}
	for i, key := range keys {
		found, err := to.Parked(ctx, store.ParkedRequest{Projection: projection, Key: key, Range: store.FullRange()})
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return notParked(projection, named[i])
		}
	}
	if len(named) == 0 {
		err := eachParked(ctx, to, projection, func(k *store.ParkedKey) error {
			keys = append(keys, slices.Clone(k.Key))
			return nil
		})
		if err != nil {
			return err
		}
	}
	for _, key := range keys {
		if err := to.Order(ctx, projection, key, order); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(globals.out, "%s ordered for %d of the parked keys of %s\n", order, len(keys), projection)
	return err
}

func newParkedSkippedCommand(globals *globalOptions) *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "skipped PROJECTION",
		Short: "List events that were left out",
		Args:  wantArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runParkedSkipped(cmd.Context(), globals, args[0], asJSON)
		},
		ValidArgsFunction: completeProjections(globals),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// skippedReport is the JSON form of an event that was left out.
type skippedReport struct {
	Key       string    `json:"key"`
	Position  int64     `json:"position"`
	EventID   string    `json:"event_id"`
	Error     string    `json:"error"`
	SkippedAt time.Time `json:"skipped_at"`
}

func runParkedSkipped(ctx context.Context, globals *globalOptions, projection string, asJSON bool) error {
	from, err := openStore(ctx, globals)
	if err != nil {
		return err
	}
	defer from.Close()
	if err := checkKnown(ctx, from, projection); err != nil {
		return err
	}
	reports := []skippedReport{}
	for after := int64(0); ; {
		page, err := from.Skipped(ctx, projection, after, parkedPage)
		if err != nil {
			return err
		}
		for _, s := range page {
			after = s.Position
			reports = append(reports, skippedReport{keyText(s.Key), s.Position, s.Event.String(), inFlags(s.Error), s.SkippedAt.UTC()})
		}
		if len(page) < parkedPage {
			break
		}
	}
	switch {
	case asJSON:
		return writeJSON(globals.out, reports)
	case len(reports) == 0:
		_, err := fmt.Fprintln(globals.out, "no event was skipped")
		return err
	}
	table := tabwriter.NewWriter(globals.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "POSITION\tKEY\tSKIPPED\tERROR")
	for i := range reports {
		r := &reports[i]
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\n", r.Position, r.Key, r.SkippedAt.Format(time.RFC3339), printable(r.Error))
	}
	return table.Flush()
}
