package store

import "strings"

// IsSubject reports that a text may be the subject of a message: tokens of letters, digits, -, _ and %, with single dots
// between them, of which the first begins with a letter. So it is no pattern, and none of a server's own subjects.
func IsSubject(text string) bool {
	if len(text) > SubjectBytesMax || text == "" || !isLetter(text[0]) {
		return false
	}
	for token := range strings.SplitSeq(text, ".") {
		if token == "" || strings.ContainsFunc(token, func(r rune) bool {
			return r > '~' || r != '%' && !isSubjectByte(byte(r))
		}) {
			return false
		}
	}
	return true
}

// SubjectToken returns a text as one token of a subject, whatever it has: letters, digits, - and _ are themselves, other
// bytes are written as in a URL, and an empty text is %00.
func SubjectToken(text string) string {
	var out strings.Builder
	appendToken(&out, []byte(text))
	return out.String()
}
