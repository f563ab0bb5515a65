// Package eventline is the text of an event: a JSON object in one line, as commands print it and read it.
package eventline

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pupwasm/pupwasm/store"
)

// Line is an event that is to be appended.
type Line struct {
	Stream   store.Stream
	Expected store.Expected
	Event    store.Event // ID is zero when the line has none
}

// eventMembers are the members that a line may have, for the text of errors.
const eventMembers = "bounded_context, aggregate_type, aggregate_id, event_type, event_version, created_at, payload, " +
	"payload_base64, " +
	"metadata, event_id, expected_version, trace_id, correlation_id, causation_id"

// Decoder reads events from lines. It interns texts that repeat, such as types.
type Decoder struct {
	payloadMax int // bytes
	interned   map[string]string
}

// internedMax bounds the interned texts, for inputs where few repeat.
const internedMax = 10_000

// NewDecoder returns a decoder that refuses payloads of more than so many bytes.
func NewDecoder(payloadMax int) *Decoder {
	return &Decoder{interned: map[string]string{}, payloadMax: payloadMax}
}

// Decode reads one line, without blanks around it, and checks that a store can hold it. The result does not refer to
// text.
//
// It is stricter than encoding/json: members in another case, members given twice, unknown members and text
// that is not Unicode are errors.
func (d *Decoder) Decode(text []byte) (Line, error) {
	line := Line{Event: store.Event{Version: 1}}
	err := eachMember(text, func(name string, value []byte) error { return d.set(&line, name, value) })
	if err != nil {
		return line, err
	}
	return line, d.validate(&line)
}

func (d *Decoder) validate(line *Line) error {
	if err := line.Stream.Validate(); err != nil {
		return err
	}
	return line.Event.Validate(d.payloadMax)
}

// eachMember gives the members of an object to handle.
func eachMember(text []byte, handle func(name string, value []byte) error) error {
	if !json.Valid(text) {
		return describeSyntax(text)
	}
	if !utf8.Valid(text) {
		return errors.New("the line is not valid UTF-8")
	}
	if text[0] != '{' {
		return notAnObject(text)
	}
	seen := make([]string, 0, 16)
	for rest := text[1:]; ; {
		member, value, after := nextMember(rest)
		if member == nil {
			return nil
		}
		rest = after
		name := string(member)
		for _, s := range seen {
			if s == name {
				return fmt.Errorf("member %s is given twice", name)
			}
		}
		seen = append(seen, name)
		if err := handle(name, value); err != nil {
			return err
		}
	}
}

// set stores one member. null means that a member is missing, except for the payload, where it is a JSON value.
func (d *Decoder) set(line *Line, name string, value []byte) (err error) {
	if bytes.Equal(value, []byte("null")) && name != "payload" {
		return checkMember(name)
	}
	switch name {
	case "bounded_context":
		line.Stream.BoundedContext, err = d.text(value)
	case "aggregate_type":
		line.Stream.AggregateType, err = d.text(value)
	case "aggregate_id":
		line.Stream.AggregateID, err = decodeText(value)
	case "event_type":
		line.Event.Type, err = d.text(value)
	case "event_version":
		line.Event.Version, err = decodeEventVersion(value)
	case "event_id":
		line.Event.ID, err = decodeID(value)
	case "expected_version":
		line.Expected, err = decodeExpected(value)
	case "created_at":
		line.Event.CreatedAt, err = decodeTime(value)
	case "payload", "payload_base64":
		if line.Event.Payload != nil {
			return errors.New("payload and payload_base64 are both given, one event has one payload")
		}
		if line.Event.Payload, err = bytes.Clone(value), nil; name != "payload" {
			line.Event.Payload, err = decodeBase64(value)
		}
	case "metadata":
		line.Event.Metadata = bytes.Clone(value)
	case "trace_id":
		line.Event.TraceID, err = decodeText(value)
	case "correlation_id":
		line.Event.CorrelationID, err = decodeText(value)
	case "causation_id":
		line.Event.CausationID, err = decodeText(value)
	default:
		return checkMember(name)
	}
	if err != nil {
		return fmt.Errorf("%s %w", name, err)
	}
	return nil
}

// checkMember refuses unknown names, which are most likely typing errors. It accepts the members of an export
// that the log assigns itself.
func checkMember(name string) error {
	switch name {
	case "global_position", "aggregate_version":
		return nil
	}
	for _, known := range strings.Split(eventMembers, ", ") {
		if name == known {
			return nil
		}
	}
	return fmt.Errorf("member %q is not known: an event has %s", name, eventMembers)
}

// text decodes a string that is likely to come again.
func (d *Decoder) text(value []byte) (string, error) {
	if known, ok := d.interned[string(value)]; ok {
		return known, nil
	}
	text, err := decodeText(value)
	if err == nil && len(d.interned) < internedMax {
		d.interned[string(value)] = text
	}
	return text, err
}

// nextMember returns the next member of a valid JSON object and what comes after it; member is nil at the
// object's end.
func nextMember(text []byte) (member, value, rest []byte) {
	start := bytes.IndexByte(text, '"')
	if start < 0 {
		return nil, nil, nil
	}
	if end := bytes.IndexByte(text, '}'); end >= 0 && end < start {
		return nil, nil, nil
	}
	nameEnd := start + stringLength(text[start:])
	name := text[start+1 : nameEnd-1]
	if bytes.IndexByte(name, '\\') >= 0 {
		if unescaped, err := decodeText(text[start:nameEnd]); err == nil {
			name = []byte(unescaped)
		}
	}
	value = bytes.TrimLeft(text[nameEnd:], " \t\r\n:")
	length := ValueLength(value)
	return name, value[:length], value[length:]
}

// stringLength returns the length of the JSON string that valid JSON text begins with, with its quotes.
func stringLength(text []byte) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(text)
}

// ValueLength returns the length of the value that valid JSON text begins with.
func ValueLength(text []byte) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			i += stringLength(text[i:]) - 1
		case '{', '[':
			depth++
			continue
		case '}', ']':
			if depth == 0 {
				return i
			}
			depth--
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
			continue
		default:
			continue
		}
		if depth == 0 {
			return i + 1
		}
	}
	return len(text)
}

func decodeText(value []byte) (string, error) {
	if value[0] != '"' {
		return "", fmt.Errorf("is %s, must be a string", kindOf(value))
	}
	if bytes.IndexByte(value, '\\') < 0 {
		return string(value[1 : len(value)-1]), nil
	}
	if store.HasLoneSurrogate(value) {
		return "", errors.New(`has half of a surrogate pair (\ud800 to \udfff), which is no character`)
	}
	var text string
	if err := json.Unmarshal(value, &text); err != nil {
		return "", err
	}
	return text, nil
}

func decodeInteger(value []byte) (int64, error) {
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("is %s, must be a whole number", shorten(value))
	}
	return n, nil
}

func decodeEventVersion(value []byte) (int32, error) {
	n, err := decodeInteger(value)
	if err == nil && (n < 1 || n > math.MaxInt32) {
		err = fmt.Errorf("is %d, must be from 1 to %d", n, math.MaxInt32)
	}
	return int32(n), err
}

func decodeExpected(value []byte) (store.Expected, error) {
	n, err := decodeInteger(value)
	if err == nil && n < -1 {
		err = fmt.Errorf("is %d, must be the version of the stream before the event, 0 for a new stream or -1 for any", n)
	}
	return store.ExpectedFromCode(n), err
}

func decodeID(value []byte) (store.UUID, error) {
	text, err := decodeText(value)
	if err != nil {
		return store.UUID{}, err
	}
	id, err := store.ParseUUID(text)
	if err != nil {
		return store.UUID{}, fmt.Errorf("is %s: %w", shorten(value), err)
	}
	if id == (store.UUID{}) {
		return store.UUID{}, errors.New("is the UUID of zeros, which means no id: leave it out")
	}
	return id, nil
}

func decodeTime(value []byte) (time.Time, error) {
	text, err := decodeText(value)
	if err != nil {
		return time.Time{}, err
	}
	at, err := ParseTime(text)
	if err != nil {
		return time.Time{}, fmt.Errorf("is %s, %w", shorten(value), err)
	}
	return at, nil
}

func decodeBase64(value []byte) ([]byte, error) {
	text, err := decodeText(value)
	if err != nil {
		return nil, err
	}
	payload, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("is not base64 (%w)", err)
	}
	return payload, nil
}

// ErrCutOff says that a line has only the beginning of JSON: a half-written file, or JSON over several lines.
var ErrCutOff = errors.New("not valid JSON: the line ends before the event does: an event is one line, or an element " +
	"of an array")

func describeSyntax(text []byte) error {
	var value json.RawMessage
	err := json.Unmarshal(text, &value)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) && syntax.Offset == int64(len(text)) &&
		strings.HasPrefix(syntax.Error(), "unexpected end") {
		return ErrCutOff
	}
	if errors.As(err, &syntax) {
		return fmt.Errorf("not valid JSON at byte %d: %w", syntax.Offset, syntax)
	}
	return fmt.Errorf("not valid JSON: %w", err)
}

func notAnObject(text []byte) error {
	if text[0] == '[' {
		return errors.New("an array, where an event is a JSON object: arrays of events are read from an input that begins " +
			"with [")
	}
	return fmt.Errorf("%s, where an event is a JSON object", kindOf(text))
}

// kindOf names the kind of a JSON value.
func kindOf(value []byte) string {
	switch value[0] {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

// shorten cuts a value that an error quotes.
func shorten(value []byte) string {
	const most = 60
	if len(value) <= most {
		return string(value)
	}
	end := most
	for end > 0 && !utf8.RuneStart(value[end]) {
		end--
	}
	return string(value[:end]) + "…"
}
