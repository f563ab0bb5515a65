package status

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// DataText is the data of a message as a person reads it, JSON without blanks, cut to so many bytes; whole reports that
// it was not cut. It may have any characters: callers escape them for a terminal.
func DataText(data []byte, most int) (text string, whole bool) {
	if !utf8.Valid(data) {
		return fmt.Sprintf("(%d bytes that are no text)", len(data)), true
	}
	text = string(data)
	if compact := new(bytes.Buffer); json.Compact(compact, data) == nil {
		text = compact.String()
	}
	if len(text) <= most {
		return text, true
	}
	return strings.ToValidUTF8(text[:most], ""), false
}
