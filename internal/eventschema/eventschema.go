// Package eventschema checks the payloads of events by JSON Schemas (draft 2020-12), which are files of one folder. The
// top-level member x-event of a schema says which events it is for:
//
//	{"$schema": "https://json-schema.org/draft/2020-12/schema",
//	 "x-event": {"type": "OrderPlaced", "version": 2},
//	 "type": "object", "required": ["order_id"], "properties": {…}}
//
// The names of the files are for people. Numbers are compared exactly. format and contentEncoding are asserted; formats
// that the draft does not have are not checked. Schemas may refer to each other within the folder; nothing else is
// opened, and nothing is fetched.
//
// Schemas and payloads may be hostile: a file, a payload, and the work of a check are bounded.
package eventschema

import (
	"fmt"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Bounds of a payload that is checked.
const (
	// PayloadValuesMax is how many values a payload may have, all members and elements included.
	PayloadValuesMax = 50_000
	// PayloadDepthMax is how deep objects and arrays may be nested.
	PayloadDepthMax = 500
)

// Set is the schemas of a folder. One goroutine at a time may use it.
type Set struct {
	folder   string
	schemas  map[Event]*jsonschema.Schema
	versions map[string][]int32 // of a type, ascending
	work     *work
}

// Len is the number of schemas.
func (s *Set) Len() int { return len(s.schemas) }

// Check reports how a payload does not fit the schema of its event, or that there is none. The error is one line that
// begins with the path of a member, such as
//
//	payload.lines[2].price: is a string, not a number (OrderPlaced version 2)
//
// It has names of members, and nothing else of the payload.
func (s *Set) Check(event Event, payload []byte) error {
	schema := s.schemas[event]
	switch {
	case schema == nil:
		return s.errUnknown(event)
	case len(payload) == 0:
		return fmt.Errorf("%w (%s)", errNoPayload, event)
	}
	value, err := decodeValue(payload, bounds{PayloadDepthMax, PayloadValuesMax})
	if err != nil {
		return fmt.Errorf("%s (%s)", inPayload(err), event)
	}
	s.work.left = s.work.most
	err = schema.Validate(value)
	if s.work.left < 0 {
		return fmt.Errorf("payload: %w: make it smaller, or its schema simpler (%s)", errTooMuchWork, event)
	}
	if err != nil {
		return fmt.Errorf("%s (%s)", describe(err, "payload", value), event)
	}
	return nil
}

// inPayload is the text of an error of [decodeValue] about a payload.
func inPayload(err error) string {
	switch err := err.(type) { //nolint:errorlint // decodeValue wraps nothing
	case *valueError:
		return pathText("payload", err.path) + ": " + err.what
	case *syntaxError:
		return "payload: is not JSON, and only JSON fits a schema"
	}
	return "payload: " + err.Error()
}
