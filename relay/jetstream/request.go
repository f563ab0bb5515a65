package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
)

// storedMessage is a message of a stream.
type storedMessage struct {
	Subject  string
	Sequence uint64
	Header   nats.Header
	Data     []byte
	Time     time.Time // when it was stored, by the clock of the server
}

// storedRequest says which message of a stream is wanted.
type storedRequest struct {
	Sequence uint64 `json:"seq,omitempty"`
	LastOf   string `json:"last_by_subj,omitempty"` // the last one of this subject
}

// stored asks the leader of a stream for a message. The client library would ask any replica of a stream that allows it,
// and one that is behind does not have what was stored last.
//
// # Errors
//
// [natsjs.ErrMsgNotFound]; those of explain.
func (c *connection) stored(ctx context.Context, stream string, wanted storedRequest) (*storedMessage, error) {
	within, cancel := c.within(ctx)
	defer cancel()
	question, err := json.Marshal(wanted)
	if err != nil {
		return nil, err
	}
	answer, err := c.nats.RequestWithContext(within, "$JS.API.STREAM.MSG.GET."+stream, question)
	if err != nil {
		return nil, c.explain(ctx, err)
	}
	var read struct {
		Error   *natsjs.APIError `json:"error"`
		Message *struct {
			Subject  string    `json:"subject"`
			Sequence uint64    `json:"seq"`
			Header   []byte    `json:"hdrs"`
			Data     []byte    `json:"data"`
			Time     time.Time `json:"time"`
		} `json:"message"`
	}
	if err := json.Unmarshal(answer.Data, &read); err != nil {
		return nil, c.unavailable(err)
	}
	switch {
	case read.Error != nil && read.Error.ErrorCode == natsjs.JSErrCodeMessageNotFound:
		return nil, natsjs.ErrMsgNotFound
	case read.Error != nil:
		return nil, c.explain(ctx, read.Error)
	case read.Message == nil:
		return nil, c.unavailable(errors.New("the answer has no message"))
	}
	message := read.Message
	m := &storedMessage{Subject: message.Subject, Sequence: message.Sequence, Data: message.Data, Time: message.Time}
	if len(message.Header) > 0 {
		if m.Header, err = nats.DecodeHeadersMsg(message.Header); err != nil {
			return nil, c.unavailable(err)
		}
	}
	return m, nil
}
