package oneline

import (
	"fmt"
	"slices"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// JSON returns the same JSON with escapes for characters on which terminals act, and which hide or turn what is beside
// them: U+009B, U+202E and the like. They are in strings only; those below U+0020 cannot be there.
func JSON(text []byte) []byte {
	if !slices.ContainsFunc(text, func(c byte) bool { return c >= 0x7f }) {
		return text
	}
	var out []byte
	for at := 0; at < len(text); {
		r, size := utf8.DecodeRune(text[at:])
		if r >= 0x7f && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
			out = appendEscaped(out, r)
		} else {
			out = append(out, text[at:at+size]...)
		}
		at += size
	}
	return out
}

// appendEscaped appends \uXXXX, and two of them for what is beyond U+FFFF.
func appendEscaped(to []byte, r rune) []byte {
	if high, low := utf16.EncodeRune(r); high != unicode.ReplacementChar {
		return fmt.Appendf(to, `\u%04x\u%04x`, high, low)
	}
	return fmt.Appendf(to, `\u%04x`, r)
}
