package pup

// Message is the handle of one entry of the catalogue of messages. It is made by [NewMessage].
//
// A message leaves the database once its event is applied: it is put into the outbox in the transaction that writes the
// rows, and sent from there until the receiver has it. Each has an id of its event, by which a receiver tells that it has
// the message already. Only the version of the projection that readers see sends, and a rebuild sends nothing again.
type Message struct {
	change
	subject     string
	typeName    string
	contentType string
	key         MessageKey
}

// MessageKey says which messages of a projection are sent one after the other, in order of their events.
type MessageKey string

// The keys of messages. KeyPartition keeps the messages of one partition key in order (see [Projection].Partition).
// KeyAll keeps all of them in order, which only a projection with OrderGlobal can have. KeyNone lets each be sent by itself:
// one that the receiver does not take holds up no other.
const (
	KeyPartition MessageKey = "partition"
	KeyAll       MessageKey = "all"
	KeyNone      MessageKey = "none"
)

// NewMessage declares a message. It is listed in [Projection].Messages.
//
// The subject is what the message is about, and on NATS where it goes: tokens with dots between them, of letters, digits,
// - and _. It may have names in braces, for which each message has a text:
//
//	var paid = pup.NewMessage("order_paid", "shop.orders.{customer}.paid")
//
// Such a text may be any: in the subject, what would end a token or stand for others is written as %2E.
func NewMessage(name, subject string) *Message {
	m := &Message{subject: subject}
	m.change = change{origin: origin{"message", name}, list: "Messages", index: unregistered}
	m.declare()
	return m
}

// Type names the type of the message as receivers know it, such as com.example.order.paid. Defaults to the name. It
// returns the message.
func (m *Message) Type(name string) *Message {
	m.typeName = name
	return m
}

// ContentType says what the data is, as the header of that name in HTTP does. Defaults to application/json. The host
// refuses those of CloudEvents, such as application/cloudevents+json: a message is one, and has its data in it. It returns
// the message.
func (m *Message) ContentType(media string) *Message {
	m.contentType = media
	m.declare()
	return m
}

// Key says which messages are sent one after the other. Defaults to KeyPartition. It returns the message.
func (m *Message) Key(key MessageKey) *Message {
	m.key = key
	return m
}

// Send begins a message because of e, and returns a row for its values: a text for each name in braces of the subject,
// each name once, in the order in which they come first, and then the data.
//
//	paid.Send(out, e).Text(customer).JSON(data)
//
// The data is given by [Row.JSON] when the content type is application/json or ends with +json, by [Row.Text] when it
// begins with text/, and else by [Row.Bytes]. It has 1 MiB at most, and no value is NULL. The messages of an event are
// sent in the order in which they are begun, where they have one key.
func (m *Message) Send(out *Mutations, e Event) *Row {
	return out.begin(&m.change, e.index)
}

// declare derives the types of the values.
func (m *Message) declare() {
	m.params = m.params[:0]
	var names []string
	for rest := m.subject; ; {
		name, after, found := nextName(rest)
		if !found {
			break
		}
		known := false
		for _, other := range names {
			known = known || other == name
		}
		if !known {
			names = append(names, name)
			m.params = append(m.params, TypeText)
		}
		rest = after
	}
	m.params = append(m.params, dataType(m.contentType))
}

// nextName returns the first name in braces of a subject, and what follows it.
func nextName(subject string) (name, after string, found bool) {
	for start := range len(subject) {
		if subject[start] != '{' {
			continue
		}
		for end := start + 1; end < len(subject); end++ {
			if subject[end] == '}' {
				return subject[start+1 : end], subject[end+1:], true
			}
		}
		return subject[start+1:], "", true // the host refuses it
	}
	return "", "", false
}

// dataType returns the type of the data of a message, whose content type may have parameters.
func dataType(contentType string) Type {
	media := make([]byte, 0, len(contentType))
	for i := range len(contentType) {
		c := contentType[i]
		if c == ';' {
			break
		}
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != ' ' {
			media = append(media, c)
		}
	}
	const json, jsonSuffix, text = "application/json", "+json", "text/"
	name := string(media)
	switch {
	case contentType == "", name == json,
		len(name) >= len(jsonSuffix) && name[len(name)-len(jsonSuffix):] == jsonSuffix:
		return TypeJSON
	case len(name) >= len(text) && name[:len(text)] == text:
		return TypeText
	}
	return TypeBytes
}
