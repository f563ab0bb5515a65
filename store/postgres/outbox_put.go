package postgres

import (
	"time"

	"github.com/pupwasm/pupwasm/store"
)

const (
	// messagesAtOnce and messageBytesAtOnce bound the messages of one statement. The server writes them while the next are
	// encoded.
	messagesAtOnce     = 2048
	messageBytesAtOnce = 4 << 20
)

var messageParams = []store.Type{text, i64, i64s, i64s, texts, texts, byteas, i64s, texts, byteas, texts, times}

// sendMessages puts messages into the outbox, behind the fence. Without messages it adds nothing.
func (p *pipeline) sendMessages(c *catalogue, params *parameters, id store.ProjectionID, messages []store.Message) {
	for send := p.send; len(messages) > 0; send = p.rebind {
		count, bytes := 0, 0
		for count < min(len(messages), messagesAtOnce) && (count == 0 || bytes < messageBytesAtOnce) {
			bytes += messages[count].Size()
			count++
		}
		send(&c.store.put, messageValues(params, id, messages[:count]))
		if messages = messages[count:]; len(messages) > 0 {
			p.flush()
		}
	}
}

// messageValues are the messages as arrays, one a column.
func messageValues(params *parameters, id store.ProjectionID, messages []store.Message) [][]byte {
	params.reset()
	params.add(messageParams[0], store.Text(id.Name))
	params.add(messageParams[1], store.I64(id.Number()))
	for column, part := range []func(*store.Message) store.Value{
		func(m *store.Message) store.Value { return store.I64(m.Position) },
		func(m *store.Message) store.Value { return store.I64(int64(m.Index)) },
		func(m *store.Message) store.Value { return store.Text(m.Type) },
		func(m *store.Message) store.Value { return store.Text(m.Subject) },
		func(m *store.Message) store.Value { return keyValue(m.Key) },
		func(m *store.Message) store.Value { return store.I64(int64(m.Spread)) },
		func(m *store.Message) store.Value { return store.Text(m.ContentType) },
		func(m *store.Message) store.Value { return keyValue(m.Data) },
		func(m *store.Message) store.Value { return store.Text(m.TraceParent) },
		func(m *store.Message) store.Value { return timeValue(m.Time) },
	} {
		params.addList(messageParams[2+column].Kind, len(messages), func(i int) store.Value { return part(&messages[i]) })
	}
	return params.values()
}

func timeValue(at time.Time) store.Value { return store.Timestamp(at.UnixMicro()) }
