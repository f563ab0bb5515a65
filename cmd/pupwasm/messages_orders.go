package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/pupwasm/pupwasm/store"
)

type resendOptions struct {
	*globalOptions

	failed, sent bool
	key          string
}

func newMessagesResendCommand(globals *globalOptions) *cobra.Command {
	opts := &resendOptions{globalOptions: globals}
	cmd := &cobra.Command{
		Use:   "resend ID | resend PROJECTION (--failed | --sent | --key KEY)",
		Short: "Send messages again",
		Long: `Have messages sent as soon as may be: one with this id, or those of a projection that failed, of all keys or of one. With
--sent those are sent again that were sent and are kept (see --publish-keep of 'pupwasm run').

A message that is sent again has the same id, by which receivers know it. NATS JetStream leaves it out within the
duplicate window of its stream, and later when the last message on the subject is this one or a later one of its key.
Otherwise it gets the message again, as others do. Messages of versions that are not live are left alone.`,
		Example: `  pupwasm messages resend shop.v1.120.0
  pupwasm messages resend shop --failed
  pupwasm messages resend shop --key A100
  pupwasm messages resend shop --sent --key A100`,
		Args: wantArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runMessagesResend(cmd.Context(), opts, args[0])
		},
		ValidArgsFunction: completeArguments(globals, senderOrMessage),
	}
	flags := cmd.Flags()
	flags.BoolVar(&opts.failed, "failed", false, "those that could not be sent")
	flags.BoolVar(&opts.sent, "sent", false, "those that were sent and are kept")
	flags.StringVar(&opts.key, "key", "", "only those of this `key`")
	opts.addJSON(flags, printsJSON)
	return cmd
}

// request selects what is to be sent again.
func (o *resendOptions) request(what string) (request store.MessagesRequest, err error) {
	id, notID := store.ParseMessageID(what)
	switch {
	case notID == nil && (o.failed || o.sent || o.key != ""):
		return request, usagef("--failed, --sent and --key are for a projection: %s is one message", id)
	case notID == nil:
		return store.MessagesRequest{Projection: id.Projection, ID: &id}, nil
	case !o.failed && !o.sent && o.key == "":
		return request, usagef("say which messages of %s to send again: --failed, --sent or --key KEY; or give the id of one, such "+
			"as shop.v1.120.0", printable(what))
	}
	request = store.MessagesRequest{Projection: what, State: store.MessageFailed}
	switch {
	case o.sent && o.failed:
		request.State = ""
	case o.sent:
		request.State = store.MessageSent
	}
	if o.key != "" {
		request.Key, err = parseKey(o.key)
	}
	return request, err
}

// resendReport is the JSON form of what is sent again.
type resendReport struct {
	Projection string `json:"projection"`
	Resent     int    `json:"resent"`          // how many messages are sent as soon as may be
	Waits      string `json:"waits,omitempty"` // why nobody sends them yet: no relay
}

func runMessagesResend(ctx context.Context, opts *resendOptions, what string) error {
	request, err := opts.request(what)
	if err != nil {
		return err
	}
	to, err := openStore(ctx, opts.globalOptions)
	if err != nil {
		return err
	}
	defer to.Close()
	if request.ID == nil {
		err = sender(ctx, to, request.Projection)
	} else {
		err = resendable(ctx, to, *request.ID)
	}
	if err != nil {
		return err
	}
	resent, err := to.Resend(ctx, request)
	if err != nil {
		return err
	}
	report := resendReport{Projection: request.Projection, Resent: resent}
	if err := opts.say("%s of %s to be sent again", count(int64(resent), "message"), printable(request.Projection)); err != nil {
		return err
	}
	if report.Waits, err = opts.waits(ctx, to, request.Projection); err != nil {
		return err
	}
	return opts.result(report)
}

// resendable refuses a message that cannot be sent again.
func resendable(ctx context.Context, from store.Outbox, id store.MessageID) error {
	found, err := findMessage(ctx, from, id)
	if err != nil {
		return err
	}
	for i := range found {
		if found[i].State != store.MessageHeld {
			return nil
		}
	}
	return usagef("message %s is held, since its version is not live: 'pupwasm promote' decides about it", id)
}

// waits says when nobody sends messages of a projection, and why.
func (o *globalOptions) waits(ctx context.Context, from store.Outbox, projection string) (string, error) {
	found, err := from.OutboxStatus(ctx, projection)
	if err != nil || len(found) == 0 || found[0].Pending == 0 || found[0].Live {
		return "", err
	}
	return "no relay", o.say("nobody sends them before a host runs with --publish")
}
