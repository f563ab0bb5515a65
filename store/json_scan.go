package store

import (
	"encoding/binary"
	"math/bits"
)

// jsonDepthMax is how deep JSON text may nest, as in encoding/json.
const jsonDepthMax = 10_000

// jsonScanner reads JSON text that nobody vouches for, as far as it is asked to. It neither allocates nor decodes.
// After an error it is broken: at is where, and what it returns has no meaning.
type jsonScanner struct {
	text   []byte
	at     int
	depth  int
	broken bool
}

// peek returns the next byte, or 0 at the end, which JSON does not have anywhere.
func (s *jsonScanner) peek() byte {
	if s.at < len(s.text) {
		return s.text[s.at]
	}
	return 0
}

func (s *jsonScanner) space() {
	for s.at < len(s.text) && isJSONSpace(s.text[s.at]) {
		s.at++
	}
}

func isJSONSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

// take reads one byte, which has to be c.
func (s *jsonScanner) take(c byte) bool {
	if s.broken || s.peek() != c {
		s.broken = true
		return false
	}
	s.at++
	return true
}

// member goes into the object that is next, up to the value of its first member of that name, or behind the object
// when it has none.
func (s *jsonScanner) member(name string) bool {
	if !s.enter() {
		return false
	}
	if s.peek() == '}' {
		s.at++
		return false
	}
	for {
		raw, escaped := s.name()
		if s.broken {
			return false
		}
		if sameName(raw, escaped, name) {
			return true
		}
		s.value()
		if !s.another('}') {
			return false
		}
	}
}

// name reads the name of a member and what is around it, up to its value.
func (s *jsonScanner) name() (raw []byte, escaped bool) {
	raw, escaped = s.string()
	s.space()
	s.take(':')
	s.space()
	return raw, escaped
}

// enter goes into the object or array that is next.
func (s *jsonScanner) enter() bool {
	if s.depth == jsonDepthMax {
		s.broken = true
		return false
	}
	s.depth++
	s.at++
	s.space()
	return true
}

// another goes behind a comma, or behind the end of the object or array, where it returns false.
func (s *jsonScanner) another(end byte) bool {
	s.space()
	if !s.broken && s.peek() == end {
		s.at++
		s.depth--
		return false
	}
	more := s.take(',')
	s.space()
	return more
}

// value reads any value.
func (s *jsonScanner) value() {
	switch s.peek() {
	case '"':
		s.string()
	case '{':
		if s.enter() && s.peek() != '}' {
			for s.name(); !s.broken; s.name() {
				if s.value(); !s.another('}') {
					return
				}
			}
			return
		}
		s.leave('}')
	case '[':
		if s.enter() && s.peek() != ']' {
			for s.value(); s.another(']'); s.value() {
			}
			return
		}
		s.leave(']')
	case 't':
		s.literal("true")
	case 'f':
		s.literal("false")
	case 'n':
		s.literal("null")
	default:
		s.number()
	}
}

// leave ends an object or array that has nothing in it.
func (s *jsonScanner) leave(end byte) {
	if s.take(end) {
		s.depth--
	}
}

// string reads a string and returns what is between its quotes, and whether there are escapes in it.
func (s *jsonScanner) string() (raw []byte, escaped bool) {
	if !s.take('"') {
		return nil, false
	}
	start := s.at
	for s.plain() {
		switch c := s.text[s.at]; {
		case c == '"':
			s.at++
			return s.text[start : s.at-1 : s.at-1], escaped
		case c == '\\' && s.escape():
			escaped = true
		default:
			s.broken = true
			return nil, false
		}
	}
	s.broken = true
	return nil, false
}

// plain goes to the next byte of a string that is a quote, a backslash or a control character, eight at a time, or
// returns false.
func (s *jsonScanner) plain() bool {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	rest := s.text[s.at:]
	for len(rest) >= 8 {
		// A byte below what is subtracted borrows, so that its high bit is set; others above it may be, so the
		// lowest counts.
		word := binary.LittleEndian.Uint64(rest)
		quote, backslash := word^('"'*ones), word^('\\'*ones)
		found := (word - ' '*ones) & ^word
		found |= (quote - ones) & ^quote
		found |= (backslash - ones) & ^backslash
		if found &= highs; found != 0 {
			s.at += bits.TrailingZeros64(found) / 8
			return true
		}
		rest = rest[8:]
		s.at += 8
	}
	for _, c := range rest {
		if c == '"' || c == '\\' || c < ' ' {
			return true
		}
		s.at++
	}
	return false
}

// escape reads a backslash and what belongs to it.
func (s *jsonScanner) escape() bool {
	if s.at+1 >= len(s.text) {
		return false
	}
	switch s.text[s.at+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.at += 2
		return true
	case 'u':
		if s.at+6 > len(s.text) {
			return false
		}
		for _, c := range s.text[s.at+2 : s.at+6] {
			if hexValue(c) > 15 {
				return false
			}
		}
		s.at += 6
		return true
	}
	return false
}

func (s *jsonScanner) literal(word string) {
	if len(s.text)-s.at < len(word) || string(s.text[s.at:s.at+len(word)]) != word {
		s.broken = true
		return
	}
	s.at += len(word)
	s.delimiter()
}

func (s *jsonScanner) number() {
	if s.peek() == '-' {
		s.at++
	}
	if s.peek() == '0' {
		s.at++
	} else {
		s.digits()
	}
	if s.peek() == '.' {
		s.at++
		s.digits()
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.at++
		if c := s.peek(); c == '+' || c == '-' {
			s.at++
		}
		s.digits()
	}
	s.delimiter()
}

// digits reads one digit or more.
func (s *jsonScanner) digits() {
	start := s.at
	for c := s.peek(); c >= '0' && c <= '9'; c = s.peek() {
		s.at++
	}
	s.broken = s.broken || s.at == start
}

// delimiter checks that a number or a word ends here: otherwise more of it may have been cut off.
func (s *jsonScanner) delimiter() {
	switch c := s.peek(); {
	case c == ',' || c == '}' || c == ']' || isJSONSpace(c):
	default:
		s.broken = true
	}
}
