package bundle

import (
	"encoding/json"
	"strings"

	"github.com/pupwasm/pupwasm/internal/eventline"
)

// within replaces the values at a path of valid JSON, and leaves everything else as it is written. The path nil is the
// whole text.
func (f *redaction) within(text []byte, path []string) []byte {
	if len(text) == 0 {
		return text
	}
	s := jsonScan{redaction: f, text: text, out: make([]byte, 0, len(text))}
	s.value(path, true)
	s.space()
	return s.out
}

// jsonScan copies valid JSON and replaces some of its values.
type jsonScan struct {
	*redaction
	text []byte // what is left
	out  []byte
}

// take copies n bytes.
func (s *jsonScan) take(n int) {
	s.out, s.text = append(s.out, s.text[:n]...), s.text[n:]
}

// space copies white space.
func (s *jsonScan) space() {
	n := 0
	for n < len(s.text) && strings.IndexByte(" \t\r\n", s.text[n]) >= 0 {
		n++
	}
	s.take(n)
}

// value copies a value. Where on is set, path leads on from it to what is replaced.
func (s *jsonScan) value(path []string, on bool) {
	s.space()
	s.found = s.found || on && len(path) == 0
	switch s.text[0] {
	case '{':
		s.members(path, on)
	case '[':
		s.elements(path, on)
	default:
		n := eventline.ValueLength(s.text)
		if on && len(path) == 0 {
			s.replace(s.text[:n])
			s.text = s.text[n:]
			return
		}
		s.take(n)
	}
}

func (s *jsonScan) members(path []string, on bool) {
	s.take(1)
	for s.space(); s.text[0] != '}'; s.space() {
		n := eventline.ValueLength(s.text)
		rest, leads := path, on
		if on && len(path) > 0 {
			var name string
			_ = json.Unmarshal(s.text[:n], &name) // it is valid
			rest, leads = path[1:], name == path[0]
		}
		s.take(n)
		s.space()
		s.take(1) // the colon
		s.value(rest, leads)
		s.space()
		if s.text[0] == ',' {
			s.take(1)
		}
	}
	s.take(1)
}

func (s *jsonScan) elements(path []string, on bool) {
	s.take(1)
	for s.space(); s.text[0] != ']'; s.space() {
		s.value(path, on)
		s.space()
		if s.text[0] == ',' {
			s.take(1)
		}
	}
	s.take(1)
}

// replace writes a value of the same type.
func (s *jsonScan) replace(value []byte) {
	switch value[0] {
	case '"':
		var plain string
		_ = json.Unmarshal(value, &plain) // it is valid
		s.values[plain] = Redacted
		s.out = append(s.out, `"`+Redacted+`"`...)
	case 't', 'f':
		s.out = append(s.out, "false"...)
	case 'n':
		s.out = append(s.out, "null"...)
	default:
		s.values[string(value)] = "0"
		s.out = append(s.out, '0')
	}
}
