package store

import (
	"fmt"
	"slices"
	"strings"
)

// MessageType is an entry of the catalogue of what a projection sends.
//
// The values of a message are a text for each name in braces of Subject, each name once, in the order in which they come
// first, and then the data: json where ContentType is application/json or ends with +json, text where it begins with
// text/, else bytes.
type MessageType struct {
	Name string `json:"name"`
	// Subject is what the message is about, and on NATS where it goes: tokens with dots between them, of letters, digits,
	// - and _, with names in braces, such as shop.orders.{customer}.paid. It begins with a letter.
	Subject     string     `json:"subject"`
	Type        string     `json:"type,omitempty"`         // as receivers know it; defaults to Name
	ContentType string     `json:"content_type,omitempty"` // of the data, none of CloudEvents; defaults to application/json
	Key         MessageKey `json:"key,omitempty"`          // defaults to MessageKeyPartition
}

// MessageKey says which messages are sent one after the other.
type MessageKey string

// The keys. Messages of different keys are sent in any order, at the same time.
const (
	// MessageKeyPartition is the partition key of the event: its messages are sent in order of position.
	MessageKeyPartition MessageKey = "partition"
	// MessageKeyAll is one key for all messages: only with [OrderGlobal].
	MessageKeyAll MessageKey = "all"
	// MessageKeyNone is a key for each message: none waits for another.
	MessageKeyNone MessageKey = "none"
)

// Bounds of a message.
const (
	SubjectBytesMax = 1024    // of a subject, with its values
	MessageBytesMax = 1 << 20 // of the data
	messageTextMax  = 200     // of a subject as it is declared, of a type and of a content type
	defaultContent  = "application/json"
)

// Content returns the content type of the data.
func (t *MessageType) Content() string {
	if t.ContentType == "" {
		return defaultContent
	}
	return t.ContentType
}

// TypeName returns the type as receivers know it.
func (t *MessageType) TypeName() string {
	if t.Type == "" {
		return t.Name
	}
	return t.Type
}

// KeyOrDefault returns what the messages are kept in order by.
func (t *MessageType) KeyOrDefault() MessageKey {
	if t.Key == "" {
		return MessageKeyPartition
	}
	return t.Key
}

// DataKind returns the kind of the data.
func (t *MessageType) DataKind() Kind {
	media, _, _ := strings.Cut(t.Content(), ";")
	media = strings.ToLower(strings.TrimSpace(media))
	switch {
	case media == defaultContent || strings.HasSuffix(media, "+json"):
		return KindJSON
	case strings.HasPrefix(media, "text/"):
		return KindText
	}
	return KindBytes
}

// Names returns the names in the subject, each once. The type must be valid.
func (t *MessageType) Names() (names []string) {
	rest := t.Subject
	for {
		_, after, found := strings.Cut(rest, "{")
		if !found {
			return names
		}
		name, after, _ := strings.Cut(after, "}")
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
		rest = after
	}
}

// Params returns the types of the values of a message. The type must be valid.
func (t *MessageType) Params() []Type {
	types := make([]Type, len(t.Names()), len(t.Names())+1)
	for i := range types {
		types[i] = Type{Kind: KindText}
	}
	return append(types, Type{Kind: t.DataKind()})
}

// ParamName names a value of a message, from 0.
func (t *MessageType) ParamName(i int) string {
	if names := t.Names(); i < len(names) {
		return names[i]
	}
	return "data"
}

// Fill returns the subject and the data of a message with these values, which are those of Params. The data belongs to
// the values. The type must be valid.
//
// # Errors
//
// The text says what is wrong with the values.
func (t *MessageType) Fill(values []Value) (subject string, data []byte, err error) {
	if subject, err = t.subject(values); err != nil {
		return "", nil, err
	}
	value := values[len(values)-1]
	switch data = value.Bytes(); {
	case value.IsNull():
		return "", nil, fmt.Errorf("message %q has no data", t.Name)
	case len(data) > MessageBytesMax:
		return "", nil, fmt.Errorf("message %q has %d bytes of data, the limit is %d", t.Name, len(data), MessageBytesMax)
	}
	return subject, data, nil
}

// subject fills the values in.
func (t *MessageType) subject(values []Value) (string, error) {
	names := t.Names()
	var out strings.Builder
	rest := t.Subject
	for {
		before, after, found := strings.Cut(rest, "{")
		out.WriteString(before)
		if !found {
			break
		}
		name, after, _ := strings.Cut(after, "}")
		value := values[slices.Index(names, name)]
		switch text := value.Bytes(); {
		case value.IsNull():
			return "", fmt.Errorf("message %q, %s: is null", t.Name, name)
		case out.Len()+len(text) > SubjectBytesMax: // a name may come often, so that much would be written
			return "", t.subjectTooLong()
		default:
			appendToken(&out, text)
		}
		rest = after
	}
	if out.Len() > SubjectBytesMax {
		return "", t.subjectTooLong()
	}
	return out.String(), nil
}

func (t *MessageType) subjectTooLong() error {
	return fmt.Errorf("message %q has a subject of more than %d bytes", t.Name, SubjectBytesMax)
}

// appendToken writes a text so that it is one token or a part of one, whatever it has: letters, digits, - and _ stand for
// themselves, other bytes are written as in a URL, and an empty text is %00, which no text can have.
func appendToken(out *strings.Builder, text []byte) {
	const digits = "0123456789ABCDEF"
	if len(text) == 0 {
		out.WriteString("%00")
	}
	for _, c := range text {
		if isSubjectByte(c) {
			out.WriteByte(c)
			continue
		}
		out.WriteByte('%')
		out.WriteByte(digits[c>>4])
		out.WriteByte(digits[c&15])
	}
}

func (p *Projection) validateMessages() error {
	for i := range p.Messages {
		m := &p.Messages[i]
		reason := m.validate(p.Order)
		switch {
		case slices.ContainsFunc(p.Messages[:i], func(other MessageType) bool { return other.Name == m.Name }),
			slices.ContainsFunc(p.Writes, func(w Write) bool { return w.Name == m.Name }):
			reason = "is declared twice"
		}
		if reason != "" {
			return &CatalogueError{Item: fmt.Sprintf("message %.60q", m.Name), Reason: reason}
		}
	}
	return nil
}

func (t *MessageType) validate(order Ordering) (reason string) {
	switch {
	case !isName(t.Name):
		return nameRule
	case len(t.Subject) > messageTextMax, len(t.Type) > messageTextMax, len(t.ContentType) > messageTextMax:
		return fmt.Sprintf("has a subject, type or content_type of more than %d bytes", messageTextMax)
	case t.Type != "" && !isPrintable(t.Type):
		return fmt.Sprintf("has type %.60q: use printable ASCII without blanks", t.Type)
	case !isMedia(t.Content()):
		return fmt.Sprintf("has content_type %.60q, which is none, such as application/json", t.ContentType)
	case isCloudEvent(t.Content()):
		return fmt.Sprintf("has content_type %.60q: the data would be taken for a CloudEvent, with an id and a source of its own; "+
			"say what the data is, such as application/json", t.ContentType)
	case t.Key != "" && t.Key != MessageKeyPartition && t.Key != MessageKeyAll && t.Key != MessageKeyNone:
		return fmt.Sprintf("has key %.20q, must be %s, %s or %s", string(t.Key), MessageKeyPartition, MessageKeyAll,
			MessageKeyNone)
	case t.Key == MessageKeyAll && order != OrderGlobal:
		return fmt.Sprintf("has key %q, which needs ordering %q: segments run at the same time", MessageKeyAll, OrderGlobal)
	}
	return t.validateSubject()
}

const subjectRule = "use tokens with single dots between them, each of letters, digits, - and _, with names in braces, " +
	"such as shop.orders.{customer}.paid; it begins with a letter"

// validateSubject reads the subject token by token.
func (t *MessageType) validateSubject() (reason string) {
	wrong := fmt.Sprintf("has subject %.60q: %s", t.Subject, subjectRule)
	if t.Subject == "" || !isLetter(t.Subject[0]) {
		return wrong
	}
	for token := range strings.SplitSeq(t.Subject, ".") {
		if token == "" {
			return wrong
		}
		for token != "" {
			if name, after, found := strings.Cut(strings.TrimPrefix(token, "{"), "}"); token[0] == '{' {
				if !found || !isName(name) || name == "data" {
					return wrong
				}
				token = after
				continue
			}
			if !isSubjectByte(token[0]) {
				return wrong
			}
			token = token[1:]
		}
	}
	return ""
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// isSubjectByte reports that a subject has a byte as it is.
func isSubjectByte(c byte) bool { return isLetter(c) || c >= '0' && c <= '9' || c == '-' || c == '_' }

func isPrintable(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}

// isMedia reports that a text is a media type, with parameters or without, which may be a header of HTTP.
func isMedia(text string) bool {
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		return false
	}
	media, _, _ := strings.Cut(text, ";")
	of, kind, found := strings.Cut(strings.TrimSpace(media), "/")
	return found && isToken(of) && isToken(kind)
}

// isCloudEvent reports that a media type is one of CloudEvents: HTTP receivers take a body with it for the whole event.
func isCloudEvent(media string) bool {
	return strings.HasPrefix(strings.ToLower(strings.TrimSpace(media)), "application/cloudevents")
}

// isToken reports that a text is a token of RFC 9110.
func isToken(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}
