package store

import (
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// MetadataBytesMax is the limit on the metadata of one event: 1 MiB, as they are given and as PostgreSQL prints
// them, which has a space behind every comma and colon, and no exponents.
const MetadataBytesMax = 1 << 20

// What PostgreSQL's numeric holds, and so its jsonb.
const (
	wholeDigitsMax    = 131_072
	fractionDigitsMax = 16_383
)

// validateMetadata does not decode: a number may be beyond what Go's types hold, and the database decides between
// members of one name.
func validateMetadata(metadata json.RawMessage) error {
	refuse := func(format string, args ...any) error {
		return &InputError{Field: "metadata", Reason: fmt.Sprintf(format, args...)}
	}
	if len(metadata) == 0 {
		return nil
	}
	if len(metadata) > MetadataBytesMax {
		return refuse("has %d bytes, the limit is %d", len(metadata), MetadataBytesMax)
	}
	if !utf8.Valid(metadata) {
		return refuse("is not valid UTF-8")
	}
	if !json.Valid(metadata) {
		var text json.RawMessage
		return refuse("is not valid JSON: %s", json.Unmarshal(metadata, &text))
	}
	if firstByte(metadata) != '{' {
		return refuse("is not a JSON object")
	}
	if HasEscapedNUL(metadata) {
		return refuse(`contains \u0000, which databases cannot store as text`)
	}
	if HasLoneSurrogate(metadata) {
		return refuse(`has half of a surrogate pair (\ud800 to \udfff), which is no character`)
	}
	size, err := printedSize(metadata)
	if err != nil {
		return refuse("%s", err)
	}
	if size > MetadataBytesMax {
		return refuse("has %d bytes when it is printed without exponents and with spaces, the limit is %d", size,
			MetadataBytesMax)
	}
	return nil
}

// firstByte returns the first byte of valid JSON text that is no white space.
func firstByte(text []byte) byte {
	i := 0
	for text[i] == ' ' || text[i] == '\t' || text[i] == '\r' || text[i] == '\n' {
		i++
	}
	return text[i]
}

// printedSize returns how many bytes valid JSON text has at most when PostgreSQL prints it.
func printedSize(text []byte) (size int, err error) {
	for i := 0; i < len(text); {
		length := 1
		switch c := text[i]; {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
		case c == ',' || c == ':':
			size += 2
		case c == '"':
			length = stringLength(text[i:])
			size += length
		case c == '-' || c >= '0' && c <= '9':
			var digits int
			if length, digits, err = numberLength(text[i:]); err != nil {
				return 0, err
			}
			size += digits
		default:
			size++
		}
		i += length
	}
	return size, nil
}

// stringLength returns the length of the JSON string that valid JSON text begins with, with its quotes.
func stringLength(text []byte) int {
	i := 1
	for ; text[i] != '"'; i++ {
		if text[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// numberLength returns the length of the number that valid JSON text begins with, and that of the number without
// exponent.
func numberLength(text []byte) (length, printed int, err error) {
	digits := func() (n int) {
		for ; length < len(text) && text[length] >= '0' && text[length] <= '9'; length++ {
			n++
		}
		return n
	}
	sign, fraction, exponent := 0, 0, 0
	if text[0] == '-' {
		sign, length = 1, 1
	}
	whole := digits()
	if length < len(text) && text[length] == '.' {
		length++
		fraction = digits()
	}
	if length < len(text) && (text[length] == 'e' || text[length] == 'E') {
		length++
		start := length
		if text[length] == '+' || text[length] == '-' {
			length++
		}
		digits()
		if exponent, err = strconv.Atoi(string(text[start:length])); err != nil {
			exponent = wholeDigitsMax + len(text)
			if text[start] == '-' {
				exponent = -exponent
			}
		}
	}
	whole, fraction = max(whole+exponent, 1), max(fraction-exponent, 0)
	if whole > wholeDigitsMax || fraction > fractionDigitsMax {
		return 0, 0, errNumberRange
	}
	if printed = sign + whole; fraction > 0 {
		printed += 1 + fraction
	}
	return length, printed, nil
}

var errNumberRange = fmt.Errorf("has a number with more than %d digits before the point or %d behind it, which "+
	"databases cannot store",
	wholeDigitsMax, fractionDigitsMax)

// HasEscapedNUL reports whether JSON text spells the character NUL, which PostgreSQL's jsonb refuses.
func HasEscapedNUL(text []byte) bool {
	for i := 0; i+1 < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		if i+6 <= len(text) && string(text[i:i+6]) == `\u0000` {
			return true
		}
		i++ // the escaped character, which may itself be a backslash
	}
	return false
}

// HasLoneSurrogate reports whether JSON text spells half of a surrogate pair. Decoders turn it into U+FFFD, and
// PostgreSQL's jsonb refuses it.
func HasLoneSurrogate(text []byte) bool {
	high := false // the escape right before was the first half
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			if high {
				return true
			}
			continue
		}
		unit := uint64(0)
		if i+6 <= len(text) && text[i+1] == 'u' {
			unit, _ = strconv.ParseUint(string(text[i+2:i+6]), 16, 32)
			i += 5
		} else {
			i++
		}
		low := unit >= 0xdc00 && unit < 0xe000
		if high != low {
			return true
		}
		high = unit >= 0xd800 && unit < 0xdc00
	}
	return high
}
