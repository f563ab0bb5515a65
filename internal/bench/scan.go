package main

import (
	"bytes"
	"errors"
)

var errNoField = errors.New("a payload is not as the scanner expects it")

// scanField returns the text of a field of a JSON object, or nil. It reads no further than the field. It takes well-formed
// JSON for granted, as code that is written for one kind of event may.
func scanField(object []byte, name string) []byte {
	i := 1 // behind the brace
	for i < len(object) {
		switch object[i] {
		case ' ', ',', '\n', '\t', '\r':
			i++
			continue
		case '"':
		default:
			return nil
		}
		end := stringEnd(object, i)
		found := string(object[i+1:end-1]) == name
		for i = end; i < len(object) && (object[i] == ':' || object[i] == ' '); i++ {
		}
		end = valueEnd(object, i)
		if found {
			return object[i:end]
		}
		i = end
	}
	return nil
}

// stringEnd returns the index behind the string that begins at i.
func stringEnd(text []byte, i int) int {
	for i++; i < len(text); i++ {
		next := bytes.IndexByte(text[i:], '"')
		if next < 0 {
			break
		}
		i += next
		slashes := 0
		for text[i-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return i + 1
		}
	}
	return len(text)
}

func valueEnd(text []byte, i int) int {
	if i < len(text) && text[i] == '"' {
		return stringEnd(text, i)
	}
	for depth := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			i = stringEnd(text, i) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			depth--
		case ',':
			if depth == 0 {
				return i
			}
		}
	}
	return i
}

// scanInt reads a whole number.
func scanInt(text []byte) (value int64, ok bool) {
	negative := len(text) > 0 && text[0] == '-'
	if negative {
		text = text[1:]
	}
	if len(text) == 0 || len(text) > 18 {
		return 0, false
	}
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		value = value*10 + int64(c-'0')
	}
	if negative {
		value = -value
	}
	return value, true
}

// scanCents reads an amount of two decimals at most.
func scanCents(text []byte) (int64, bool) {
	whole, fraction, _ := bytes.Cut(text, []byte{'.'})
	value, ok := scanInt(whole)
	if !ok || len(fraction) > 2 {
		return 0, false
	}
	value *= 100
	cents := int64(0)
	for i, c := range fraction {
		if c < '0' || c > '9' {
			return 0, false
		}
		if i == 0 {
			cents = int64(c-'0') * 10
		} else {
			cents += int64(c - '0')
		}
	}
	if whole[0] == '-' {
		cents = -cents
	}
	return value + cents, true
}
