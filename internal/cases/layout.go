package cases

import (
	"errors"
	"slices"
	"strings"

	"github.com/pupwasm/pupwasm/internal/settings"
)

// errUnsafe says that a case stays as it is.
var errUnsafe = errors.New(`the file cannot be updated safely here: write "then" as a block of its own lines`)

// layout finds the places of a YAML text in its bytes.
type layout struct {
	text  string
	lines []int // where lines begin
}

func layoutOf(text string) *layout {
	l := &layout{text: text, lines: []int{len(text) - len(strings.TrimPrefix(text, "\ufeff"))}}
	for i, c := range text {
		switch c {
		case '\r':
			if !strings.HasPrefix(text[i:], "\r\n") {
				l.lines = append(l.lines, i+1)
			}
		case '\n':
			l.lines = append(l.lines, i+1)
		case '\u0085':
			l.lines = append(l.lines, i+2)
		case '\u2028', '\u2029':
			l.lines = append(l.lines, i+3)
		}
	}
	return l
}

// offset is where a place is: columns are characters.
func (l *layout) offset(at settings.Place) int {
	if at.Line < 1 || at.Line > len(l.lines) {
		return len(l.text)
	}
	begin := l.lines[at.Line-1]
	column := 1
	for i := range l.text[begin:] {
		if column == at.Column {
			return begin + i
		}
		column++
	}
	return len(l.text)
}

// next is where the line after that of a byte begins, or the end of the text.
func (l *layout) next(at int) int {
	n, _ := slices.BinarySearch(l.lines, at+1)
	if n < len(l.lines) {
		return l.lines[n]
	}
	return len(l.text)
}

// then is what "then" of a case takes: from its name, to the end of the last line of its value. A case without it has
// nothing there, in the line after its last one.
func (l *layout) then(c *Case) (from, to int, err error) {
	if c.Place.Line == 0 || len(c.members) == 0 {
		return 0, 0, errUnsafe
	}
	if strings.HasPrefix(l.text[l.offset(c.Place):], "{") {
		return 0, 0, errors.New("the case is within braces: write each of its members in a line, so that it can be updated")
	}
	at := slices.IndexFunc(c.members, func(m settings.Member) bool { return m.Name == "then" })
	if at < 0 {
		to, err = l.end(&c.members[len(c.members)-1], c.Place.Column-1)
		return to, to, err
	}
	m := &c.members[at]
	if from, err = l.begin(c, m); err != nil {
		return 0, 0, err
	}
	if to, err = l.end(m, c.Place.Column-1); err != nil {
		return 0, 0, err
	}
	if at+1 < len(c.members) && to > l.offset(settings.Place{Line: c.members[at+1].Line, Column: 1}) {
		return 0, 0, errUnsafe
	}
	return from, to, nil
}

// begin is where a member of a case begins: with its name, or "? " before it.
func (l *layout) begin(c *Case, m *settings.Member) (int, error) {
	name := l.offset(m.Place)
	column := l.offset(settings.Place{Line: m.Line, Column: c.Place.Column})
	if before := l.text[l.offset(settings.Place{Line: m.Line, Column: 1}):min(column, name)]; column > name || strings.Trim(before, " \t-") != "" {
		return 0, errUnsafe
	}
	if mark := strings.TrimSpace(l.text[column:name]); mark != "" && mark != "?" {
		return 0, errUnsafe
	}
	return column, nil
}

// end is where the line begins that follows a member of a case in a column, from 0.
func (l *layout) end(m *settings.Member, column int) (int, error) {
	for {
		at := l.offset(m.Value)
		first := byte(0)
		if at < len(l.text) {
			first = l.text[at]
		}
		switch {
		case m.Kind == settings.Section && first != '{' && len(m.Map.Members) > 0:
			m = &m.Map.Members[len(m.Map.Members)-1]
		case m.Kind == settings.List && first != '[' && len(m.List) > 0:
			m = &m.List[len(m.List)-1]
		case m.Kind == settings.Section || m.Kind == settings.List:
			return l.closed(flowEnd(l.text, at))
		case m.Kind == settings.Empty:
			if m.Line > 0 {
				at = l.offset(m.Place)
			}
			return l.behind(at, column, false), nil
		case m.Plain:
			return l.behind(at, column, false), nil
		case first == '"' || first == '\'':
			return l.closed(quoteEnd(l.text, at))
		default:
			return l.behind(at, column, true), nil
		}
	}
}

// closed is the end of the line in which a value ends that has an end of its own.
func (l *layout) closed(at int) (int, error) {
	if at < 0 {
		return 0, errUnsafe
	}
	end := l.next(at - 1)
	rest := l.text[at:end]
	if text := strings.TrimSpace(rest); text != "" && (text[0] != '#' || rest[0] == '#') {
		return 0, errUnsafe
	}
	return end, nil
}

// behind is the end of a plain text, or of one below | or >, that begins at a byte: all lines that are further to the
// right than the member of the case belong to it.
func (l *layout) behind(at, column int, block bool) int {
	end := l.next(at)
	keep := false // the blank lines at its end
	if block {
		keep = strings.Contains(l.text[at:min(at+3, end)], "+")
	}
	for next := end; next < len(l.text); {
		from := next
		next = l.next(from)
		line := l.text[from:next]
		text := strings.TrimSpace(line)
		indent := len(line) - len(strings.TrimLeft(line, " \t"))
		switch {
		case text == "":
			if keep {
				end = next
			}
		case indent <= column:
			return end
		case block || text[0] != '#':
			end = next
		}
	}
	return end
}

// quoteEnd is where a text in quotes ends that begins at a byte; -1 where it does not.
func quoteEnd(text string, at int) int {
	quote := text[at]
	for i := at + 1; i < len(text); i++ {
		switch {
		case text[i] == '\\' && quote == '"':
			i++
		case text[i] != quote:
		case quote == '\'' && strings.HasPrefix(text[i:], "''"):
			i++
		default:
			return i + 1
		}
	}
	return -1
}

// flowEnd is where a value in brackets or braces ends that begins at a byte; -1 where it does not.
func flowEnd(text string, at int) int {
	depth := 0
	begins := true // a value may begin here, so that quotes are its own
	for i := at; i < len(text); i++ {
		switch c := text[i]; c {
		case '[', '{':
			depth++
			begins = true
		case ']', '}':
			if depth--; depth == 0 {
				return i + 1
			}
			begins = false
		case ',':
			begins = true
		case '"', '\'':
			if !begins {
				continue
			}
			end := quoteEnd(text, i)
			if end < 0 {
				return -1
			}
			i, begins = end-1, false
		case '#':
			if strings.ContainsRune(" \t\r\n", rune(text[i-1])) {
				i += strings.IndexAny(text[i:]+"\n", "\r\n") - 1
			}
		case ':', '?', '-':
			follows := i+1 < len(text) && strings.ContainsRune(" \t\r\n,[]{}", rune(text[i+1]))
			begins = follows && (c == ':' || begins) || c == ':' && strings.ContainsRune(`"'`, rune(text[i-1]))
		case ' ', '\t', '\r', '\n':
		default:
			begins = false
		}
	}
	return -1
}
