package sqlite

import (
	"bytes"
	"errors"
	"slices"
	"unicode/utf8"

	"github.com/ncruces/go-sqlite3"
)

// patternBytesMax bounds a pattern of LIKE or GLOB. A matcher has a bit for each byte.
const patternBytesMax = 100

var (
	errPattern = errors.New("LIKE or GLOB pattern too complex")
	errEscape  = errors.New("ESCAPE expression must be a single character")
)

// registerPatterns replaces LIKE and GLOB, which compare the whole pattern with each place of a text in one step
// that nothing interrupts. These read each character of the text once.
func registerPatterns(db *sqlite3.Conn) error {
	const flags = sqlite3.DETERMINISTIC | sqlite3.INNOCUOUS
	for arguments := 2; arguments <= 3; arguments++ {
		if err := db.CreateFunction("like", arguments, flags, matches(compileLike)); err != nil {
			return err
		}
	}
	return db.CreateFunction("glob", 2, flags, matches(compileGlob))
}

// matches is a function of a pattern, a text and perhaps an escape. A pattern that is a constant is compiled once.
func matches(compile func(pattern string, escape rune) *matcher) sqlite3.ScalarFunction {
	type compiled struct {
		escape rune
		*matcher
	}
	return func(ctx sqlite3.Context, arg ...sqlite3.Value) {
		if arg[0].Type() == sqlite3.BLOB || arg[1].Type() == sqlite3.BLOB {
			ctx.ResultBool(false)
			return
		}
		if len(arg[0].RawText()) > patternBytesMax {
			ctx.ResultError(errPattern)
			return
		}
		escape := rune(0)
		if len(arg) == 3 {
			if hasNull(ctx, arg[2:]) {
				return
			}
			text := textOf(arg[2])
			if utf8.RuneCount(text) != 1 {
				ctx.ResultError(errEscape)
				return
			}
			escape, _ = utf8.DecodeRune(text)
		}
		if hasNull(ctx, arg) {
			return
		}
		known, is := ctx.GetAuxData(0).(compiled)
		if !is || known.escape != escape {
			known = compiled{escape, compile(string(upToNUL(textOf(arg[0]))), escape)}
			ctx.SetAuxData(0, known)
		}
		ctx.ResultBool(known.match(upToNUL(arg[1].RawText())))
	}
}

// upToNUL is a text as far as SQLite compares it.
func upToNUL(text []byte) []byte {
	before, _, _ := bytes.Cut(text, []byte{0})
	return before
}

// matcher is a pattern as a sequence of elements, each of which matches one character. It runs as an automaton
// that is in several states at once: in state n, the first n elements have matched.
type matcher struct {
	elements int
	stays    states                // in which an asterisk before the next element lets any character pass
	ascii    [utf8.RuneSelf]states // by character, the elements that match it
	from     []rune                // beyond ASCII: characters from one of these to the next match the same elements,
	matching []states              // which are these
}

// states is a set of states, or of elements, of which a pattern has patternBytesMax at most.
type states [2]uint64

func (s *states) add(n int)      { s[n/64] |= 1 << (n % 64) }
func (s *states) has(n int) bool { return s[n/64]>>(n%64)&1 == 1 }

// step is where the states lead with a character that these elements match.
func (s states) step(matching, stays states) states {
	low, high := s[0]&matching[0], s[1]&matching[1]
	return states{low<<1 | s[0]&stays[0], high<<1 | low>>63 | s[1]&stays[1]}
}

// newMatcher makes the automaton of elements. Characters that the pattern does not have, and that follow each
// other, match the same ones.
func newMatcher(pattern string, elements []func(rune) bool, stays states) *matcher {
	m := &matcher{elements: len(elements), stays: stays, from: []rune{utf8.RuneSelf}}
	matching := func(r rune) (s states) {
		for n, matches := range elements {
			if matches(r) {
				s.add(n)
			}
		}
		return s
	}
	for r := range m.ascii {
		m.ascii[r] = matching(rune(r))
	}
	for _, r := range pattern {
		if r >= utf8.RuneSelf {
			m.from = append(m.from, r, r+1)
		}
	}
	slices.Sort(m.from)
	for _, r := range m.from {
		m.matching = append(m.matching, matching(r))
	}
	return m
}

func (m *matcher) match(text []byte) bool {
	now := states{1}
	for i := 0; i < len(text); {
		matching, size := m.ascii[text[i]&(utf8.RuneSelf-1)], 1
		if text[i] >= utf8.RuneSelf {
			var r rune
			r, size = utf8.DecodeRune(text[i:])
			at, found := slices.BinarySearch(m.from, r)
			if !found {
				at--
			}
			matching = m.matching[at]
		}
		if now = now.step(matching, m.stays); now == (states{}) {
			return false
		}
		i += size
	}
	return now.has(m.elements)
}

// compileLike reads a pattern of LIKE: % is any text, _ any character, and letters of ASCII are the same in both
// cases. What follows the escape, which is 0 for none, means itself.
func compileLike(pattern string, escape rune) *matcher {
	var elements []func(rune) bool
	var stays states
	escaped := false
	for _, r := range pattern {
		switch {
		case escaped:
			elements, escaped = append(elements, sameLetter(r)), false
		case r == escape:
			escaped = true
		case r == '%':
			stays.add(len(elements))
		case r == '_':
			elements = append(elements, anyCharacter)
		default:
			elements = append(elements, sameLetter(r))
		}
	}
	if escaped {
		elements = append(elements, noCharacter)
	}
	return newMatcher(pattern, elements, stays)
}

// compileGlob reads a pattern of GLOB: * is any text, ? any character, and [a-z] one of a set, or with [^a-z] none
// of it.
func compileGlob(pattern string, _ rune) *matcher {
	var elements []func(rune) bool
	var stays states
	rest := []rune(pattern)
	for len(rest) > 0 {
		r := rest[0]
		rest = rest[1:]
		switch r {
		case '*':
			stays.add(len(elements))
		case '?':
			elements = append(elements, anyCharacter)
		case '[':
			var set func(rune) bool
			set, rest = globSet(rest)
			elements = append(elements, set)
		default:
			elements = append(elements, func(c rune) bool { return c == r })
		}
	}
	return newMatcher(pattern, elements, stays)
}

// globSet reads a set behind its bracket, and returns what follows. One that does not end matches nothing. A
// bracket that comes first is one of the set.
func globSet(rest []rune) (func(rune) bool, []rune) {
	type span struct{ from, to rune }
	var spans []span
	inverted := len(rest) > 0 && rest[0] == '^'
	if inverted {
		rest = rest[1:]
	}
	before := rune(0) // which a range may begin with
	for n := 0; ; n++ {
		if len(rest) == 0 {
			return noCharacter, nil
		}
		r := rest[0]
		rest = rest[1:]
		switch {
		case r == ']' && n > 0:
			return func(c rune) bool {
				return slices.ContainsFunc(spans, func(s span) bool { return s.from <= c && c <= s.to }) != inverted
			}, rest
		case r == '-' && before > 0 && len(rest) > 0 && rest[0] != ']':
			spans = append(spans, span{before, rest[0]})
			before, rest = 0, rest[1:]
		default:
			spans = append(spans, span{r, r})
			if before = r; r == ']' {
				before = 0
			}
		}
	}
}

func anyCharacter(rune) bool { return true }
func noCharacter(rune) bool  { return false }

// sameLetter compares as LIKE does.
func sameLetter(r rune) func(rune) bool {
	lower := func(c rune) rune {
		if 'A' <= c && c <= 'Z' {
			return c + ('a' - 'A')
		}
		return c
	}
	return func(c rune) bool { return lower(c) == lower(r) }
}
