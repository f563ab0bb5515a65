package store

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// jsonKey returns the key at a path of JSON text, or nil where the text has no such member.
func jsonKey(where string, text []byte, path []string) ([]byte, error) {
	s := jsonScanner{text: text}
	s.space()
	if s.peek() != '{' {
		return nil, nil
	}
	for _, name := range path {
		if s.peek() != '{' {
			s.value() // has to be JSON all the same
			return nil, s.keyError(where, path, nil)
		}
		if !s.member(name) {
			return nil, s.keyError(where, path, nil)
		}
	}
	key, err := s.key()
	if err != nil || s.broken {
		return nil, s.keyError(where, path, err)
	}
	return key, nil
}

func (s *jsonScanner) keyError(where string, path []string, err error) error {
	switch {
	case s.broken:
		return fmt.Errorf("the %s is not valid JSON at byte %d, so that its partition key %s cannot be read", where,
			s.at+1, pathText(path))
	case err != nil:
		return fmt.Errorf("the partition key %s of the %s %w", pathText(path), where, err)
	}
	return nil
}

func pathText(path []string) string { return fmt.Sprintf("%.200q", strings.Join(path, ".")) }

// jsonScanner.key's faults of a value.
var (
	errKeyNull      = errors.New("is null: a key is a string, a boolean or an integer")
	errKeyComposite = errors.New("is an object or an array: a key is a string, a boolean or an integer")
	errKeySurrogate = errors.New("has half of a surrogate pair, which is no character")
	errKeyUTF8      = errors.New("is not valid UTF-8")
	errKeyNUL       = errors.New("contains a NUL character, which databases cannot store as text")
)

// key reads the value that is next as a key.
func (s *jsonScanner) key() ([]byte, error) {
	start := s.at
	switch s.peek() {
	case '"':
		raw, escaped := s.string()
		if s.broken {
			return nil, nil
		}
		return textKey(raw, escaped)
	case '{', '[':
		return nil, errKeyComposite
	case 'n':
		s.value()
		return nil, errKeyNull
	case 't', 'f':
		s.value()
		return s.text[start:s.at:s.at], nil
	}
	s.value()
	if s.broken {
		return nil, nil
	}
	return integerKey(s.text[start:s.at:s.at])
}

// integerKey checks the text of a JSON number.
func integerKey(text []byte) ([]byte, error) {
	digits, limit := text, "18446744073709551615"
	if text[0] == '-' {
		digits, limit = text[1:], "9223372036854775808"
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return nil, fmt.Errorf("is %.40s: a number that is a key has neither fraction nor exponent", text)
		}
	}
	switch {
	case len(digits) > len(limit) || len(digits) == len(limit) && string(digits) > limit:
		return nil, fmt.Errorf("is %.40s: an integer that is a key fits into 64 bits", text)
	case text[0] == '-' && digits[0] == '0':
		return nil, errors.New("is -0: an integer that is a key has one spelling")
	}
	return text, nil
}

// textKey decodes what is between the quotes of a JSON string.
func textKey(raw []byte, escaped bool) ([]byte, error) {
	key := raw
	if escaped && len(raw) <= 6*KeyBytesMax { // an escape has 6 bytes at most for one byte of the key
		lone := false
		if key, lone = unescape(make([]byte, 0, len(raw)), raw); lone {
			return nil, errKeySurrogate
		}
	}
	switch {
	case len(key) > KeyBytesMax:
		return nil, fmt.Errorf("is too long: a key has %d bytes at most", KeyBytesMax)
	case !utf8.Valid(key):
		return nil, errKeyUTF8
	case escaped && bytes.IndexByte(key, 0) >= 0:
		return nil, errKeyNUL
	}
	return key[:len(key):len(key)], nil
}

// sameName reports whether the name of a member, as it is between its quotes, is a name.
func sameName(raw []byte, escaped bool, name string) bool {
	if !escaped {
		return string(raw) == name
	}
	if len(raw) < len(name) || len(raw) > 6*len(name) {
		return false
	}
	var room [128]byte
	decoded, lone := unescape(room[:0], raw)
	return !lone && string(decoded) == name
}

// unescape appends a JSON string without its escapes, which must be valid. It stops at half of a surrogate pair.
func unescape(dst, raw []byte) (text []byte, lone bool) {
	for at := 0; at < len(raw); at++ {
		if raw[at] != '\\' {
			dst = append(dst, raw[at])
			continue
		}
		at++
		switch c := raw[at]; c {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			unit := hex4(raw[at+1:])
			at += 4
			if utf16.IsSurrogate(unit) {
				if rest := raw[at+1:]; len(rest) >= 6 && rest[0] == '\\' && rest[1] == 'u' {
					unit = utf16.DecodeRune(unit, hex4(rest[2:]))
					at += 6
				}
				if unit == utf8.RuneError || utf16.IsSurrogate(unit) {
					return dst, true
				}
			}
			dst = utf8.AppendRune(dst, unit)
		default:
			dst = append(dst, c)
		}
	}
	return dst, false
}

func hex4(digits []byte) (unit rune) {
	for _, c := range digits[:4] {
		unit = unit<<4 | rune(hexValue(c))
	}
	return unit
}

// hexValue returns the value of a hexadecimal digit, or 16.
func hexValue(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 16
}
