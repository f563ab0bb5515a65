package puptest

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	pup "github.com/pupwasm/pupwasm/guest-sdk"
	"github.com/pupwasm/pupwasm/guest-sdk/internal/catalogue"
)

// mutation is one decoded change, or what becomes a message.
type mutation struct {
	write   *catalogue.Write       // nil for a message
	message *catalogue.MessageType // nil for a write
	event   int
	values  []any
}

// String names what the mutation is of.
func (m *mutation) String() string {
	if m.message != nil {
		return fmt.Sprintf("message %q", m.message.Name)
	}
	return fmt.Sprintf("write %q", m.write.Name)
}

// decodeReply checks a reply as the host does. A reply with an error gives that error.
func decodeReply(d *description, reply []byte, events []event) ([]mutation, *pup.Error, error) {
	if len(reply) < 24 || binary.LittleEndian.Uint32(reply) != 0x52505550 || binary.LittleEndian.Uint16(reply[4:]) != 1 {
		return nil, nil, fmt.Errorf("the reply has no header")
	}
	status, count := binary.LittleEndian.Uint16(reply[6:]), binary.LittleEndian.Uint32(reply[8:])
	code, size := binary.LittleEndian.Uint32(reply[12:]), binary.LittleEndian.Uint32(reply[16:])
	body := reply[24:]
	if int(size) != len(body) {
		return nil, nil, fmt.Errorf("the reply says that %d bytes follow, there are %d", size, len(body))
	}
	if status == 1 {
		return nil, &pup.Error{Event: int(int32(count)), Code: code, Message: string(body)}, checkValue(string(body))
	}
	mutations := make([]mutation, 0, count)
	for range count {
		m, rest, err := decodeMutation(d, body, events)
		if err != nil {
			return nil, nil, err
		}
		mutations = append(mutations, m)
		body = rest
	}
	if len(body) > 0 {
		return nil, nil, fmt.Errorf("%d bytes follow the last mutation", len(body))
	}
	return mutations, nil, nil
}

func decodeMutation(d *description, body []byte, events []event) (mutation, []byte, error) {
	if len(body) < 8 {
		return mutation{}, nil, fmt.Errorf("a mutation is cut off")
	}
	index, width := int(binary.LittleEndian.Uint16(body)), int(binary.LittleEndian.Uint16(body[2:]))
	m := mutation{event: int(binary.LittleEndian.Uint32(body[4:]))}
	body = body[8:]
	var types []byte
	switch sent := index - len(d.Writes); {
	case sent >= len(d.Messages):
		return mutation{}, nil, fmt.Errorf("a mutation has write %d, there are %d and %d messages", index, len(d.Writes),
			len(d.Messages))
	case sent >= 0:
		m.message = &d.Messages[sent]
		types = kinds(m.message.Params())
	default:
		m.write = &d.Writes[index]
		types = kinds(d.Parameters(m.write))
	}
	if m.event >= len(events) {
		return mutation{}, nil, fmt.Errorf("%s: event %d of %d", &m, m.event, len(events))
	}
	if width != len(types) {
		return mutation{}, nil, fmt.Errorf("%s has %d values, declared are %d", &m, width, len(types))
	}
	for _, kind := range types {
		value, rest, err := decodeValue(body, kind)
		if err != nil {
			return mutation{}, nil, fmt.Errorf("%s: %w", &m, err)
		}
		m.values = append(m.values, value)
		body = rest
	}
	if m.message == nil {
		if err := d.checkMutation(&m, &events[m.event]); err != nil {
			return mutation{}, nil, err
		}
	}
	return m, body, nil
}

// format writes a mutation as "0 count user_id=u1 events=1": event, write or message, values.
func (m *mutation) format(d *description) string {
	name, names := d.names(m)
	parts := []string{fmt.Sprint(m.event), name}
	for i, value := range m.values {
		parts = append(parts, names[i]+"="+format(value))
	}
	return strings.Join(parts, " ")
}

// checkValue checks what the host checks of a value.
func checkValue(value any) error {
	switch v := value.(type) {
	case string:
		if !utf8.ValidString(v) || strings.ContainsRune(v, 0) {
			return fmt.Errorf("text %q is not UTF-8 without NUL", v)
		}
	case json.RawMessage:
		if !json.Valid(v) || !utf8.Valid(v) {
			return fmt.Errorf("%q is not JSON", []byte(v))
		}
	case Numeric:
		if _, _, err := catalogue.ParseNumeric([]byte(v)); err != nil {
			return fmt.Errorf("%q: %w", string(v), err)
		}
	}
	return nil
}
