package json

import (
	"math/bits"
	"unsafe"
)

// at returns the byte at i, or 0 behind the end, which is no character of JSON.
func at(data []byte, i int) byte {
	if i < len(data) {
		return data[i]
	}
	return 0
}

// space returns the index of the first byte from i on that is not white space.
func space(data []byte, i int) int {
	for i < len(data) {
		c := data[i]
		if c > ' ' || c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			break
		}
		i++
	}
	return i
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// plainEnd returns the index of the first byte from i on that is no plain character of a string: a quote, a
// backslash, a control character or a part of a character beyond ASCII. It looks at eight bytes at a time.
func plainEnd(data []byte, i int) int {
	for i+8 <= len(data) {
		word := *(*uint64)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(data)), i))
		quote, backslash := word^('"'*ones), word^('\\'*ones)
		// Each term has the high bit of a byte set when the byte is of its kind. Borrows disturb bytes behind the first
		// such byte only, and the first is all that counts.
		found := ((quote-ones)&^quote | (backslash-ones)&^backslash | (word-' '*ones)&^word | word) & highs
		if found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
		i += 8
	}
	for i < len(data) {
		if c := data[i]; c == '"' || c == '\\' || c < ' ' || c >= 0x80 {
			break
		}
		i++
	}
	return i
}
