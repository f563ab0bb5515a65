// Package bundle is the file format of a bundle: all that it takes to try a parked key again somewhere else. A bundle
// has the module, the events that wait, and the rows of the key. docs/bundles.md specifies the format.
//
//	bundle.go   what a bundle has, and its limits
//	collect.go  a parked key of a database as a bundle
//	redact.go   fields without their values
//	values.go   values of rows as JSON
//	write.go    to a file
//	read.go     from a file, which anybody may have made
//
// Package replay, beside it, runs a bundle.
package bundle

import (
	"encoding/json"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

// Format is the version of the format that [Bundle.Write] writes and [Read] reads.
const Format = 1

// The members of the archive, in their order.
const (
	manifestName = "bundle.json"
	moduleName   = "module.wasm"
	eventsName   = "events.jsonl"
	rowsName     = "rows.jsonl"
)

// Limits of the members. That of the module is the host's.
const (
	ManifestBytesMax = 4 << 20
	EventsBytesMax   = 128 << 20
	EventsMax        = 100_000
	RowsBytesMax     = 128 << 20
	RowsMax          = 1_000_000
)

// Bundle is a parked key.
type Bundle struct {
	Manifest
	Wasm   []byte
	Events []store.RecordedEvent // from the one that failed on, in order of position
	Rows   []Row
}

// Manifest is bundle.json.
type Manifest struct {
	Format     int                `json:"format"`
	Pupwasm    string             `json:"pupwasm"` // the version that wrote the bundle
	Projection store.ProjectionID `json:"projection"`
	Key        string             `json:"key"` // as commands show it
	Fault      Fault              `json:"fault"`
	Attempts   int                `json:"attempts"`
	ParkedAt   time.Time          `json:"parked_at"`
	Database   store.Dialect      `json:"database"` // that had the rows
	Module     Module             `json:"module"`
	Events     int                `json:"events"`         // in the bundle
	Waiting    int64              `json:"events_waiting"` // for the key in the database, those of the bundle included
	Rows       int                `json:"rows"`
	Redacted   []string           `json:"redacted,omitempty"` // fields whose values were replaced
	// Description is what the module declares, for people: a replay asks the module.
	Description json.RawMessage `json:"description"`
}

// Fault says which event failed, and why.
type Fault struct {
	Position int64  `json:"position"`
	EventID  string `json:"event_id"`
	Error    string `json:"error"`
}

// Module says which module the bundle has.
type Module struct {
	File   string `json:"file"`
	SHA256 string `json:"sha256"`
	Tried  bool   `json:"tried"` // the key was tried with these bytes
}

// Row is a line of rows.jsonl: a row as it was before the event that failed.
type Row struct {
	Table  string          `json:"table"`
	Values json.RawMessage `json:"row"` // an object: a member a column, see [AppendRow]
}

// Cut reports that more events wait in the database than are in the bundle.
func (b *Bundle) Cut() bool { return b.Waiting > int64(len(b.Events)) }
