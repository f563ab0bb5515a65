package pages

import (
	"fmt"
	"slices"
	"strings"
)

// Block is a block of code. Its first word says what it is, and which test proves it:
//
//	```go              a program, which must compile
//	<!-- guest -->     above a block of Go: a part of a module. Lines below 'guest' come before it
//	<!-- host -->      above a block of Go: a part of a program that embeds the host, likewise
//	```sh, indented    commands, which a shell runs; lines that begin with "$ " are commands with what they print below
//	```yaml            with <!-- settings -->, <!-- module --> or <!-- cases -->: which files these are
//	```json            events, one a line or several lines
//	```sql             statements for PostgreSQL
//	<!-- excerpt FILE -->  lines of that file of the repository
//	<!-- message -->   lines that the program prints, whose words must be in its code
//	<!-- output -->    what the command above it prints
//
// A picture has lines or arrows, and needs no word.
type Block struct {
	Inline
	Language string // of a fenced block
	Note     string // the first line of the comment above it
	Prelude  string // the other lines of that comment
}

// Kind is what a block is.
type Kind string

// The kinds of blocks.
const (
	Go      Kind = "go"
	Shell   Kind = "sh"
	YAML    Kind = "yaml"
	JSON    Kind = "json"
	SQL     Kind = "sql"
	C       Kind = "c"
	Rust    Kind = "rust"
	Diff    Kind = "diff"
	Excerpt Kind = "excerpt"
	Message Kind = "message"
	Output  Kind = "output"
	Picture Kind = "picture"
	Other   Kind = "other" // a test of its own reads it
)

// notes are the words above blocks of a language.
var notes = map[string][]string{
	"go": {"", "guest", "host"}, "sh": {""}, "yaml": {"settings", "module", "cases"}, "json": {""}, "sql": {""},
	"c": {""}, "rust": {""}, "diff": {""}, "": {"", "message", "output"},
}

// Tests are those that read a block of their own, by the note above it.
var Tests = map[string]string{
	"schema":                "internal/eventschema/page_test.go",
	"refused by the schema": "internal/eventschema/page_test.go",
	"functions":             "store/postgres/internal/grammar/docs_test.go",
	"mariadb functions":     "store/mysql/internal/grammar/docs_test.go",
	"statements of MariaDB": "store/mysql/internal/grammar/docs_test.go",
	"accounts of MariaDB":   "cmd/pupwasm/mariadb_page_test.go",
	"dump of MariaDB":       "cmd/pupwasm/mariadb_page_test.go",
	"postgresql.conf":       "store/postgres/bounds_test.go",
	"role":                  "store/postgres/bounds_test.go",
	"help":                  "cmd/pupwasm/cli_reference_test.go",
	"limit":                 "store/postgres/bounds_test.go",
}

// pageTests are those that read every block of a page, or of the pages of a folder.
var pageTests = map[string]string{
	"docs/coming-from-pupsourcing.md": "cmd/pupwasm/coming_source_test.go",
	"docs/importing.md":               "cmd/pupwasm/importing_page_test.go",
	"examples/":                       "examples/pages_test.go",
}

// pageTest returns the test that reads every block of a page, or "".
func pageTest(page string) string {
	for of, test := range pageTests {
		if page == of || strings.HasSuffix(of, "/") && strings.HasPrefix(page, of) {
			return test
		}
	}
	return ""
}

// Kind returns what the block is, or what is to be done when nobody can tell.
func (b Block) Kind() (Kind, error) {
	allowed, known := notes[b.Language]
	switch {
	case Tests[b.Note] != "" || pageTest(b.Page) != "":
		return Other, nil
	case strings.HasPrefix(b.Note, "excerpt "):
		return Excerpt, nil
	case !known:
		return "", fmt.Errorf("%s: a block of the language %q has no test: use one of go, sh, yaml, json, sql, or add a kind to "+
			"internal/pages/block.go", b.Place(), b.Language)
	case !slices.Contains(allowed, b.Note):
		return "", fmt.Errorf("%s: a block of the language %q needs a comment above it, <!-- WORD -->, with one of %q, it has %q: "+
			"see internal/pages/block.go", b.Place(), b.Language, allowed, b.Note)
	case b.Language != "":
		return Kind(b.Language), nil
	case b.Note != "":
		return Kind(b.Note), nil
	case strings.ContainsAny(b.Text, "─►◄▶◀▼"):
		return Picture, nil
	}
	return Shell, nil
}
