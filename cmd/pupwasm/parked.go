package main

import (
	"context"
	"encoding/hex"
	"fmt"
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

A key that is no printable text, or begins as an option does, is shown and given in hex: hex:00ff.`

func newParkedCommand(globals *globalOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "parked",
		Short: "Show, retry, skip and export events that a projection fails at",
		Long:  parkedHelp,
		Example: `  pupwasm parked list
  pupwasm parked show fines A100
  pupwasm parked retry fines A100
  pupwasm parked skip fines A100 --yes
  pupwasm parked export fines A100 --modules bin/modules`,
	}
	asGroup(cmd)
	cmd.AddCommand(newParkedListCommand(globals), newParkedShowCommand(globals), newParkedRetryCommand(globals),
		newParkedSkipCommand(globals), newParkedSkippedCommand(globals), newParkedExportCommand(globals))
	return cmd
}

// keyText is a partition key as a person reads and gives it.
func keyText(key []byte) string {
	text := string(key)
	plain := utf8.Valid(key) && len(key) > 0 && !strings.HasPrefix(text, "hex:") && !strings.HasPrefix(text, "-") &&
		text == strings.TrimSpace(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
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
	Projection  string             `json:"projection"`
	Key         string             `json:"key"`
	Position    int64              `json:"position"` // of the event that failed
	EventID     string             `json:"event_id"`
	Last        int64              `json:"last_position"` // of the last event that waits
	Events      int64              `json:"events"`        // how many wait
	Error       string             `json:"error"`
	Attempts    int                `json:"attempts"`
	ParkedAt    time.Time          `json:"parked_at"`
	NextAttempt *time.Time         `json:"next_attempt_at,omitempty"` // none: it is not tried again by itself
	Order       store.ParkedAction `json:"order,omitempty"`
}

func reportParked(k *store.ParkedKey) parkedReport {
	r := parkedReport{
		Projection: k.Projection.Name, Key: keyText(k.Key), Position: k.First, EventID: k.Event.String(), Last: k.Last,
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
	case r.Order == store.ActionSkip:
		return "skip ordered"
	case r.Order == store.ActionRetry:
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
	request := parkedRequest(projection, nil)
	request.Limit = parkedPage
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

// known returns the status of a projection that is installed. It refuses a name that was never installed.
func known(ctx context.Context, from store.Store, projection string) (*store.ProjectionStatus, error) {
	found, err := from.Status(ctx, projection)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, unknownProjection(projection)
	}
	return &found[0], nil
}

func unknownProjection(name string) error {
	return usagef("projection %s is not known: 'pupwasm status' lists those that are", printable(name))
}

func runParkedList(ctx context.Context, globals *globalOptions, projection string, asJSON bool) error {
	from, err := openStore(ctx, globals)
	if err != nil {
		return err
	}
	defer from.Close()
	if projection != "" {
		if _, err := known(ctx, from, projection); err != nil {
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
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%s\t%s\t%s\n", printable(r.Projection), r.Key, r.Position, r.Events,
			r.Attempts, r.ParkedAt.Format(time.RFC3339), r.next(), printable(r.Error))
	}
	return table.Flush()
}
