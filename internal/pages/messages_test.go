package pages

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/internal/guestbuild"
)

// gap means what a text has in one place or another.
const gap = "…"

var verbs = regexp.MustCompile(`%(\[[0-9]+\])?[-+# 0]*[0-9]*(\.[0-9]+)?[a-zA-Z]`)

// texts are the texts of the program, with gaps for what it fills in.
func texts(t *testing.T) (all []string) {
	t.Helper()
	root := guestbuild.Root(t)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		tree, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(tree, func(node ast.Node) bool {
			expression, is := node.(ast.Expr)
			if !is {
				return true
			}
			text := textOf(expression)
			if strings.Trim(text, gap) != "" {
				all = append(all, text)
			}
			_, isSum := expression.(*ast.BinaryExpr)
			return !isSum || text == gap
		})
		return nil
	})
	if err != nil || len(all) < 1000 {
		t.Fatalf("%d texts: %v", len(all), err)
	}
	return all
}

// textOf is the text of an expression, with gaps.
func textOf(expression ast.Expr) string {
	switch e := expression.(type) {
	case *ast.BasicLit:
		if e.Kind == token.STRING {
			text, _ := strconv.Unquote(e.Value)
			return strings.Join(strings.Fields(strings.ReplaceAll(verbs.ReplaceAllString(text, gap), "%%", "%")), " ") +
				map[bool]string{true: " "}[strings.HasSuffix(text, " ")]
		}
	case *ast.BinaryExpr:
		if e.Op == token.ADD {
			return textOf(e.X) + textOf(e.Y)
		}
	case *ast.CallExpr: // fmt.Sprintf(…) within a sum
		if len(e.Args) > 0 {
			return textOf(e.Args[0])
		}
	}
	return gap
}

// inOrder tells whether a text has all parts, one behind the other.
func inOrder(text string, parts []string) bool {
	for _, part := range parts {
		at := strings.Index(text, part)
		if at < 0 {
			return false
		}
		text = text[at+len(part):]
	}
	return true
}

// fixed are the parts of a text between its gaps.
func fixed(text string) (parts []string) {
	for part := range strings.SplitSeq(text, gap) {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}

// TestMessages_areOfTheProgram looks for the messages of docs/troubleshooting.md, and for those that other pages show,
// in the texts of the program.
func TestMessages_areOfTheProgram(t *testing.T) {
	t.Parallel()
	program := texts(t)
	page, err := Read(guestbuild.Root(t), "docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	messages := 0
	for _, message := range page.Code {
		if !message.First {
			continue
		}
		messages++
		parts := fixed(message.Text)
		if !slices.ContainsFunc(program, func(text string) bool { return inOrder(text, parts) }) {
			t.Errorf("%s: the program has no text %q", message.Place(), message.Text)
		}
	}
	if messages < 40 {
		t.Errorf("%d messages were found", messages)
	}
	for _, block := range blocks(t, Message) {
		shown := strings.Join(strings.Fields(block.Text), " ")
		if !slices.ContainsFunc(program, func(text string) bool {
			parts := fixed(text)
			return len(strings.Join(parts, "")) >= 15 && inOrder(shown, parts)
		}) {
			t.Errorf("%s: the program has no text like it", block.Place())
		}
	}
}

// TestTroubleshooting_hasEveryFindingOfDoctor looks for the names of the checks.
func TestTroubleshooting_hasEveryFindingOfDoctor(t *testing.T) {
	t.Parallel()
	page, err := Read(guestbuild.Root(t), "docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, code := range page.Code {
		named[code.Text] = true
	}
	checks := 0
	for _, file := range []string{
		"internal/doctor/doctor.go", "internal/doctor/hosts.go", "internal/doctor/projections.go",
		"store/postgres/diagnose.go", "store/sqlite/diagnose.go",
	} {
		tree, err := parser.ParseFile(token.NewFileSet(), filepath.Join(guestbuild.Root(t), file), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(node ast.Node) bool {
			if check := checkOf(node); check != "" {
				checks++
				if !named[check] {
					t.Errorf("docs/troubleshooting.md has no entry for the check `%s` of %s", check, file)
				}
			}
			return true
		})
	}
	if checks < 25 {
		t.Errorf("%d checks were found", checks)
	}
}

// checkOf returns the name of a check that a call or a literal reports on.
func checkOf(node ast.Node) string {
	var of ast.Expr
	switch n := node.(type) {
	case *ast.CallExpr:
		name := ""
		switch fn := n.Fun.(type) {
		case *ast.Ident:
			name = fn.Name
		case *ast.SelectorExpr:
			name = fn.Sel.Name
		}
		switch {
		case len(n.Args) > 1 && (name == "ok" || name == "check"):
			of = n.Args[0]
		case len(n.Args) > 3 && name == "add":
			of = n.Args[1]
		}
	case *ast.KeyValueExpr:
		if key, is := n.Key.(*ast.Ident); is && key.Name == "Check" {
			of = n.Value
		}
	case *ast.ValueSpec:
		if n.Names[0].Name == "check" && len(n.Values) == 1 {
			of = n.Values[0]
		}
	}
	if literal, is := of.(*ast.BasicLit); is {
		text, _ := strconv.Unquote(literal.Value)
		return text
	}
	return ""
}
