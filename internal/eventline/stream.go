package eventline

import (
	"strings"

	"github.com/pupwasm/pupwasm/store"
)

// ParseStream reads the long name of a stream, CONTEXT/TYPE/ID, as lists of events show it. The id may have slashes. It
// reports false for a text with fewer parts; what the parts may be is the stream's to validate.
func ParseStream(text string) (stream store.Stream, ok bool) {
	parts := strings.SplitN(text, "/", 3)
	if len(parts) < 3 {
		return store.Stream{}, false
	}
	return store.Stream{BoundedContext: parts[0], AggregateType: parts[1], AggregateID: parts[2]}, true
}
