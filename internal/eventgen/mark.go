package eventgen

import (
	"go/ast"
	"go/types"
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
		for _, declaration := range file.Decls {
			general, is := declaration.(*ast.GenDecl)
			if !is {
				continue
			}
			for _, spec := range general.Specs {
				if spec, is := spec.(*ast.TypeSpec); is {
					s.readMark(p, spec, general.Doc, spec.Doc)
				}
			}
		}
	}
}

func (s *source) readMark(p *packages.Package, spec *ast.TypeSpec, comments ...*ast.CommentGroup) {
	object, is := p.TypesInfo.Defs[spec.Name].(*types.TypeName)
	if !is {
		return
	}
	m := noMark()
	for _, group := range comments {
		if group == nil {
			continue
		}
		for _, comment := range group.List {
			if text, is := strings.CutPrefix(comment.Text, "//pup:"); is {
				s.addMark(&m, comment, text)
			}
		}
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
