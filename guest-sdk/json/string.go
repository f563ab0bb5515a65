package json

import (
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

// Text reads a string.
func (r *Reader) Text() string {
	data, start := r.data, r.pos+1
	// Most strings are plain and in a container: their text is between the quotes.
	if r.state == pending && r.depth > 0 && at(data, r.pos) == '"' {
		if end := plainEnd(data, start); at(data, end) == '"' {
			r.pos = end + 1
			r.state = done
			return view(data[start:end])
		}
	}
	if r.Kind() != String {
		r.mismatch("a string")
		return ""
	}
	start = r.pos + 1
	if !r.skipString() {
		return ""
	}
	text := r.unescape(view(r.data[start : r.pos-1]))
	r.finish()
	return text
}

// skipString skips the string at the next quote, checks it, and reports whether it
// is well-formed.
func (r *Reader) skipString() bool {
	data, start := r.data, r.pos+1
	for i := plainEnd(data, start); i < len(data); i = plainEnd(data, i+1) {
		switch c := data[i]; {
		case c == '"':
			r.pos = i + 1
			return true
		case c == '\\':
			i++
			switch at(data, i) {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
				continue
			case 'u':
				if i+5 <= len(data) && hex4(view(data[i+1:])) >= 0 {
					i += 4
					continue
				}
			}
			r.pos = i
			r.fail("an escape is unknown or incomplete")
			return false
		case c < ' ':
			r.pos = i
			r.fail("a string contains a control character")
			return false
		default:
			size := runeSize(data[i:])
			if size == 0 {
				r.pos = i
				r.fail("a string is not UTF-8")
				return false
			}
			i += size - 1
		}
	}
	r.pos = len(data)
	r.fail("a string does not end")
	return false
}

// runeSize returns the size of the character beyond ASCII at the start of data, or 0 when it is not UTF-8.
func runeSize(data []byte) int {
	_, size := utf8.DecodeRune(data)
	if size == 1 {
		return 0
	}
	return size
}

// unescape decodes a well-formed string.
func (r *Reader) unescape(raw string) string {
	i := 0
	for i < len(raw) && raw[i] != '\\' {
		i++
	}
	if i == len(raw) {
		return raw
	}
	// The decoded string is never longer than the raw one, so that it gets its room in one piece.
	if cap(r.escaped)-len(r.escaped) < len(raw) {
		r.escaped = make([]byte, 0, max(len(raw), escapedMin)) // strings that were read before keep the old one
	}
	start := len(r.escaped)
	text := append(r.escaped, raw[:i]...)
	for i < len(raw) {
		c := raw[i]
		if c != '\\' {
			text = append(text, c)
			i++
			continue
		}
		c = raw[i+1]
		if c == 'u' {
			char, size := unescapeRune(raw[i:])
			text = utf8.AppendRune(text, char)
			i += size
			continue
		}
		text = append(text, escapeOf(c))
		i += 2
	}
	r.escaped = text
	return view(text[start:])
}

// escapedMin is the least size of a buffer of decoded strings.
const escapedMin = 512

func escapeOf(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}

// unescapeRune reads \uXXXX, or two of them that make a surrogate pair, and returns how long it was.
func unescapeRune(raw string) (char rune, size int) {
	char = hex4(raw[2:])
	if !utf16.IsSurrogate(char) {
		return char, 6
	}
	if len(raw) >= 12 && raw[6] == '\\' && raw[7] == 'u' {
		if pair := utf16.DecodeRune(char, hex4(raw[8:])); pair != utf8.RuneError {
			return pair, 12
		}
	}
	return utf8.RuneError, 6
}

// hex4 returns the number that the first four hexadecimal digits make, or -1.
func hex4(text string) rune {
	value := rune(0)
	for i := range 4 {
		c := text[i]
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		value = value<<4 | rune(c)
	}
	return value
}

func view(text []byte) string { return unsafe.String(unsafe.SliceData(text), len(text)) }
