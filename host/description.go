package host

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/pupwasm/pupwasm/host/abi"
	"github.com/pupwasm/pupwasm/store"
)

// Description is what a module says of itself: the projection with its catalogue, the columns that it reads,
// and the limits that it asks for. Its JSON form is specified in package abi.
type Description struct {
	store.Projection

	Text    string   `json:"description,omitempty"`
	Columns []string `json:"columns,omitempty"`
	// OnError is what becomes of an event that the module fails at, or "" for the default.
	OnError store.ErrorPolicy `json:"on_error,omitempty"`
	Limits  struct {
		MemoryMiB   int `json:"memory_mib,omitempty"`
		BatchEvents int `json:"batch_events,omitempty"`
		BatchMillis int `json:"batch_ms,omitempty"`
	} `json:"limits"`
}

// descriptionBytesMax bounds a description.
const descriptionBytesMax = 1 << 20

// parseDescription reads and checks a description, as far as that is possible without a database.
func parseDescription(text []byte) (*Description, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	d := &Description{}
	if err := decoder.Decode(d); err != nil {
		reason := strings.TrimPrefix(err.Error(), "json: ")
		if reason == `unknown field "ddl"` {
			reason = `tables have no "ddl": declare "generated" of a column, "checks" of a table, "views" of the projection ` +
				`(docs/sql.md says what replaces the rest)`
		}
		return nil, fmt.Errorf("its description cannot be read: %s", shorten(reason))
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("its description goes on after the JSON object")
	}
	if err := d.Validate(); err != nil {
		return nil, err
	}
	if err := d.OnError.Validate(d.Order); err != nil {
		return nil, err
	}
	for _, name := range d.Columns {
		if _, known := abi.ColumnByName(name); !known {
			return nil, fmt.Errorf("its description asks for column %q, which events do not have", name)
		}
	}
	limits := d.Limits
	if limits.MemoryMiB < 0 || limits.BatchEvents < 0 || limits.BatchMillis < 0 {
		return nil, errors.New("its description asks for a limit below 0")
	}
	return d, nil
}
