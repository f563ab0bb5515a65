package main

import (
	"errors"

	"github.com/pupwasm/pupwasm/internal/eventschema"
	"github.com/pupwasm/pupwasm/store"
)

// loadSchemas reads the folder of --event-schemas, or nothing when there is none.
func loadSchemas(folder string) (*eventschema.Set, error) {
	if folder == "" {
		return nil, nil
	}
	set, err := eventschema.Load(folder)
	var file *eventschema.FileError
	if errors.As(err, &file) {
		return nil, &inputError{where: file.Place(), err: file.Err}
	}
	return set, err
}

// checkPayload reports a payload that does not fit the schema of its event. The error is a [*lineFault].
func checkPayload(schemas *eventschema.Set, event *store.Event) error {
	err := schemas.Check(eventschema.Event{Type: event.Type, Version: event.Version}, event.Payload)
	if err != nil {
		return &lineFault{err}
	}
	return nil
}
