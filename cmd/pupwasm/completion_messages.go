package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/pupwasm/pupwasm/store"
)

// The arguments of 'pupwasm messages' that the database knows.
var (
	anySender = argument{offer: offerSenders}
	messageOf = argument{offer: offerMessages}

	senderOrMessage = argument{offer: func(ctx context.Context, from store.Store, args []string) []cobra.Completion {
		return append(offerSenders(ctx, from, args), offerMessages(ctx, from, args)...)
	}}
)

// offerSenders offers projections that send messages.
func offerSenders(ctx context.Context, from store.Store, _ []string) (names []cobra.Completion) {
	all, _ := from.OutboxStatus(ctx)
	for i := range all {
		names = append(names, all[i].Projection)
	}
	return names
}

// offerMessages offers messages that could not be sent, the first of them.
func offerMessages(ctx context.Context, from store.Store, _ []string) (ids []cobra.Completion) {
	request := store.MessagesRequest{State: store.MessageFailed, Limit: messagesPage}
	failed, _ := from.Messages(ctx, request)
	for i := range failed {
		ids = append(ids, cobra.CompletionWithDesc(failed[i].MessageID.String(), printable(failed[i].Error)))
	}
	return ids
}
