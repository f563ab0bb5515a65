package eventgen

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"iter"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/go/packages"

	"github.com/pupwasm/pupwasm/store"
)

// mark is what the comment of a type says to the generator:
//
//	//pup:event order.placed   the struct is an event, stored with this type; without a name, with the struct's
//	//pup:part                 the struct is no event
//	//pup:decimals 2           values of this integer are JSON numbers with that many decimals
type mark struct {
	event    bool
	stored   string
	part     bool
	decimals int // -1 for none
}

// decimalsMax is how many decimals the SDK's JSON reader takes.
const decimalsMax = 18

func noMark() mark { return mark{decimals: -1} }

func (s *source) markOf(t *types.TypeName) mark {
	if m, is := s.marks[t]; is {
		return m
	}
	return noMark()
}

// readMarks reads the comments of the types of a package.
func (s *source) readMarks(p *packages.Package) {
	for _, file := range p.Syntax {
		for spec, comment := range typesOf(file) {
			s.readMark(p, spec, comment)
		}
	}
}

// typesOf gives the types that a file declares, each with the comment above it, or nil.
func typesOf(file *ast.File) iter.Seq2[*ast.TypeSpec, *ast.CommentGroup] {
	return func(yield func(*ast.TypeSpec, *ast.CommentGroup) bool) {
		for _, declaration := range file.Decls {
			general, is := declaration.(*ast.GenDecl)
			if !is {
				continue
			}
			for _, spec := range general.Specs {
				if spec, is := spec.(*ast.TypeSpec); is && !yield(spec, typeComment(general, spec)) {
					return
				}
			}
		}
	}
}

// typeComment is the comment of a type. That above a group is of none of its types.
func typeComment(general *ast.GenDecl, spec *ast.TypeSpec) *ast.CommentGroup {
	if general.Lparen.IsValid() {
		return spec.Doc
	}
	return general.Doc
}

func (s *source) readMark(p *packages.Package, spec *ast.TypeSpec, comments *ast.CommentGroup) {
	object, is := p.TypesInfo.Defs[spec.Name].(*types.TypeName)
	if !is || comments == nil {
		return
	}
	m := noMark()
	for _, comment := range comments.List {
		if text, is := strings.CutPrefix(comment.Text, "//pup:"); is {
			s.addMark(&m, comment, text)
		}
	}
	if m != noMark() && object.IsAlias() {
		s.mistake(spec.Pos(), "%s is marked and is another name of a type: mark that type", spec.Name)
	}
	if basic, is := object.Type().Underlying().(*types.Basic); m.decimals >= 0 && (!is || basic.Kind() != types.Int64) {
		s.mistake(spec.Pos(), "%s is marked with //pup:decimals and is no int64", spec.Name)
	}
	if m.event && m.part {
		s.mistake(spec.Pos(), "%s is marked as an event and as a part of one: remove one of the marks", spec.Name)
	}
	s.marks[object] = m
}

func (s *source) addMark(m *mark, comment *ast.Comment, text string) {
	word, argument, _ := strings.Cut(text, " ")
	argument = strings.TrimSpace(argument)
	switch word {
	case "event":
		m.event, m.stored = true, argument
		if argument != "" {
			if err := (&store.Event{Type: argument}).Validate(0); err != nil {
				s.mistake(comment.Pos(), "//pup:event: %v", err)
			}
		}
	case "part":
		m.part = true
	case "decimals":
		decimals, err := strconv.Atoi(argument)
		if err != nil || decimals < 0 || decimals > decimalsMax {
			s.mistake(comment.Pos(), "//pup:decimals %s: write a number from 0 to %d", argument, decimalsMax)
			return
		}
		m.decimals = decimals
	default:
		s.mistake(comment.Pos(), "//pup:%s is unknown: there are //pup:event, //pup:part and //pup:decimals", word)
	}
}

// checkPlace refuses a type that is marked in a package where marks are not read.
func (s *source) checkPlace(object *types.TypeName) error {
	if object.Pkg() == nil || slices.ContainsFunc(s.versions, func(v *version) bool { return v.pkg.Types == object.Pkg() }) {
		return nil
	}
	place := s.fset.Position(object.Pos())
	if !strings.HasPrefix(place.Filename, filepath.Dir(s.module)) {
		return nil // another Go module
	}
	file, err := parser.ParseFile(token.NewFileSet(), place.Filename, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil // it has compiled
	}
	for _, group := range file.Comments {
		for _, comment := range group.List {
			if strings.HasPrefix(comment.Text, "//pup:decimals") {
				return fmt.Errorf("has the type %s of package %s, where //pup:decimals has no effect: move the types with it to v1",
					object.Name(), object.Pkg().Name())
			}
		}
	}
	return nil
}
