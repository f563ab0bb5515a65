package jetstream

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/pupwasm/pupwasm/internal/oneline"
	"github.com/pupwasm/pupwasm/store"
)

// UnavailableError says that NATS did not do what it was asked for, and may do it later. What was sent may have been
// stored or not. It is a [store.ErrTransient].
type UnavailableError struct {
	Reason string // one line, without secrets
	err    error
}

// Error is the reason.
func (e *UnavailableError) Error() string { return e.Reason }

// Is makes it a [store.ErrTransient].
func (e *UnavailableError) Is(target error) bool { return target == store.ErrTransient }

// Unwrap returns the error of NATS.
func (e *UnavailableError) Unwrap() error { return e.err }

// tooLargeError says that a message has more bytes than the servers or the stream take.
type tooLargeError struct{ reason string }

// Error is what takes no more, and how many bytes it takes.
func (e *tooLargeError) Error() string { return e.reason }

// Numbers of errors of JetStream that the client library does not name.
const (
	codeNoPeers            = 10005
	codeSubjectsOverlap    = 10065
	codeReplicasOfOne      = 10074
	codeMessageHeaderLarge = 10097
)

// explain returns what an error of NATS means: ctx's own, [*tooLargeError], or [*UnavailableError].
func (c *connection) explain(ctx context.Context, err error) error {
	var api *natsjs.APIError
	isAPI := errors.As(err, &api)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, nats.ErrMaxPayload):
		return &tooLargeError{fmt.Sprintf("the servers take messages of at most %d bytes (max_payload), with headers",
			c.nats.MaxPayload())}
	case isAPI && api.ErrorCode == natsjs.JSErrCodeStreamMessageExceedsMaximum:
		return &tooLargeError{"the stream takes no message of that size (max_msg_size)"}
	case isAPI && api.ErrorCode == codeMessageHeaderLarge:
		return &tooLargeError{"JetStream takes headers of at most 64 KiB"}
	}
	return c.unavailable(err)
}

// isWrongSequence reports that a message was not stored because of what was stored before it.
func isWrongSequence(err error) bool {
	var api *natsjs.APIError
	return errors.As(err, &api) && (api.ErrorCode == natsjs.JSErrCodeStreamWrongLastSequence ||
		api.ErrorCode == natsjs.JSErrCodeStreamWrongLastSequenceConstant)
}

// unavailable says in a line why NATS does not do what it was asked for.
func (c *connection) unavailable(err error) *UnavailableError {
	var api *natsjs.APIError
	reason := c.plain(err)
	switch {
	case errors.As(err, &api):
		reason = "JetStream refuses it: " + c.plainText(api.Description)
	case !c.nats.IsConnected():
		reason = "it is not connected"
		if trouble := c.recent(); trouble != nil {
			reason += ": " + c.plain(trouble)
		}
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, natsjs.ErrNoStreamResponse):
		reason = "JetStream does not answer: either it is not enabled (jetstream in the configuration of nats-server), or the " +
			"servers have not chosen a leader yet"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, natsjs.ErrAsyncPublishTimeout), errors.Is(err, nats.ErrTimeout):
		reason = fmt.Sprintf("there was no answer within %s", c.timeout)
		if trouble := c.recent(); trouble != nil {
			reason += ": " + c.plain(trouble)
		}
	}
	return &UnavailableError{Reason: "NATS at " + c.servers.shown + ": " + reason, err: err}
}

// plain is the text of an error in one line, without secrets. It says what to do where that is for the user of NATS.
func (c *connection) plain(err error) string {
	text := strings.TrimPrefix(c.plainText(err.Error()), "nats: ")
	switch {
	case errors.Is(err, nats.ErrAuthorization):
		return text + ": check the user and the password, the token, or the credentials, and whether the servers know them"
	case errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked), errors.Is(err, nats.ErrAccountAuthExpired):
		return text + ": get new credentials for the user"
	case errors.Is(err, nats.ErrPermissionViolation):
		return text + ": give the user this right"
	}
	return text
}

func (c *connection) plainText(text string) string {
	for _, secret := range c.secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "…")
		}
	}
	return oneline.Text(text)
}
