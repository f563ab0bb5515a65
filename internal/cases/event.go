package cases

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pupwasm/pupwasm/internal/eventline"
	"github.com/pupwasm/pupwasm/internal/settings"
	"github.com/pupwasm/pupwasm/internal/trial"
	"github.com/pupwasm/pupwasm/store"
)

// firstTime is a second before the first event that has no time of its own.
var firstTime = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// texts are the members of an event that are texts, with quotes or without.
var texts = []string{
	"bounded_context", "aggregate_type", "aggregate_id", "event_type", "event_id", "created_at", "payload_base64",
	"trace_id", "correlation_id", "causation_id",
}

// events reads the events of a case.
type events struct {
	reader   *reader
	defaults *settings.Map
	log      *trial.Recorder
	all      []store.RecordedEvent
}

// read reads a list of events, or the name of a file that has them. nil has none.
func (e *events) read(m *settings.Member) {
	switch {
	case m == nil || m.Kind == settings.Empty:
	case m.Kind == settings.Section:
		e.event(m)
	case m.Kind == settings.Scalar:
		e.file(m)
	default:
		for i := range m.List {
			if element := &m.List[i]; element.Kind == settings.List || element.Kind == settings.Empty {
				e.reader.fail(element.Value, "an event must have members such as \"event_type: Paid\", it is %s", element.Shown())
			} else {
				e.read(element)
			}
		}
	}
}

// event reads an event, which has the members that 'pupwasm append' reads, and stream.
func (e *events) event(m *settings.Member) {
	line := append([]byte(nil), '{')
	seen := map[string]bool{}
	for _, members := range []*settings.Map{m.Map, e.defaults} {
		if members == nil {
			continue
		}
		for i := range members.Members {
			member := &members.Members[i]
			var err error
			if line, err = appendMember(line, member, seen); err != nil {
				e.reader.fail(member.Value, "%s", err)
				return
			}
		}
	}
	line = append(bytes.TrimSuffix(line, []byte(",")), '}')
	decoded, err := eventline.NewDecoder(store.PayloadBytesMax).Decode(line)
	if err != nil {
		e.reader.fail(m.Value, "the event: %s", err)
		return
	}
	e.record(decoded)
}

// appendMember writes a member with a comma behind it, unless there is one of the same meaning.
func appendMember(line []byte, m *settings.Member, seen map[string]bool) ([]byte, error) {
	add := func(name, value string) {
		if !seen[name] {
			seen[name] = true
			line = append(append(append(eventline.AppendText(line, name), ':'), value...), ',')
		}
	}
	text := func(s string) string { return string(eventline.AppendText(nil, s)) }
	switch {
	case m.Name == "stream":
		stream, ok := eventline.ParseStream(m.Text)
		if m.Kind != settings.Scalar || !ok {
			return line, fmt.Errorf("stream must be CONTEXT/TYPE/ID, it is %s", m.Shown())
		}
		add("bounded_context", text(stream.BoundedContext))
		add("aggregate_type", text(stream.AggregateType))
		add("aggregate_id", text(stream.AggregateID))
	case slices.Contains(texts, m.Name) && m.Kind == settings.Scalar:
		add(m.Name, text(m.Text))
	default:
		add(m.Name, string(appendJSON(nil, m)))
	}
	return line, nil
}

// record gives an event its place in the log.
func (e *events) record(line eventline.Line) {
	n := e.log.Events() + 1
	if line.Event.CreatedAt.IsZero() {
		line.Event.CreatedAt = firstTime.Add(time.Duration(n) * time.Second)
	}
	if line.Event.ID == (store.UUID{}) {
		binary.BigEndian.PutUint64(line.Event.ID[8:], uint64(n))
	}
	e.all = append(e.all, e.log.Record(line.Stream, line.Event))
}

// New makes a case of events. Those without a time or an id get one, the same each time.
func New(name string, place settings.Place, given, when []eventline.Line) *Case {
	e := &events{log: &trial.Recorder{}}
	for _, line := range slices.Concat(given, when) {
		e.record(line)
	}
	return &Case{Name: name, Place: place, Events: e.all, Given: len(given)}
}

// file reads a file of events, which is beside the file of cases unless its path is absolute.
func (e *events) file(m *settings.Member) {
	path := m.Text
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(e.reader.path), path)
	}
	lines, err := ReadEvents(path)
	if err != nil {
		e.reader.fail(m.Value, "%s", err)
		return
	}
	for _, line := range lines {
		e.record(line)
	}
}

// eventsBytesMax bounds the events of a file, which are in memory.
const eventsBytesMax = 128 << 20

// ReadEvents reads a file of events, in the format of 'pupwasm append'.
//
// # Errors
//
// One that names the file and the line.
func ReadEvents(path string) (all []eventline.Line, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %s", path, reasonOf(err))
	}
	defer file.Close()
	lines, err := eventline.NewReader(file, store.PayloadBytesMax)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	decoder := eventline.NewDecoder(store.PayloadBytesMax)
	for bytes := 0; ; {
		text, err := lines.Next()
		if bytes += len(text); bytes > eventsBytesMax {
			return nil, fmt.Errorf("%s: has more than %d MiB of events, which is too much for a fixture", path, eventsBytesMax>>20)
		}
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		var line eventline.Line
		if err == nil {
			line, err = decoder.Decode(text)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", lines.Place(path, lines.Number, lines.Line), err)
		}
		all = append(all, line)
	}
}

// reasonOf is the reason of an error that has a path in it.
func reasonOf(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}

// appendJSON writes a value as JSON. A plain scalar is a number, true or false where JSON reads it so, and otherwise a
// text.
func appendJSON(dst []byte, m *settings.Member) []byte {
	switch m.Kind {
	case settings.Empty:
		return append(dst, "null"...)
	case settings.List:
		dst = append(dst, '[')
		for i := range m.List {
			dst = append(appendJSON(dst, &m.List[i]), ',')
		}
		return append(bytes.TrimSuffix(dst, []byte(",")), ']')
	case settings.Section:
		dst = append(dst, '{')
		for i := range m.Map.Members {
			dst = append(eventline.AppendText(dst, m.Map.Members[i].Name), ':')
			dst = append(appendJSON(dst, &m.Map.Members[i]), ',')
		}
		return append(bytes.TrimSuffix(dst, []byte(",")), '}')
	}
	if m.Plain && isWord(m.Text) {
		return append(dst, m.Text...)
	}
	return eventline.AppendText(dst, m.Text)
}

// isWord reports whether a text is a number, true or false in JSON.
func isWord(text string) bool {
	return json.Valid([]byte(text)) && text[0] != '"' && text[0] != '{' && text[0] != '[' &&
		strings.TrimSpace(text) == text && text != "null"
}
