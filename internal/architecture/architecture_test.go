// Package architecture holds the rules of the house as tests: which way imports run, and what only one place may do.
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
	"strconv"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/internal/guestbuild"
)

const module = "github.com/pupwasm/pupwasm/"

// standardLibraryOnly marks a package that imports nothing beyond the standard library.
const standardLibraryOnly = "standard library"

// allowed says what of the project a package may import outside its tests, and whether libraries are allowed at all.
var allowed = map[string][]string{
	"store":                           {standardLibraryOnly},
	"host/abi":                        {standardLibraryOnly},
	"host/meter":                      {standardLibraryOnly},
	"store/postgres":                  {"store", "store/postgres/internal/grammar", "internal/clock"},
	"store/sqlite":                    {"store", "internal/clock"},
	"store/postgres/internal/grammar": {},
	"migrations":                      {standardLibraryOnly},
	"host":                            {"host/abi", "host/compiler", "host/meter", "store", "internal/clock"},
	"host/compiler":                   {"internal/clock"},
	"host/hosttest":                   {"host/abi"},
	"segments":                        {"host", "store", "internal/clock"},
	"internal/clock":                  {standardLibraryOnly},
	"guest-sdk":                       {"guest-sdk", standardLibraryOnly},
}

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
		tree, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		relative, _ := filepath.Rel(root, path)
		relative = filepath.ToSlash(relative)
		files = append(files, sourceFile{
			path: relative, folder: filepath.ToSlash(filepath.Dir(relative)), test: strings.HasSuffix(path, "_test.go"), tree: tree,
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestImportsRunOneWay(t *testing.T) {
	t.Parallel()
	for _, file := range sources(t) {
		rules, ruled := allowed[file.folder]
		if !ruled || file.test {
			continue
		}
		for _, spec := range file.tree.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			inner, ours := strings.CutPrefix(path, module)
			library := !ours && strings.Contains(strings.Split(path, "/")[0], ".")
			switch {
			case ours && !slices.ContainsFunc(rules, func(rule string) bool {
				return inner == rule || file.folder == "guest-sdk" && strings.HasPrefix(inner, "guest-sdk/")
			}):
				t.Errorf("%s imports %s: %s may import %v", file.path, inner, file.folder, rules)
			case library && slices.Contains(rules, standardLibraryOnly):
				t.Errorf("%s imports %s: %s has the standard library only", file.path, path, file.folder)
			}
		}
	}
}

func TestNoPackageIsNamedAfterNothing(t *testing.T) {
	t.Parallel()
	for _, file := range sources(t) {
		if slices.Contains([]string{"util", "utils", "common", "helpers", "types", "models"}, filepath.Base(file.folder)) {
			t.Errorf("%s: name the package after what it does", file.path)
		}
	}
}

// TestOnlyOneFileAsksForTheTime keeps decisions off the machine's clock: leases go by the database's.
func TestOnlyOneFileAsksForTheTime(t *testing.T) {
	t.Parallel()
	for _, file := range sources(t) {
		if file.test || strings.HasSuffix(file.folder, "test") || file.folder == "internal/clock" || strings.Contains(file.path, "testdata/") {
			continue
		}
		forbid(t, file, "Now", "internal/clock has the time")
		forbid(t, file, "Since", "internal/clock has the time")
	}
}

func TestNothingSleeps(t *testing.T) {
	t.Parallel()
	for _, file := range sources(t) {
		forbid(t, file, "Sleep", "wait for what is to happen")
	}
}

// forbid reports uses of a function of package time.
func forbid(t *testing.T, file sourceFile, function, instead string) {
	t.Helper()
	ast.Inspect(file.tree, func(node ast.Node) bool {
		selector, ok := node.(*ast.SelectorExpr)
		if !ok || selector.Sel.Name != function {
			return true
		}
		if name, ok := selector.X.(*ast.Ident); ok && name.Name == "time" {
			t.Errorf("%s uses time.%s: %s", file.path, function, instead)
		}
		return true
	})
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
