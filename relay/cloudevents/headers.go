package cloudevents

import (
	"iter"
	"strings"
)

// Headers returns the name and the value of each header in binary mode, such as ce-id, for HTTP and for NATS. Values
// have only printable ASCII without blanks and quotes. The content type of the data is not among them: that is
// Content-Type in HTTP, and in NATS ce-datacontenttype, whose value is [HeaderValue] of DataContentType.
func (e *Event) Headers() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for name, value := range e.attributes() {
			if !yield("ce-"+name, HeaderValue(value)) {
				return
			}
		}
	}
}

// HeaderValue returns a text as the value of a header: all but printable ASCII, and blanks, quotes and percent signs,
// are percent-encoded, as the bindings of CloudEvents to HTTP and NATS say.
func HeaderValue(text string) string {
	const digits = "0123456789ABCDEF"
	var out strings.Builder
	for i := range len(text) {
		c := text[i]
		if c > ' ' && c <= '~' && c != '"' && c != '%' {
			out.WriteByte(c)
			continue
		}
		out.WriteByte('%')
		out.WriteByte(digits[c>>4])
		out.WriteByte(digits[c&15])
	}
	return out.String()
}
