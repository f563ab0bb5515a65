package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pupwasm/pupwasm/internal/status"
	"github.com/pupwasm/pupwasm/store"
)

const messagesHelp = `Show and change the messages that projections send.

A message waits in the outbox, in the database of the tables, until a host that runs with --publish has sent it. When it
cannot be sent, it and the later messages of its key wait, in order, and those of other keys go on. The host tries again
by itself, see 'pupwasm run --help' for --publish-attempts. 'pupwasm status' shows how many wait, and who sends them.

A message has an id such as shop.v1.120.0: the projection, its version, the position of the event that caused it, and the
number among the messages of that event. A key that is no printable text, or begins as an option does, is shown and given
in hex: hex:00ff.`

func newMessagesCommand(globals *globalOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "messages",
		Short: "Show, resend and skip messages that projections send",
		Long:  messagesHelp,
		Example: `  pupwasm messages list shop --state failed
  pupwasm messages show shop.v1.120.0
  pupwasm messages resend shop --failed
  pupwasm messages skip shop.v1.120.0 --yes
  pupwasm messages skip shop --failed --yes`,
	}
	asGroup(cmd)
	cmd.AddCommand(newMessagesListCommand(globals), newMessagesShowCommand(globals), newMessagesResendCommand(globals),
		newMessagesSkipCommand(globals))
	return cmd
}

// messageStates are the values of --state.
var messageStates = []string{
	string(store.MessagePending), string(store.MessageFailed), string(store.MessageSent), string(store.MessageHeld),
}

type messagesListOptions struct {
	*globalOptions

	state string
	key   string
	limit int
}

func newMessagesListCommand(globals *globalOptions) *cobra.Command {
	opts := &messagesListOptions{globalOptions: globals}
	cmd := &cobra.Command{
		Use:   "list [PROJECTION]",
		Short: "List messages in the outbox",
		Long: `List messages of all projections or of one, in the order in which a projection sends them.

  pending  it is to be sent; it may wait behind one of its key that failed
  failed   it could not be sent, and those of its key wait for it
  sent     it was sent, and is kept for as long as --publish-keep of 'pupwasm run' says
  held     its version is not live: a promotion sends it, or deletes it

NEXT is when the message is tried again by itself. 'pupwasm messages show' has the whole error and the data.`,
		Example: `  pupwasm messages list
  pupwasm messages list shop --state failed
  pupwasm messages list shop --key A100 --limit 10 --json`,
		Args: wantArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runMessagesList(cmd.Context(), opts, strings.Join(args, ""))
		},
		ValidArgsFunction: completeArguments(globals, anySender),
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.state, "state", "", "only those in this `state`: pending, failed, sent or held")
	flagChoices(flags, "state", messageStates...)
	flags.StringVar(&opts.key, "key", "", "only those of this `key`")
	flags.IntVar(&opts.limit, "limit", 100, "maximum number of messages; 0 for all")
	opts.addJSON(flags, printsJSON)
	return cmd
}

// messagesPage is how many messages are asked for at once: each may have a megabyte of data.
const messagesPage = 50

// eachMessage gives the messages that a request selects to handle, up to its limit, and reports whether there are more.
func eachMessage(
	ctx context.Context, from store.Outbox, request store.MessagesRequest, handle func(m *store.OutboxMessage),
) (more bool, err error) {
	limit := request.Limit
	for given := 0; ; {
		request.Limit = messagesPage
		page, err := from.Messages(ctx, request)
		if err != nil {
			return false, err
		}
		for i := range page {
			if limit > 0 && given == limit {
				return true, nil
			}
			handle(&page[i])
			given++
		}
		if len(page) < messagesPage {
			return false, nil
		}
		request.After = page[len(page)-1].ID()
	}
}

// sender refuses a projection that has no messages and is not installed.
func sender(ctx context.Context, from store.Tables, projection string) error {
	if found, err := from.OutboxStatus(ctx, projection); err != nil || len(found) > 0 {
		return err
	}
	_, err := knownName(ctx, from, projection)
	return err
}

func runMessagesList(ctx context.Context, opts *messagesListOptions, projection string) error {
	request := store.MessagesRequest{Projection: projection, State: store.MessageState(opts.state), Limit: opts.limit}
	if err := checkChoice("state", opts.state, messageStates); err != nil {
		return err
	}
	if opts.limit < 0 {
		return usagef("--limit must not be negative, it is %d", opts.limit)
	}
	if opts.key != "" {
		var err error
		if request.Key, err = parseKey(opts.key); err != nil {
			return err
		}
	}
	from, err := openStore(ctx, opts.globalOptions)
	if err != nil {
		return err
	}
	defer from.Close()
	if projection != "" {
		if err := sender(ctx, from, projection); err != nil {
			return err
		}
	}
	reports := []status.Message{}
	more, err := eachMessage(ctx, from, request, func(m *store.OutboxMessage) {
		reports = append(reports, reportMessage(m))
	})
	switch {
	case err != nil:
		return err
	case opts.json:
		return writeJSON(opts.out, reports)
	case len(reports) == 0:
		return opts.say("there are no such messages")
	}
	if err := opts.printMessages(reports); err != nil || !more {
		return err
	}
	return opts.say("… and more: --limit 0 lists all")
}

// checkChoice refuses a value of a flag that is none of a few, and not empty.
func checkChoice(flag, value string, choices []string) error {
	if value == "" {
		return nil
	}
	for _, choice := range choices {
		if value == choice {
			return nil
		}
	}
	return usagef("--%s %s: use %s or %s", flag, printable(value), strings.Join(choices[:len(choices)-1], ", "),
		choices[len(choices)-1])
}

// reportMessage is the report with the error in the words of the command.
func reportMessage(m *store.OutboxMessage) status.Message {
	report := status.ReportMessage(m)
	report.Error = inFlags(report.Error)
	return report
}

// Widths of columns whose texts come from events and from receivers.
const (
	keyWidth          = 40
	subjectWidth      = 60
	messageErrorWidth = 120
)

func (o *messagesListOptions) printMessages(reports []status.Message) error {
	table := tabwriter.NewWriter(o.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "MESSAGE\tKEY\tSTATE\tPUT\tATTEMPTS\tNEXT\tSUBJECT\tERROR")
	for i := range reports {
		r := &reports[i]
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n", printable(r.ID), shorten(shownKey(r), keyWidth), r.State,
			r.PutAt.Format(time.RFC3339), r.Attempts, r.Next(), shorten(printable(r.Subject), subjectWidth),
			cmp.Or(shorten(printable(r.Error), messageErrorWidth), "-"))
	}
	return table.Flush()
}

// shownKey is the key of a message for people, - for one that has none.
func shownKey(r *status.Message) string {
	if r.Key == r.ID {
		return "-"
	}
	return r.Key
}

// parseMessageID reads the id of a message as receivers see it.
func parseMessageID(text string) (store.MessageID, error) {
	id, err := store.ParseMessageID(text)
	var input *store.InputError
	if errors.As(err, &input) {
		return id, usagef("%s", input.Reason)
	}
	return id, err
}

// findMessage returns the messages with an id, of all builds of its version. There is one at least.
func findMessage(ctx context.Context, from store.Outbox, id store.MessageID) ([]store.OutboxMessage, error) {
	found, err := from.Messages(ctx, store.MessagesRequest{Projection: id.Projection, ID: &id})
	if err == nil && len(found) == 0 {
		err = usagef("message %s is not in the outbox: it was sent and not kept, skipped, or never put there; "+
			"'pupwasm messages list' lists those that are", id)
	}
	return found, err
}
