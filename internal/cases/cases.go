// Package cases tests projection modules by cases: given events, when others come, then there are these rows, messages or
// faults. Each case also runs in other numbers of segments, with other batches and with other instances, so that rows
// which depend on more than the events are found.
//
//	cases.go     what a case is
//	read.go      files of cases in YAML; lines.go in JSON lines
//	event.go     the events of a case
//	run.go       one run of a module over the events of a case, in a database of its own
//	vary.go      the runs of one case
//	judge.go     what came of the runs beside what the case says; difference.go rows, match.go one value
//	messages.go  what is sent
//	update.go    what came of them into the file: layout.go where in it, written.go in which words
//	report.go    results for other programs; postgres.go and mariadb.go  databases on a server
package cases

import (
	"crypto/sha256"

	"github.com/pupwasm/pupwasm/internal/settings"
	"github.com/pupwasm/pupwasm/store"
)

// Case is one case.
type Case struct {
	Name  string
	Place settings.Place
	// Events are those of given and of when, as the first ones of a log.
	Events []store.RecordedEvent
	Given  int // how many of Events are given

	// Then is what must come of the events. nil is for a case that does not say yet, and waits for an update.
	Then *Then

	members []settings.Member // as the file has them
	digest  [sha256.Size]byte // of the file
}

// Then is what must come of the events of a case.
type Then struct {
	Tables   []Table
	Messages *Messages // nil for a case that does not compare them
	Faults   []Fault
}

// Table is the rows of a table or view. All of them are there, in any order.
type Table struct {
	Place settings.Place
	Name  string
	Rows  []Row
}

// Row is a row. Its columns without a member are not compared.
type Row struct {
	Place   settings.Place
	Members []settings.Member // by column
}

// Fault is an event that the projection fails at.
type Fault struct {
	Place settings.Place
	Event int    // of when, from 1; 0 for any
	Error string // a part of the error
}
