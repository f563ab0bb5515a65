package cloudevents

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/pupwasm/pupwasm/store"
)

// AppendJSON appends the event in structured mode: a JSON object. Data of a JSON type is in its member data, byte for
// byte, with its blanks and line breaks; text is a string there; other data is in data_base64, and so is what is not
// what its type says: JSON that is none, and text that is not UTF-8.
func (e *Event) AppendJSON(to []byte) []byte {
	before := byte('{')
	member := func(name string) {
		to = append(to, before, '"')
		to = append(append(to, name...), '"', ':')
		before = ','
	}
	for name, value := range e.attributes() {
		member(name)
		to = appendString(to, value)
	}
	if e.DataContentType != "" {
		member("datacontenttype")
		to = appendString(to, e.DataContentType)
	}
	switch as := e.dataAs(); as {
	case store.KindJSON:
		member("data")
		to = append(to, e.Data...)
	case store.KindText:
		member("data")
		to = appendString(to, e.Data)
	default:
		member("data_base64")
		to = append(to, '"')
		to = base64.StdEncoding.AppendEncode(to, e.Data)
		to = append(to, '"')
	}
	return append(to, '}')
}

// dataAs says how the data is written. Receivers read any type that ends with /json or +json as JSON.
func (e *Event) dataAs() store.Kind {
	media, _, _ := strings.Cut(e.DataContentType, ";")
	media = strings.ToLower(strings.TrimSpace(media))
	kind := store.KindBytes
	switch {
	case strings.HasSuffix(media, "/json") || strings.HasSuffix(media, "+json"):
		if json.Valid(e.Data) {
			kind = store.KindJSON
		}
	case strings.HasPrefix(media, "text/"):
		kind = store.KindText
	}
	if !utf8.Valid(e.Data) {
		return store.KindBytes
	}
	return kind
}

// appendString appends a JSON string of UTF-8.
func appendString[T string | []byte](to []byte, text T) []byte {
	const digits = "0123456789abcdef"
	to = append(to, '"')
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			to = append(to, '\\', c)
		case c < ' ':
			to = append(to, `\u00`...)
			to = append(to, digits[c>>4], digits[c&15])
		default:
			to = append(to, c)
		}
	}
	return append(to, '"')
}
