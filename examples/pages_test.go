package examples_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// page is the page of an example.
type page struct {
	text    string
	command string
	printed string // by the command; "…" means anything in a line, and alone for any lines
	output  *regexp.Regexp
	code    []string // its blocks of code
}

// readPage reads the page of an example: its first block begins with "$ " and the command, and goes on with what that
// prints. The blocks after it are code of the example.
func readPage(t *testing.T, name string) page {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(name, "README.md"))
	if err != nil {
		t.Fatalf("the example %s has no page: %v", name, err)
	}
	p := page{text: string(text)}
	blocks := fenced.FindAllStringSubmatch(p.text, -1)
	if len(blocks) == 0 || !strings.HasPrefix(blocks[0][1], "$ ") {
		t.Fatalf("%s/README.md has no block that begins with $ and its command", name)
	}
	first, rest, _ := strings.Cut(blocks[0][1], "\n")
	p.command, p.printed = strings.TrimPrefix(first, "$ "), rest
	pattern := regexp.MustCompile(`(?m)^…\n`).ReplaceAllString(regexp.QuoteMeta(plain(p.printed)), `(?s:.*)`)
	p.output = regexp.MustCompile("^" + strings.ReplaceAll(pattern, "…", ".*") + "$")
	for _, block := range blocks[1:] {
		p.code = append(p.code, block[1])
	}
	return p
}

var (
	fenced = regexp.MustCompile("(?ms)^```[a-z]+\n(.*?)^```$")
	blanks = regexp.MustCompile(` +`)
)

// plain has one blank for any number: tables differ in the widths of their columns.
func plain(text string) string { return blanks.ReplaceAllString(text, " ") }

// folders returns the names of all examples.
func folders(t *testing.T) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if entry.IsDir() && entry.Name() != "internal" {
			names = append(names, entry.Name())
		}
	}
	return names
}

// TestPages: every example has a page, a row in the learning path, and a test.
func TestPages(t *testing.T) {
	t.Parallel()
	path, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range folders(t) {
		p := readPage(t, name)
		if want := "examples/" + name; !strings.Contains(p.command, want) {
			t.Errorf("the command of %s/README.md is %q, which does not run %s", name, p.command, want)
		}
		row := regexp.MustCompile(`(?m)^\| \[` + name + `\]\(` + name + `\) \|.*$`).FindString(string(path))
		if row == "" {
			t.Errorf("README.md has no row | [%s](%s) | in its learning path", name, name)
		}
		example, tested := examples[name]
		if !tested || len(example.tables) == 0 && name != theTest {
			t.Errorf("rows_test.go has no rows of %s", name)
		}
		for _, database := range all {
			if got := strings.Contains(row, database); got != slices.Contains(example.databases, database) {
				t.Errorf("README.md and rows_test.go do not agree about %s for %s", database, name)
			}
		}
		for _, part := range []string{"## What to see", "## What to try next"} {
			if !strings.Contains(p.text, part) {
				t.Errorf("%s/README.md has no part %q", name, part)
			}
		}
	}
	for name := range examples {
		if !exists(name) {
			t.Errorf("rows_test.go has rows of %s, which is no example", name)
		}
	}
}

// TestPages_codeIsThatOfTheExample: each block of code of a page is in a file of its folder, or in one that the page
// links to. A line "…" means lines that the page leaves out.
func TestPages_codeIsThatOfTheExample(t *testing.T) {
	t.Parallel()
	for _, name := range folders(t) {
		p := readPage(t, name)
		if len(p.code) == 0 {
			t.Errorf("%s/README.md shows no code", name)
		}
		sources := sourcesOf(t, name, p.text)
		for _, block := range p.code {
			for _, part := range regexp.MustCompile(`(?m)^\s*…\n`).Split(block, -1) {
				part = unindented(part)
				if !slices.ContainsFunc(sources, func(source string) bool { return strings.Contains(source, part) }) {
					t.Errorf("no file of %s has what its page shows:\n%s", name, part)
				}
			}
		}
	}
}

var link = regexp.MustCompile(`\]\(([^)#:]+\.(?:go|sh|yaml))\)`)

func sourcesOf(t *testing.T, name, text string) (sources []string) {
	t.Helper()
	var files []string
	for _, pattern := range []string{"*.go", "*.sh", "*.yaml"} {
		found, err := filepath.Glob(filepath.Join(name, pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	for _, target := range link.FindAllStringSubmatch(text, -1) {
		files = append(files, filepath.Join(name, target[1]))
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatalf("%s/README.md: %v", name, err)
		}
		sources = append(sources, unindented(string(source)))
	}
	return sources
}

// unindented is text without blanks at the begin of lines.
func unindented(text string) string {
	return regexp.MustCompile(`(?m)^[ \t]+`).ReplaceAllString(text, "")
}
