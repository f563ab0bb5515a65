package pages

import (
	"flag"
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/internal/guestbuild"
)

var update = flag.Bool("update", false, "write the list of names into docs/sdk.md")

const (
	sdkBegin = "<!-- generated: go test ./internal/pages -run TestSDK -update -->\n"
	sdkEnd   = "<!-- end -->\n"
)

// sdkPackage reads the documentation of a package of the SDK.
func sdkPackage(t *testing.T, folder string) *doc.Package {
	t.Helper()
	set := token.NewFileSet()
	var files []*ast.File
	sources, err := filepath.Glob(filepath.Join(guestbuild.Root(t), folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, source := range sources {
		if strings.HasSuffix(source, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(set, source, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	p, err := doc.NewFromFiles(set, files, "github.com/pupwasm/pupwasm/"+folder)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// names lists what a package exports, with the first sentence of each.
func names(p *doc.Package) string {
	var b strings.Builder
	row := func(name, text string) {
		text = strings.NewReplacer("|", "\\|", "<", "\\<", "*", "\\*", "_", "\\_").Replace(p.Synopsis(text))
		fmt.Fprintf(&b, "| `%s` | %s |\n", name, text)
	}
	values := func(all []*doc.Value) {
		for _, value := range all {
			for _, name := range value.Names {
				if ast.IsExported(name) {
					row(name, value.Doc)
				}
			}
		}
	}
	functions := func(receiver string, all []*doc.Func) {
		for _, fn := range all {
			row(receiver+fn.Name, fn.Doc)
		}
	}
	fmt.Fprintf(&b, "\n### Package %s\n\n| name | |\n|---|---|\n", p.ImportPath)
	values(p.Consts)
	values(p.Vars)
	functions("", p.Funcs)
	for _, of := range p.Types {
		row(of.Name, of.Doc)
		values(of.Consts)
		values(of.Vars)
		functions("", of.Funcs)
		functions(of.Name+".", of.Methods)
	}
	return b.String()
}

// TestSDK_thePageHasEveryName compares the list of docs/sdk.md with the packages.
func TestSDK_thePageHasEveryName(t *testing.T) {
	t.Parallel()
	want := sdkBegin + names(sdkPackage(t, "guest-sdk")) + names(sdkPackage(t, "guest-sdk/json")) + sdkEnd
	file := filepath.Join(guestbuild.Root(t), "docs", "sdk.md")
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	guide, _, found := strings.Cut(string(page), sdkBegin)
	if *update {
		if err := os.WriteFile(file, []byte(guide+want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if !found || string(page) != guide+want {
		t.Error("the list of docs/sdk.md is not what the packages have: run the test with -update")
	}
}

var ofSDK = regexp.MustCompile(`\bpup\.([A-Z]\w*)`)

// TestSDK_namesInSentencesExist looks for the names pup.X that sentences of pages have.
func TestSDK_namesInSentencesExist(t *testing.T) {
	t.Parallel()
	exported := strings.Split(names(sdkPackage(t, "guest-sdk")), "\n")
	for _, page := range all(t) {
		for _, code := range page.Code {
			for _, name := range ofSDK.FindAllStringSubmatch(code.Text, -1) {
				begins := "| `" + name[1] + "` |"
				if !slices.ContainsFunc(exported, func(row string) bool { return strings.HasPrefix(row, begins) }) {
					t.Errorf("%s: `%s`: the SDK has no %s", code.Place(), code.Text, name[0])
				}
			}
		}
	}
}
