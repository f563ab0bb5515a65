package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/pupwasm/pupwasm/internal/status"
	"github.com/pupwasm/pupwasm/store"
)

type skipOptions struct {
	*globalOptions

	failed, all bool
	key         string
	yes         bool
}

func newMessagesSkipCommand(globals *globalOptions) *cobra.Command {
	opts := &skipOptions{globalOptions: globals}
	cmd := &cobra.Command{
		Use:   "skip ID | skip PROJECTION (--failed | --key KEY | --all)",
		Short: "Delete messages that are to be sent, for good",
		Long: `Delete messages that are to be sent, for good: one with this id, such as one that its receiver never takes, or those
of a projection that failed, of one key, or all. The later messages of their keys go on. What is put into the outbox
meanwhile stays. A relay that is sending a message at this moment may have sent it all the same.`,
		Example: `  pupwasm messages skip shop.v1.120.0 --yes
  pupwasm messages skip shop --failed --yes
  pupwasm messages skip shop --key A100 --yes
  pupwasm messages skip shop --all --yes`,
		Args: wantArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runMessagesSkip(cmd.Context(), opts, args[0])
		},
		ValidArgsFunction: completeArguments(globals, senderOrMessage),
	}
	flags := cmd.Flags()
	flags.BoolVar(&opts.failed, "failed", false, "those that could not be sent")
	flags.StringVar(&opts.key, "key", "", "only those of this `key`")
	flags.BoolVar(&opts.all, "all", false, "all that are to be sent")
	flags.BoolVar(&opts.yes, "yes", false, "confirm that the messages are never sent")
	opts.addJSON(flags, printsJSON)
	return cmd
}

func runMessagesSkip(ctx context.Context, opts *skipOptions, what string) error {
	some := opts.failed || opts.all || opts.key != ""
	id, notID := store.ParseMessageID(what)
	switch {
	case notID == nil && some:
		return usagef("--failed, --key and --all are for a projection: %s is one message", id)
	case notID == nil:
		return opts.skipOne(ctx, id)
	case !some:
		return usagef("say which messages of %s to skip: --failed, --key KEY or --all; or give the id of one, such as "+
			"shop.v1.120.0", printable(what))
	case opts.all && (opts.failed || opts.key != ""):
		return usagef("--all goes with neither --failed nor --key")
	}
	return opts.skipSome(ctx, what)
}

// skippedMessage is the JSON form of a message that was skipped.
type skippedMessage struct {
	ID      string `json:"id"`
	Subject string `json:"subject"`
	Key     string `json:"key"`
	Skipped bool   `json:"skipped"`
}

// skipOne skips the message with an id.
func (o *skipOptions) skipOne(ctx context.Context, id store.MessageID) error {
	if !o.yes {
		return usagef("the receivers of %s never get message %s then: say so with --yes", printable(id.Projection), id)
	}
	to, err := openStore(ctx, o.globalOptions)
	if err != nil {
		return err
	}
	defer to.Close()
	found, err := findMessage(ctx, to, id)
	if err != nil {
		return err
	}
	m := toSkip(found)
	if m == nil {
		return usagef("message %s is %s, and not to be sent", id, found[0].State)
	}
	switch skipped, err := skipMessage(ctx, to, id); {
	case err != nil:
		return err
	case !skipped:
		return fmt.Errorf("message %s was sent a moment ago", id)
	}
	if err := o.say("message %s is skipped%s", id, whatGoesOn(m)); err != nil {
		return err
	}
	return o.result(skippedMessage{ID: id.String(), Subject: m.Subject, Key: status.KeyText(m.Key), Skipped: true})
}

// toSkip returns the one that is to be sent, or nil.
func toSkip(found []store.OutboxMessage) *store.OutboxMessage {
	for i := range found {
		if slices.Contains(toBeSent, found[i].State) {
			return &found[i]
		}
	}
	return nil
}

// toBeSent are the states of messages that can be skipped.
var toBeSent = []store.MessageState{store.MessagePending, store.MessageFailed}

// skipMessage reports whether it has skipped a message: it may be gone since it was found, by a relay.
func skipMessage(ctx context.Context, to store.Outbox, id store.MessageID) (bool, error) {
	err := to.SkipMessage(ctx, id)
	var gone *store.InputError
	if errors.As(err, &gone) {
		return false, nil
	}
	return err == nil, err
}

// whatGoesOn says which messages have waited for one.
func whatGoesOn(m *store.OutboxMessage) string {
	switch {
	case string(m.Key) == m.MessageID.String(): // it has none
		return ""
	case len(m.Key) == 0: // that of all
		return ": later ones go on"
	}
	return ": later ones of key " + status.KeyText(m.Key) + " go on"
}

// skippedMessages is the JSON form of messages of a projection that were skipped.
type skippedMessages struct {
	Projection string `json:"projection"`
	Messages   int    `json:"messages"` // how many
}

// skipSome skips messages of a projection.
func (o *skipOptions) skipSome(ctx context.Context, projection string) error {
	request := store.MessagesRequest{Projection: projection}
	if o.key != "" {
		var err error
		if request.Key, err = parseKey(o.key); err != nil {
			return err
		}
	}
	if !o.yes {
		return usagef("the receivers of %s never get these messages then: say so with --yes", printable(projection))
	}
	to, err := openStore(ctx, o.globalOptions)
	if err != nil {
		return err
	}
	defer to.Close()
	if err := sender(ctx, to, projection); err != nil {
		return err
	}
	states := toBeSent
	if o.failed {
		states = []store.MessageState{store.MessageFailed}
	}
	skipped, err := skipAll(ctx, to, request, states)
	if err != nil {
		if skipped > 0 {
			err = fmt.Errorf("%s of %s skipped, then: %w", count(int64(skipped), "message"), printable(projection), err)
		}
		return err
	}
	if err := o.say("%s of %s skipped", count(int64(skipped), "message"), printable(projection)); err != nil {
		return err
	}
	return o.result(skippedMessages{Projection: projection, Messages: skipped})
}

// skipAll skips what is in these states now, and returns how many were. Those that wait behind one that failed go
// before it: nothing of them is sent meanwhile.
func skipAll(
	ctx context.Context, to store.Outbox, request store.MessagesRequest, states []store.MessageState,
) (skipped int, err error) {
	for _, state := range states {
		request.State = state
		var ids []store.MessageID
		_, err := eachMessage(ctx, to, request, func(m *store.OutboxMessage) {
			id := m.MessageID
			id.Projection = request.Projection // one text for all
			ids = append(ids, id)
		})
		if err != nil {
			return skipped, err
		}
		for _, id := range slices.Backward(ids) {
			done, err := skipMessage(ctx, to, id)
			if err != nil {
				return skipped, err
			}
			if done {
				skipped++
			}
		}
	}
	return skipped, nil
}
