package main

import pup "github.com/pupwasm/pupwasm/guest-sdk"

// isJSON reports whether the payload is JSON. It may be any bytes, or none.
func isJSON(e pup.Event) bool {
	payload := e.JSON()
	payload.Skip()
	return payload.Err() == nil
}

// depthMax is how deep objects and arrays nest in what every database can hold.
const depthMax = 31

// fits reports whether every database can hold JSON text in a column: PostgreSQL's jsonb has no character NUL, no
// half of a surrogate pair and no number with a huge exponent, and MariaDB takes no deeper nesting than depthMax.
func fits(payload []byte) bool {
	quoted, depth := false, 0
	for i := 0; i < len(payload); i++ {
		switch c := payload[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && payload[i+1] == 'u':
			unit := hex(payload[i+2:])
			i += 5
			if unit >= 0xd800 && unit < 0xdc00 && len(payload) > i+6 && payload[i+1] == '\\' && payload[i+2] == 'u' {
				if low := hex(payload[i+3:]); low >= 0xdc00 && low < 0xe000 {
					i += 6
					continue
				}
			}
			if unit == 0 || unit >= 0xd800 && unit < 0xe000 {
				return false
			}
		case c == '\\':
			i++
		case !quoted && (c == '[' || c == '{'):
			if depth++; depth > depthMax {
				return false
			}
		case !quoted && (c == ']' || c == '}'):
			depth--
		case !quoted && (c == 'e' || c == 'E'):
			start := i
			for i+1 < len(payload) && (payload[i+1] == '+' || payload[i+1] == '-' || payload[i+1] >= '0' &&
				payload[i+1] <= '9') {
				i++
			}
			if i-start > len("+9999") {
				return false
			}
		}
	}
	return true
}

// hex reads the four digits after \u.
func hex(digits []byte) (unit int) {
	for _, c := range digits[:4] {
		unit <<= 4
		if c <= '9' {
			unit |= int(c - '0')
		} else {
			unit |= int((c|0x20)-'a') + 10
		}
	}
	return unit
}
