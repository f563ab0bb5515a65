package build

import (
	"fmt"
	"go/ast"
	"go/build"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// sdkPath is the import path of the SDK.
const sdkPath = "github.com/pupwasm/pupwasm/guest-sdk"

// vet looks for mistakes in the main package of a module, and in the packages of the same Go module that it imports. It
// reads the syntax alone: the imports of a file say what an identifier stands for.
func vet(compiler Compiler, packages []*listedPackage) []Mistake {
	root := packages[len(packages)-1]
	v := &vetter{compiler: compiler, files: token.NewFileSet(), names: map[string]string{}}
	for _, p := range packages {
		v.names[p.ImportPath] = p.Name
	}
	elsewhere := false // another module may register the projection
	for _, p := range packages {
		switch {
		case p.Standard || p.Module == nil || root.Module == nil || p.ImportPath == sdkPath:
		case p.Module.Path == root.Module.Path:
			v.vetPackage(p)
		case !strings.HasPrefix(p.ImportPath, sdkPath+"/"):
			elsewhere = true
		}
	}
	if !v.broken {
		v.vetMain(root)
		v.vetRegister(root, elsewhere)
	}
	return sorted(v.found)
}

// vetter is one run of vet.
type vetter struct {
	compiler Compiler
	files    *token.FileSet
	names    map[string]string // of packages, by import path
	found    []Mistake

	broken    bool // a file cannot be parsed, which the compiler says better
	main      *ast.FuncDecl
	registers []registration
	uses      map[string]map[string]bool // which functions of the package under way name a function, by its name
}

// registration is a place that names pup.Register.
type registration struct {
	at     token.Pos
	inside string // the function that it is in, "" for a declaration and a method
	used   []string
}

func (v *vetter) report(at token.Pos, warning bool, format string, args ...any) {
	position := v.files.Position(at)
	v.found = append(v.found, Mistake{
		File: position.Filename, Line: position.Line, Text: fmt.Sprintf(format, args...), Warning: warning,
	})
}

func (v *vetter) vetPackage(p *listedPackage) {
	v.uses = map[string]map[string]bool{}
	first := len(v.registers)
	for _, name := range slices.Concat(p.GoFiles, p.CgoFiles) {
		file, err := parser.ParseFile(v.files, filepath.Join(p.Dir, name), nil, 0)
		if err != nil {
			v.broken = true
			continue
		}
		v.vetFile(file)
	}
	for i := range v.registers[first:] {
		r := &v.registers[first+i]
		for user := range v.uses[r.inside] {
			r.used = append(r.used, user)
		}
	}
}

// vetFile looks at one file.
func (v *vetter) vetFile(file *ast.File) {
	imports, dots := map[string]string{}, []string{}
	for _, spec := range file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		v.vetImport(spec, path)
		switch {
		case spec.Name == nil:
			imports[v.nameOf(path)] = path
		case spec.Name.Name == ".":
			dots = append(dots, path)
		case spec.Name.Name != "_":
			imports[spec.Name.Name] = path
		}
	}
	// What the parser finds no declaration of in the file is an import, of the package, or built in.
	free := map[*ast.Ident]bool{}
	for _, identifier := range file.Unresolved {
		free[identifier] = true
	}
	for _, declaration := range file.Decls {
		inside := ""
		if function, is := declaration.(*ast.FuncDecl); is && function.Recv == nil { // who calls a method is not known
			inside = function.Name.Name
			if inside == "main" && file.Name.Name == "main" {
				v.main = function
			}
		}
		v.vetDeclaration(declaration, inside, imports, dots, free)
	}
}

func (v *vetter) vetDeclaration(
	declaration ast.Decl, inside string, imports map[string]string, dots []string, free map[*ast.Ident]bool,
) {
	ast.Inspect(declaration, func(node ast.Node) bool {
		switch n := node.(type) {
		case *ast.GoStmt:
			v.vetGo(n)
		case *ast.SelectorExpr:
			if x, is := n.X.(*ast.Ident); is && free[x] {
				if path, imported := imports[x.Name]; imported {
					v.vetUse(n.Pos(), path, n.Sel.Name, inside)
					return false
				}
			}
		case *ast.Ident:
			if v.uses[n.Name] == nil {
				v.uses[n.Name] = map[string]bool{}
			}
			if n.Name != inside { // its own name
				v.uses[n.Name][inside] = true
			}
			if free[n] {
				for _, path := range dots {
					v.vetUse(n.Pos(), path, n.Name, inside)
				}
			}
		}
		return true
	})
}

var majorVersion = regexp.MustCompile(`^v\d+$`)

// nameOf is the name under which a package is imported that gets no other.
func (v *vetter) nameOf(path string) string {
	if name := v.names[path]; name != "" {
		return name
	}
	parts := strings.Split(path, "/")
	if last := parts[len(parts)-1]; len(parts) < 2 || !majorVersion.MatchString(last) {
		return last
	}
	return parts[len(parts)-2]
}

// vetMain looks for what makes a package a program.
func (v *vetter) vetMain(root *listedPackage) {
	if root.Name != "main" || v.main != nil || len(root.GoFiles) == 0 {
		return
	}
	v.found = append(v.found, Mistake{
		File: filepath.Join(root.Dir, root.GoFiles[0]), Line: 1,
		Text: "the package has no func main, which a program must have: add 'func main() {}'",
	})
}

// vetRegister looks for where the projection is registered. A module that starts runs its init functions, and not main.
func (v *vetter) vetRegister(root *listedPackage, elsewhere bool) {
	for _, r := range v.registers {
		isMain := func(function string) bool { return function == "main" }
		switch {
		case isMain(r.inside) || len(r.used) > 0 && !slices.ContainsFunc(r.used, func(f string) bool { return !isMain(f) }):
			v.report(r.at, false, "pup.Register is called in main, which does not run in a module: call it in 'func init()'")
		case r.inside != "" && r.inside != "init" && len(r.used) == 0 && !ast.IsExported(r.inside):
			v.report(r.at, false, "pup.Register is called in %s, which nothing calls: call it in 'func init()'", r.inside)
		}
	}
	if elsewhere || len(v.registers) > 0 || len(root.GoFiles) == 0 {
		return
	}
	file, line := filepath.Join(root.Dir, root.GoFiles[0]), 1
	if v.main != nil {
		position := v.files.Position(v.main.Pos())
		file, line = position.Filename, position.Line
	}
	v.found = append(v.found, Mistake{
		File: file, Line: line,
		Text: "the program registers no projection: call pup.Register in 'func init()' (import pup \"" + sdkPath + "\")",
	})
}

// excludedFiles says of each file of a package why it is left out.
func excludedFiles(p *listedPackage, compiler Compiler) []Mistake {
	var found []Mistake
	for _, name := range p.IgnoredGoFiles {
		if strings.HasPrefix(name, "_") || strings.HasPrefix(name, ".") {
			continue
		}
		found = append(found, excluded(p.Dir, name, compiler))
	}
	return found
}

// excluded says why a file is left out: by its import "C", by a line for the compiler, or by its name.
func excluded(folder, name string, compiler Compiler) Mistake {
	path, files := filepath.Join(folder, name), token.NewFileSet()
	m := Mistake{File: path, Line: 1, Text: "the name of the file excludes it from modules, which " + platform(compiler) +
		": rename it"}
	file, err := parser.ParseFile(files, path, nil, parser.ImportsOnly|parser.ParseComments)
	if err != nil {
		return m
	}
	if compiler == Go {
		withC := build.Default
		withC.GOOS, withC.GOARCH, withC.CgoEnabled = "wasip1", "wasm", true
		matches, _ := withC.MatchFile(folder, name)
		for _, spec := range file.Imports {
			if matches && spec.Path.Value == `"C"` {
				m.Line, m.Text = files.Position(spec.Pos()).Line, importsC
				return m
			}
		}
	}
	for _, group := range file.Comments {
		for _, comment := range group.List {
			if constraint.IsGoBuild(comment.Text) && comment.Pos() < file.Package {
				m.Line = files.Position(comment.Pos()).Line
				m.Text = fmt.Sprintf("'%s' excludes the file from modules, which %s: change or remove the line",
					comment.Text, platform(compiler))
			}
		}
	}
	return m
}

// platform says for what a compiler builds modules.
func platform(compiler Compiler) string {
	if compiler == Go {
		return "Go builds with GOOS=wasip1 and GOARCH=wasm"
	}
	return fmt.Sprintf("TinyGo builds with GOOS=%s, GOARCH=%s and the tags tinygo and %s", tinyGoTarget.System,
		tinyGoTarget.Architecture, strings.Join(tinyGoTarget.Tags, ", "))
}

// splitPosition reads file:line:column as the go command writes it, relative to a folder.
func splitPosition(folder, position string) (file string, line int) {
	parts := placeInFile.FindStringSubmatch(position)
	if parts == nil {
		return folder, 0
	}
	line, _ = strconv.Atoi(parts[2])
	if !filepath.IsAbs(parts[1]) {
		return filepath.Join(folder, parts[1]), line
	}
	return parts[1], line
}

// placeInFile is where a line of a compiler says it is.
var placeInFile = regexp.MustCompile(`^((?:[A-Za-z]:)?[^:]+\.\w+):(\d+)`)
