// Package architecture tests rules that no linter knows. Those of imports and of time are in .golangci.yml.
package architecture

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/internal/guestbuild"
)

type sourceFile struct {
	path   string // from the root, with slashes
	folder string
	test   bool
	tree   *ast.File
}

func sources(t *testing.T) []sourceFile {
	t.Helper()
	root := guestbuild.Root(t)
	var files []sourceFile
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && path != root && strings.HasPrefix(entry.Name(), ".") {
			return filepath.SkipDir
		}
		if entry.IsDir() || filepath.Ext(path) != ".go" {
			return nil
		}
		tree, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution|parser.ParseComments)
		if err != nil {
			return err
		}
		relative, _ := filepath.Rel(root, path)
		relative = filepath.ToSlash(relative)
		files = append(files, sourceFile{
			path: relative, folder: filepath.ToSlash(filepath.Dir(relative)),
			test: strings.HasSuffix(path, "_test.go"), tree: tree,
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestNoPackageIsNamedAfterNothing(t *testing.T) {
	t.Parallel()
	vague := []string{"util", "utils", "common", "helpers", "types", "models"}
	for _, file := range sources(t) {
		if slices.Contains(vague, filepath.Base(file.folder)) {
			t.Errorf("%s: name the package after what it does", file.path)
		}
	}
}

// TestErrors_nameNoFlags looks through the texts of the libraries: a flag or command means nothing to a program that
// embeds the host. They name the option in Go, and package main puts the flag in its place.
func TestErrors_nameNoFlags(t *testing.T) {
	t.Parallel()
	ofCLI := regexp.MustCompile(`(^|[^-\w])--[a-z]{2,}|'(pupwasm )?(run|reset|status|migrate|segments|grant|sign|append)\b`)
	library := regexp.MustCompile(`^(\.|(host|store|segments|migrations|pupwasmtest)(/.*)?|guest-sdk/puptest)$`)
	looked := 0
	for _, file := range sources(t) {
		if file.test || !library.MatchString(file.folder) || strings.Contains(file.folder, "/worst") {
			continue
		}
		ast.Inspect(file.tree, func(n ast.Node) bool {
			if text, is := n.(*ast.BasicLit); is && text.Kind == token.STRING {
				looked++
				if ofCLI.MatchString(text.Value) {
					t.Errorf("%s: %s", file.path, text.Value)
				}
			}
			return true
		})
	}
	if looked < 1000 {
		t.Errorf("%d texts were looked at", looked)
	}
}

// TestDocs_everyExportedFunctionHasAComment looks at functions and methods, also those of types that are not exported;
// the linter lets some names of methods pass.
func TestDocs_everyExportedFunctionHasAComment(t *testing.T) {
	t.Parallel()
	for _, file := range sources(t) {
		for _, declaration := range file.tree.Decls {
			function, is := declaration.(*ast.FuncDecl)
			if is && !file.test && function.Name.IsExported() && function.Doc.Text() == "" {
				t.Errorf("%s: %s has no comment", file.path, function.Name)
			}
		}
	}
}

// TestModules_releasedOnesReplaceNothing reads the go.mod of the modules that have tags: 'go install' refuses one that
// replaces a module.
func TestModules_releasedOnesReplaceNothing(t *testing.T) {
	t.Parallel()
	for _, folder := range []string{".", "guest-sdk"} {
		text, err := os.ReadFile(filepath.Join(guestbuild.Root(t), folder, "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		if regexp.MustCompile(`(?m)^replace\b`).Match(text) {
			t.Errorf("%s/go.mod replaces a module", folder)
		}
	}
}

// TestSecurity_namesTestsThatAreThere looks for every test that SECURITY.md names.
func TestSecurity_namesTestsThatAreThere(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(guestbuild.Root(t), "SECURITY.md"))
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, file := range sources(t) {
		for _, declaration := range file.tree.Decls {
			if function, is := declaration.(*ast.FuncDecl); is && file.test {
				there[function.Name.Name] = true
			}
		}
	}
	named := regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9_]+)`").FindAllStringSubmatch(string(page), -1)
	if len(named) == 0 {
		t.Error("SECURITY.md names no test")
	}
	for _, match := range named {
		if !there[match[1]] {
			t.Errorf("SECURITY.md names %s, which is no test", match[1])
		}
	}
}
