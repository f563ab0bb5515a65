// Package pages reads the pages of the project (Markdown), for the tests that keep them true: their blocks of code,
// code within sentences, links and headings. Only tests use it.
//
// A comment of HTML directly above a block says what a reader need not see: see [Block].
package pages

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	extast "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/text"
)

// Page is one page.
type Page struct {
	Path    string // in the repository, with slashes
	Blocks  []Block
	Code    []Inline // `code` within sentences
	Links   []Inline // what links and images refer to
	Anchors map[string]bool
}

// Inline is a text of a page.
type Inline struct {
	Page  string
	Line  int
	Text  string
	First bool // of code: it begins a row of a table
}

// Place is where the text is, for messages.
func (i Inline) Place() string { return fmt.Sprintf("%s:%d", i.Page, i.Line) }

// All reads every page of the repository in a folder, except those below folders called testdata/script or beginning
// with a point.
func All(root string) (all []*Page, err error) {
	err = filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && file != root && (strings.HasPrefix(name, ".") || name == "bin" || name == "dist") {
			return filepath.SkipDir
		}
		if entry.IsDir() || filepath.Ext(name) != ".md" {
			return nil
		}
		relative, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		page, err := Read(root, filepath.ToSlash(relative))
		all = append(all, page)
		return err
	})
	return all, err
}

// Read reads the page at a path of the repository.
func Read(root, name string) (*Page, error) {
	source, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
	if err != nil {
		return nil, err
	}
	return Parse(name, source), nil
}

// Parse reads a page.
func Parse(name string, source []byte) *Page {
	p := &reader{page: &Page{Path: name, Anchors: map[string]bool{}}, source: source, seen: map[string]int{}}
	document := goldmark.New(goldmark.WithExtensions(extension.Table)).Parser().Parse(text.NewReader(source))
	_ = ast.Walk(document, p.visit) // visit returns no error
	return p.page
}

type reader struct {
	page   *Page
	source []byte
	line   int            // of the block that is read
	seen   map[string]int // anchors, and how often
}

func (p *reader) visit(node ast.Node, entering bool) (ast.WalkStatus, error) {
	if !entering {
		return ast.WalkContinue, nil
	}
	if node.Type() == ast.TypeBlock && node.Lines().Len() > 0 {
		p.line = p.lineAt(node.Lines().At(0).Start)
	}
	switch n := node.(type) {
	case *ast.Heading:
		p.anchor(p.textOf(n))
	case *ast.FencedCodeBlock:
		p.block(n, string(n.Language(p.source)))
	case *ast.CodeBlock:
		p.block(n, "")
	case *ast.CodeSpan:
		code := p.inline(n, p.textOf(n))
		cell, inTable := n.Parent().(*extast.TableCell)
		code.First = inTable && cell.PreviousSibling() == nil && n.PreviousSibling() == nil
		p.page.Code = append(p.page.Code, code)
	case *ast.Link:
		p.page.Links = append(p.page.Links, p.inline(n, string(n.Destination)))
	case *ast.Image:
		p.page.Links = append(p.page.Links, p.inline(n, string(n.Destination)))
	}
	return ast.WalkContinue, nil
}

func (p *reader) lineAt(offset int) int { return 1 + bytes.Count(p.source[:offset], []byte("\n")) }

func (p *reader) inline(node ast.Node, content string) Inline {
	line := p.line
	for child := node.FirstChild(); child != nil; child = child.FirstChild() {
		if t, is := child.(*ast.Text); is {
			line = p.lineAt(t.Segment.Start)
		}
	}
	return Inline{Page: p.page.Path, Line: line, Text: strings.Join(strings.Fields(content), " ")}
}

// textOf returns the text of a node without its markup.
func (p *reader) textOf(node ast.Node) string {
	var b strings.Builder
	_ = ast.Walk(node, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if t, is := n.(*ast.Text); is && entering {
			b.Write(t.Segment.Value(p.source))
			if t.SoftLineBreak() {
				b.WriteByte(' ')
			}
		}
		return ast.WalkContinue, nil
	})
	return b.String()
}

// anchor notes a heading by the name that GitHub gives it.
func (p *reader) anchor(heading string) {
	name := strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
	if n := p.seen[name]; n > 0 {
		p.page.Anchors[name+"-"+strconv.Itoa(n)] = true
	}
	p.seen[name]++
	p.page.Anchors[name] = true
}

func (p *reader) block(node ast.Node, language string) {
	b := Block{Inline: Inline{Page: p.page.Path, Line: p.line}, Language: language}
	lines := node.Lines()
	for i := range lines.Len() {
		line := lines.At(i)
		b.Text += strings.Repeat(" ", line.Padding) + string(line.Value(p.source))
	}
	if comment, is := node.PreviousSibling().(*ast.HTMLBlock); is {
		note := string(comment.Lines().Value(p.source))
		if comment.HasClosure() {
			note += string(comment.ClosureLine.Value(p.source))
		}
		note, isComment := strings.CutPrefix(strings.TrimSpace(note), "<!--")
		note, closed := strings.CutSuffix(note, "-->")
		if isComment && closed {
			b.Note, b.Prelude, _ = strings.Cut(strings.TrimLeft(note, " "), "\n")
			b.Note = strings.TrimSpace(b.Note)
		}
	}
	p.page.Blocks = append(p.page.Blocks, b)
}

// Target is the page and the anchor that a link of a page refers to. Path is empty for one of the web.
type Target struct{ Path, Anchor string }

// Target resolves a link.
func (i Inline) Target() Target {
	if strings.Contains(i.Text, "://") || strings.HasPrefix(i.Text, "mailto:") {
		return Target{}
	}
	name, anchor, _ := strings.Cut(i.Text, "#")
	if name == "" {
		return Target{Path: i.Page, Anchor: anchor}
	}
	return Target{Path: path.Join(path.Dir(i.Page), name), Anchor: anchor}
}
