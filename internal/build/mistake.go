package build

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/pupwasm/pupwasm/internal/oneline"
)

// Mistake is something in the source of a projection that a host would refuse, or that does not do in a module what it
// does elsewhere.
type Mistake struct {
	File    string `json:"file"`           // relative to the current folder, or absolute
	Line    int    `json:"line,omitempty"` // 0 for the whole file or folder
	Text    string `json:"text"`           // one line: what is wrong, and what to do
	Warning bool   `json:"warning"`        // it may work
}

// String is the mistake in one line, with its place in front.
func (m Mistake) String() string {
	where := Relative(m.File)
	if m.Line > 0 {
		where = fmt.Sprintf("%s:%d", where, m.Line)
	}
	if m.Warning {
		return fmt.Sprintf("%s: warning: %s", where, m.Text)
	}
	return fmt.Sprintf("%s: %s", where, m.Text)
}

// MistakesError says what is wrong in the source of a projection, with which it is not compiled.
type MistakesError struct {
	Folder   string
	Mistakes []Mistake // at least one that is no warning
}

// Error has all of them in one line.
func (e *MistakesError) Error() string {
	lines := make([]string, len(e.Mistakes))
	for i, m := range e.Mistakes {
		lines[i] = m.String()
	}
	return strings.Join(lines, "; ")
}

// sorted orders mistakes by their place, and drops repetitions.
func sorted(mistakes []Mistake) []Mistake {
	slices.SortStableFunc(mistakes, func(a, b Mistake) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Text, b.Text))
	})
	return slices.Compact(mistakes)
}

// refuses tells whether one of them is no warning.
func refuses(mistakes []Mistake) bool {
	return slices.ContainsFunc(mistakes, func(m Mistake) bool { return !m.Warning })
}

// listingMistakes are what the go command finds in the imports of a module.
func listingMistakes(project Project, compiler Compiler, packages []*listedPackage) []Mistake {
	root := packages[len(packages)-1]
	var found []Mistake
	for _, p := range packages {
		if p.Error == nil {
			continue
		}
		if p == root && len(p.GoFiles) == 0 && strings.Contains(p.Error.Err, "build constraints exclude all Go files") {
			found = append(found, excludedFiles(p, compiler)...)
			continue
		}
		file, line := splitPosition(project.Folder, p.Error.Pos)
		first, _, _ := strings.Cut(p.Error.Err, "; to add it:")
		text := oneline.Text(first)
		if strings.Contains(text, "no required module provides package") {
			text += ": 'go get " + p.ImportPath + "' adds it"
		}
		found = append(found, Mistake{File: file, Line: line, Text: text})
	}
	return sorted(found)
}
