package pages

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/internal/guestbuild"
)

// harness is what a part of a program has around it: the imports that it may use, and the parameters of the function
// that its statements are in.
type harness struct {
	module, imports, parameters string
}

var harnesses = map[string]harness{
	"guest": {
		module:     "guest-sdk",
		imports:    `pup "github.com/pupwasm/pupwasm/guest-sdk"; "github.com/pupwasm/pupwasm/guest-sdk/puptest"; "testing"`,
		parameters: "b *pup.Batch, out *pup.Mutations, e pup.Event",
	},
	"host": {
		module: ".",
		imports: `"context"; "errors"; "path/filepath"; "testing"; "github.com/jackc/pgx/v5"; "github.com/jackc/pgx/v5/pgxpool";
			"github.com/prometheus/client_golang/prometheus"; "go.opentelemetry.io/otel"; "github.com/pupwasm/pupwasm";
			"github.com/pupwasm/pupwasm/aggregate";
			"github.com/pupwasm/pupwasm/segments"; "github.com/pupwasm/pupwasm/store"; "github.com/pupwasm/pupwasm/pupwasmtest";
			"github.com/pupwasm/pupwasm/store/postgres"; "github.com/pupwasm/pupwasm/store/sqlite"`,
		parameters: "ctx context.Context, t *testing.T",
	},
}

// TestGo_compiles compiles every block of Go, as a package of the module that it is for.
func TestGo_compiles(t *testing.T) {
	t.Parallel()
	root := guestbuild.Root(t)
	folders := map[string][]string{} // of packages, by module
	overlay := map[string]string{}   // files that the compiler sees, and where they are
	for i, block := range blocks(t, Go) {
		module, source, err := program(block)
		if err != nil {
			t.Errorf("%s: %v", block.Place(), err)
			continue
		}
		file := filepath.Join(t.TempDir(), fmt.Sprint(i))
		if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
		folder := fmt.Sprintf("page%d", i)
		overlay[filepath.Join(root, module, "internal", folder, "main.go")] = file
		folders[module] = append(folders[module], "./internal/"+folder)
	}
	text, _ := json.Marshal(map[string]any{"Replace": overlay})
	list := filepath.Join(t.TempDir(), "overlay.json")
	if err := os.WriteFile(list, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for module, packages := range folders {
		cmd := exec.CommandContext(t.Context(), "go", append([]string{"build", "-o", os.DevNull, "-overlay", list}, packages...)...)
		cmd.Dir = filepath.Join(root, module)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("go build in %s: %v: %s", module, err, out)
		}
	}
}

// program makes a block a program that compiles, with places of the page in what the compiler says.
func program(block Block) (module, source string, err error) {
	place := fmt.Sprintf("//line %s:%d\n", block.Page, block.Line)
	if block.Note == "" {
		module = "."
		if strings.Contains(block.Text, "pupwasm/guest-sdk") {
			module = "guest-sdk"
		}
		return module, place + strings.Replace(block.Text, "package main\n", "package page\n", 1), nil // it is not linked
	}
	h := harnesses[block.Note]
	text := block.Prelude + place + block.Text
	body := text
	if _, err := parser.ParseFile(token.NewFileSet(), "", "package p\n"+text, 0); err != nil { // statements
		body = fmt.Sprintf("func _(%s) {\n%s\n%s}", h.parameters, text, uses(text))
	}
	source = "package page\nimport (" + h.imports + ")\n" + body + "\n"
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, "", source, 0)
	if err != nil {
		return "", "", err
	}
	return h.module, withoutImports(source, tree), nil
}

// uses uses every variable that statements declare, since a part of a program need not.
func uses(statements string) string {
	tree, err := parser.ParseFile(token.NewFileSet(), "", "package p\nfunc _() {\n"+statements+"\n}", 0)
	if err != nil {
		return ""
	}
	var b strings.Builder
	use := func(name *ast.Ident) {
		if name.Name != "_" {
			fmt.Fprintf(&b, "_ = %s\n", name.Name)
		}
	}
	for _, statement := range tree.Decls[0].(*ast.FuncDecl).Body.List {
		switch s := statement.(type) {
		case *ast.AssignStmt:
			for _, left := range s.Lhs {
				if name, is := left.(*ast.Ident); is && s.Tok == token.DEFINE {
					use(name)
				}
			}
		case *ast.DeclStmt:
			for _, spec := range s.Decl.(*ast.GenDecl).Specs {
				if values, is := spec.(*ast.ValueSpec); is {
					for _, name := range values.Names {
						use(name)
					}
				}
			}
		}
	}
	return b.String()
}

// withoutImports leaves out the imports that a program does not use.
func withoutImports(source string, tree *ast.File) string {
	used := map[string]bool{}
	ast.Inspect(tree, func(node ast.Node) bool {
		if selector, is := node.(*ast.SelectorExpr); is {
			if name, is := selector.X.(*ast.Ident); is {
				used[name.Name] = true
			}
		}
		return true
	})
	var imports strings.Builder
	for _, spec := range tree.Imports {
		path := strings.Trim(spec.Path.Value, `"`)
		name := filepath.Base(strings.TrimSuffix(path, "/v5"))
		if spec.Name != nil {
			name = spec.Name.Name
		}
		if used[name] {
			fmt.Fprintf(&imports, "%s %q;", name, path)
		}
	}
	_, body, _ := strings.Cut(source, ")\n")
	return "package page\nimport (" + imports.String() + ")\n" + body
}
