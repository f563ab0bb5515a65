package eventschema

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// step goes from a value to a member of it, or to an element.
type step struct {
	name    string
	index   int
	element bool
}

// pathText writes a path for people: payload.lines[2].price.
func pathText(root string, path []step) string {
	var b strings.Builder
	b.WriteString(root)
	for _, s := range path {
		switch {
		case s.element:
			b.WriteString("[" + strconv.Itoa(s.index) + "]")
		case isPlain(s.name):
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(cut(s.name))
		default:
			b.WriteString("[" + strconv.Quote(cut(s.name)) + "]")
		}
	}
	return b.String()
}

// isPlain reports whether a name needs no quotes.
func isPlain(name string) bool {
	return name != "" && strings.IndexFunc(name, func(r rune) bool {
		return r != '_' && r != '-' && r != '$' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}) < 0
}

// steps makes a path of the tokens of a JSON pointer, by the value that they lead through.
func steps(root any, tokens []string) []step {
	path := make([]step, len(tokens))
	at := root
	for i, token := range tokens {
		path[i].name = token
		switch value := at.(type) {
		case map[string]any:
			at = value[token]
		case []any:
			index, err := strconv.Atoi(token)
			if err != nil || index < 0 || index >= len(value) {
				return path[:i]
			}
			path[i].index, path[i].element = index, true
			at = value[index]
		}
	}
	return path
}

// textMax bounds what an error quotes of a schema or of a member's name.
const textMax = 60

func cut(text string) string {
	if len(text) <= textMax {
		return text
	}
	end := textMax
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}
