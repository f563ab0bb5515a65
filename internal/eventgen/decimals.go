package eventgen

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"slices"
	"strings"
)

// decimalsFile is the file of a version's package that says how its decimals look in JSON.
const decimalsFile = "decimals_gen.go"

// decimalsOf returns the methods of the decimals of a version, or nil where it has none.
func (s *source) decimalsOf(v *version) ([]byte, error) {
	scope := v.pkg.Types.Scope()
	names := slices.DeleteFunc(scope.Names(), func(name string) bool {
		object, is := scope.Lookup(name).(*types.TypeName)
		return !is || s.markOf(object).decimals < 0
	})
	if len(names) == 0 {
		return nil, nil
	}
	c := newCode(append(scope.Names(), "d", "text")...)
	typed := c.use(guestSDK+"/typed", "typed")
	for _, name := range names {
		decimals := s.markOf(scope.Lookup(name).(*types.TypeName)).decimals
		c.printf("// MarshalJSON writes the value as a number with %d decimals.\n", decimals)
		c.printf("func (d %s) MarshalJSON() ([]byte, error) {\nreturn %s.AppendDecimal(nil, int64(d), %d), nil\n}\n\n", name, typed,
			decimals)
		c.printf("// UnmarshalJSON reads a number of up to %d decimals, exactly.\n", decimals)
		c.printf("func (d *%s) UnmarshalJSON(text []byte) error {\nreturn %s.ParseDecimal(text, %d, (*int64)(d))\n}\n\n", name,
			typed, decimals)
	}
	return c.file("", v.pkg.Name)
}

// decimalStubs replaces the decimals file of a folder while its package is loaded, since the file itself may not fit any
// more: the types that are marked have the methods that they will have. It is nil where there is nothing to replace.
func decimalStubs(folder string) []byte {
	var stubs bytes.Buffer
	fmt.Fprintf(&stubs, "package %s\n", packageName(folder, decimalsFile))
	found := exists(filepath.Join(folder, decimalsFile))
	for _, file := range sourcesOf(folder, decimalsFile) {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil // the go command says it
		}
		for _, name := range markedDecimals(parsed) {
			found = true
			fmt.Fprintf(&stubs, "\nfunc (%s) MarshalJSON() ([]byte, error) { return nil, nil }\n", name)
			fmt.Fprintf(&stubs, "\nfunc (*%s) UnmarshalJSON([]byte) error { return nil }\n", name)
		}
	}
	if !found {
		return nil
	}
	return stubs.Bytes()
}

// markedDecimals are the names of the types of a file that are marked.
func markedDecimals(file *ast.File) (names []string) {
	for spec, comment := range typesOf(file) {
		if !spec.Assign.IsValid() && isDecimal(comment) {
			names = append(names, spec.Name.Name)
		}
	}
	return names
}

func isDecimal(comments *ast.CommentGroup) bool {
	return comments != nil && slices.ContainsFunc(comments.List, func(comment *ast.Comment) bool {
		return strings.HasPrefix(comment.Text, "//pup:decimals ")
	})
}
