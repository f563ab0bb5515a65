package pages

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/internal/guestbuild"
)

// all are the pages of the repository.
func all(t *testing.T) []*Page {
	t.Helper()
	pages, err := All(guestbuild.Root(t))
	if err != nil || len(pages) < 30 {
		t.Fatalf("%d pages: %v", len(pages), err)
	}
	return pages
}

// blocks are those of a kind.
func blocks(t *testing.T, kind Kind) (found []Block) {
	t.Helper()
	for _, page := range all(t) {
		for _, block := range page.Blocks {
			if is, err := block.Kind(); err == nil && is == kind {
				found = append(found, block)
			}
		}
	}
	return found
}

func TestBlocks_aTestKnowsEach(t *testing.T) {
	t.Parallel()
	noted := map[string]bool{}
	for _, page := range all(t) {
		for _, block := range page.Blocks {
			kind, err := block.Kind()
			if err != nil {
				t.Error(err)
			}
			if kind == Diff && page.Path != "docs/tutorial.md" {
				t.Errorf("%s: only docs/tutorial.md is tested with its differences", block.Place())
			}
			noted[block.Note] = true
		}
	}
	for page, file := range pageTests {
		for _, path := range []string{page, file} {
			if _, err := os.Stat(filepath.Join(guestbuild.Root(t), filepath.FromSlash(path))); err != nil {
				t.Error(err)
			}
		}
	}
	for note, file := range Tests {
		text, err := os.ReadFile(filepath.Join(guestbuild.Root(t), file))
		if err != nil || !strings.Contains(string(text), note) || !noted[note] {
			t.Errorf("%s: no page has this block, or %s does not read it", note, file)
		}
	}
}

func TestLinks_leadSomewhere(t *testing.T) {
	t.Parallel()
	root := guestbuild.Root(t)
	pages := map[string]*Page{}
	for _, page := range all(t) {
		pages[page.Path] = page
	}
	for _, page := range pages {
		for _, link := range page.Links {
			to := link.Target()
			if to.Path == "" {
				continue
			}
			if strings.HasPrefix(to.Path, "../") {
				t.Errorf("%s: %s leads out of the repository", link.Place(), link.Text)
			} else if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(to.Path))); err != nil {
				t.Errorf("%s: %s leads nowhere", link.Place(), link.Text)
			} else if to.Anchor != "" && (pages[to.Path] == nil || !pages[to.Path].Anchors[to.Anchor]) {
				t.Errorf("%s: %s: the page has no such heading", link.Place(), link.Text)
			}
		}
	}
}

// TestIndex_hasEveryPage looks for the pages of the site in its index.
func TestIndex_hasEveryPage(t *testing.T) {
	t.Parallel()
	index, err := Read(guestbuild.Root(t), "docs/README.md")
	if err != nil {
		t.Fatal(err)
	}
	linked := map[string]bool{index.Path: true}
	for _, link := range index.Links {
		linked[link.Target().Path] = true
	}
	for _, page := range all(t) {
		if strings.HasPrefix(page.Path, "docs/") && !linked[page.Path] {
			t.Errorf("docs/README.md does not link %s", page.Path)
		}
	}
}

func TestExcerpts_areOfTheirFiles(t *testing.T) {
	t.Parallel()
	for _, block := range blocks(t, Excerpt) {
		file := strings.TrimPrefix(block.Note, "excerpt ")
		text, err := os.ReadFile(filepath.Join(guestbuild.Root(t), file))
		if err != nil || !strings.Contains(string(text), block.Text) {
			t.Errorf("%s: the block is not in %s (%v)", block.Place(), file, err)
		}
	}
}

// TestC_compiles compiles programs in C for WebAssembly where there is clang, and checks their syntax and types elsewhere.
func TestC_compiles(t *testing.T) {
	t.Parallel()
	for _, block := range blocks(t, C) {
		file := filepath.Join(t.TempDir(), "guest.c")
		command := []string{"gcc", "-fsyntax-only", "-w", file} // without a warning of what only clang knows
		if _, err := exec.LookPath("clang"); err == nil {
			command = []string{"clang", "--target=wasm32", "-O2", "-c", "-o", file + ".o", file}
		}
		compile(t, block, file, command...)
	}
}

// TestRust_compiles checks programs in Rust where there is its compiler, for this machine: WebAssembly's library may
// not be installed.
func TestRust_compiles(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("rustc"); err != nil {
		t.Skip("there is no rustc")
	}
	for _, block := range blocks(t, Rust) {
		file := filepath.Join(t.TempDir(), "guest.rs")
		compile(t, block, file, "rustc", "--edition", "2021", "--crate-type", "cdylib", "--emit=metadata", "-o", file+".rmeta", file)
	}
}

// compile writes a block into a file and runs a compiler.
func compile(t *testing.T, block Block, file string, command ...string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(block.Text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), command[0], command[1:]...).CombinedOutput(); err != nil {
		t.Errorf("%s: %v: %s", block.Place(), err, out)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	page := Parse("docs/a.md", []byte("# A `b`: c, d\n\nSee `pupwasm\nrun` in [e](f.md#g).\n\n<!-- guest\nvar x int\n-->\n```go\nx++\n```\n\n"+
		"1. in a list\n\n       $ ls\n\n# A b, c d\n"))
	if len(page.Blocks) != 2 || len(page.Code) != 2 || len(page.Links) != 1 || !page.Anchors["a-b-c-d"] || !page.Anchors["a-b-c-d-1"] {
		t.Fatalf("%+v", page)
	}
	first, second := page.Blocks[0], page.Blocks[1]
	if first.Note != "guest" || first.Prelude != "var x int\n" || first.Text != "x++\n" || first.Place() != "docs/a.md:10" {
		t.Errorf("%+v", first)
	}
	if kind, err := second.Kind(); kind != Shell || err != nil || second.Text != "$ ls\n" {
		t.Errorf("%q, %v: %+v", kind, err, second)
	}
	if code := page.Code[1]; code.Text != "pupwasm run" || code.Place() != "docs/a.md:3" {
		t.Errorf("%+v", code)
	}
	if to := page.Links[0].Target(); to != (Target{"docs/f.md", "g"}) {
		t.Errorf("%+v", to)
	}
	for _, block := range []Block{{Language: "python"}, {Language: "yaml"}, {Note: "guest"}} {
		if kind, err := block.Kind(); err == nil {
			t.Errorf("%+v is of the kind %q", block, kind)
		}
	}
}
