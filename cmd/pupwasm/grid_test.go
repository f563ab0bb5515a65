package main

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestGrid_fitsATerminal has two long columns, which are cut, and short ones, which are not.
func TestGrid_fitsATerminal(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		width int
		want  string
	}{
		{0, "" +
			"id    n  text                                    json\n" +
			"a     7  the quick brown fox jumps over the dog  {\"a\": \"the quick brown fox\"}\n" +
			"é   -12  \\x1b[31m\\n                              NULL\n"},
		{40, "" +
			"id    n  text            json\n" +
			"a     7  the quick bro…  {\"a\": \"the qu…\n" +
			"é   -12  \\x1b[31m\\n      NULL\n"},
		{12, "" +
			"id    n  te…\n" +
			"a     7  th…\n" +
			"é   -12  \\x…\n"},
	} {
		var out bytes.Buffer
		g := &grid{out: &out, width: c.width}
		g.column("id", false)
		g.column("n", true)
		g.column("text", false)
		g.column("json", false)
		g.row("a", "7", "the quick brown fox jumps over the dog", `{"a": "the quick brown fox"}`)
		g.row("é", "-12", "\x1b[31m\n", "NULL")
		if err := g.flush(); err != nil {
			t.Fatal(err)
		}
		got := out.String()
		if c.width > 0 {
			for line := range strings.Lines(got) {
				if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > c.width {
					t.Errorf("a line has %d characters, the terminal %d: %s", n, c.width, line)
				}
			}
		}
		if got != c.want {
			t.Errorf("with a width of %d the table is\n%s\nwant\n%s", c.width, got, c.want)
		}
	}
}

// TestGrid_hugeCells has cells that are much wider than the terminal.
func TestGrid_hugeCells(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	g := &grid{out: &out, width: 80}
	g.column("a", false)
	g.column("b", false)
	g.row(strings.Repeat("x", 1<<20), strings.Repeat("y", 1<<20))
	if err := g.flush(); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	if want := strings.Repeat("x", 38) + "…  " + strings.Repeat("y", 38) + "…"; lines[1] != want {
		t.Errorf("the row is %s", lines[1])
	}
}
