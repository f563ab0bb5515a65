package web

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/pupwasm/pupwasm/internal/oneline"
	"github.com/pupwasm/pupwasm/internal/status"
	"github.com/pupwasm/pupwasm/store"
)

const (
	// messagesMax is the most messages of an answer: each may have a megabyte of data, which is read with it.
	messagesMax     = 100
	messagesDefault = 20
)

// messages is the answer of /messages.
type messages struct {
	Messages []status.Message `json:"messages"`
}

var messageStates = []store.MessageState{
	"", store.MessagePending, store.MessageFailed, store.MessageSent, store.MessageHeld,
}

// messages lists the first messages of a projection: ?state=S, ?key=K and ?limit=N.
func (h *handler) messages(ctx context.Context, r *http.Request) (any, error) {
	query := r.URL.Query()
	request := store.MessagesRequest{
		Projection: r.PathValue("name"), State: store.MessageState(query.Get("state")), Limit: messagesDefault,
	}
	if !slices.Contains(messageStates, request.State) {
		return nil, &statusError{http.StatusBadRequest, fmt.Sprintf("state %.20q must be pending, failed, sent or held", request.State)}
	}
	var err error
	if text := query.Get("limit"); text != "" {
		if request.Limit, err = strconv.Atoi(text); err != nil || request.Limit < 1 || request.Limit > messagesMax {
			return nil, &statusError{http.StatusBadRequest, fmt.Sprintf("limit %.20q must be 1 to %d", text, messagesMax)}
		}
	}
	if text := query.Get("key"); text != "" {
		if request.Key, err = keyOf(text); err != nil {
			return nil, err
		}
	}
	found, err := h.Reader.tables.Messages(ctx, request)
	if err != nil {
		return nil, err
	}
	answer := messages{Messages: []status.Message{}}
	for i := range found {
		answer.Messages = append(answer.Messages, status.ReportMessage(&found[i]))
	}
	return answer, nil
}

// resendFailed has all messages of a projection sent again that could not be sent.
func (h *handler) resendFailed(ctx context.Context, r *http.Request) (any, error) {
	return h.resend(ctx, store.MessagesRequest{Projection: r.PathValue("name"), State: store.MessageFailed})
}

// resendOne has one message sent again.
func (h *handler) resendOne(ctx context.Context, r *http.Request) (any, error) {
	id, err := store.ParseMessageID(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return h.resend(ctx, store.MessagesRequest{Projection: id.Projection, ID: &id})
}

func (h *handler) resend(ctx context.Context, request store.MessagesRequest) (any, error) {
	resent, err := h.Reader.tables.Resend(ctx, request)
	if err != nil {
		return nil, err
	}
	h.Reader.changed()
	return done{fmt.Sprintf("%s to be sent again", oneline.Count(int64(resent), "message"))}, nil
}

// skipMessage deletes a message that is to be sent.
func (h *handler) skipMessage(ctx context.Context, r *http.Request) (any, error) {
	id, err := store.ParseMessageID(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	if err := h.Reader.tables.SkipMessage(ctx, id); err != nil {
		return nil, err
	}
	h.Reader.changed()
	return done{fmt.Sprintf("message %s is skipped", id)}, nil
}
