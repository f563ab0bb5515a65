// Package verdict says what an error of a database means for who reads and writes it. Each driver has a [Table] of
// the errors of its database, which docs/errors.md shows.
package verdict

import (
	"fmt"
	"strings"
)

// Verdict is what is done about an error.
type Verdict uint8

// The verdicts.
const (
	// Row refuses what is written or asked: the batch is divided until the event at fault is found.
	Row Verdict = iota + 1
	// Stop says that the statement fails whatever the event is: the tables are not as they were installed.
	Stop
	// Limit says that a limit of time or space was met: the statement is at fault when it is met again and again.
	Limit
	// Again has undone the transaction for the sake of another one: it is tried again at once.
	Again
	// Wait may pass by itself: it is tried again with growing pauses.
	Wait
	// Repair does not pass before somebody repairs the database. A host tries again meanwhile, with growing pauses.
	Repair
)

// words are those of docs/errors.md.
var words = map[Verdict]string{
	Row: "event", Stop: "stop", Limit: "limit", Again: "at once", Wait: "wait", Repair: "repair",
}

// String is the word of the documentation.
func (v Verdict) String() string { return words[v] }

// Verdicts are those of one error, by the phase in which it comes.
type Verdicts struct {
	Module Verdict // in a statement or query of a projection
	Own    Verdict // in a statement of the store
	Commit Verdict // when a batch is committed
}

// Line is what one error of a database means.
type Line[C comparable] struct {
	Code  C
	Name  string // of the database's manual
	Means string // for an operator, with what to do where that is not plain
	Verdicts
}

// Table is what the errors of a database mean.
type Table[C comparable] struct {
	lines []Line[C]
	index map[C]int
}

// NewTable makes a table of lines in the order of the documentation. A code has one line.
func NewTable[C comparable](lines ...Line[C]) *Table[C] {
	t := &Table[C]{lines: lines, index: make(map[C]int, len(lines))}
	for i := range lines {
		if _, twice := t.index[lines[i].Code]; twice {
			panic(fmt.Sprintf("error %v has two lines", lines[i].Code))
		}
		t.index[lines[i].Code] = i
	}
	return t
}

// Of returns the verdicts on the first of some codes that has a line: the most exact one comes first, the default last.
func (t *Table[C]) Of(codes ...C) Verdicts {
	for _, code := range codes {
		if i, known := t.index[code]; known {
			return t.lines[i].Verdicts
		}
	}
	return Verdicts{}
}

// Lines returns the lines in the order of the documentation. The table owns them.
func (t *Table[C]) Lines() []Line[C] { return t.lines }

// Markdown writes the table for the documentation. show is how a code is written there.
func (t *Table[C]) Markdown(show func(C) string) string {
	var page strings.Builder
	page.WriteString("| code | error | in a statement of a module | in one of pupwasm | at COMMIT | |\n|---|---|---|---|---|---|\n")
	for i := range t.lines {
		l := &t.lines[i]
		fmt.Fprintf(&page, "| %s | %s | %s | %s | %s | %s |\n", show(l.Code), l.Name, l.Module, l.Own, l.Commit, l.Means)
	}
	return page.String()
}
