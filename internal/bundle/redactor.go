package bundle

import "github.com/pupwasm/pupwasm/store"

// Redactor replaces the values of fields in events, as [Bundle.Redact] does.
type Redactor struct{ fields []*redaction }

// NewRedactor returns a redactor of fields. The events are for a projection, or for nobody in particular with nil.
//
// # Errors
//
// One for a field that is no path, or that is or has the projection's partition key or a key column of its tables.
func NewRedactor(fields []string, projection *store.Projection) (*Redactor, error) {
	r := &Redactor{}
	for _, field := range fields {
		f, err := newRedaction(field, map[string]string{}, projection)
		if err != nil {
			return nil, err
		}
		r.fields = append(r.fields, f)
	}
	return r, nil
}

// Events replaces the fields in events.
//
// # Errors
//
// One for a payload that is no JSON, in which nothing can be found.
func (r *Redactor) Events(events []store.RecordedEvent) error {
	for _, f := range r.fields {
		if err := f.events(events); err != nil {
			return err
		}
		clear(f.values)
	}
	return nil
}

// Missing are the fields that no event has had so far.
func (r *Redactor) Missing() (fields []string) {
	for _, f := range r.fields {
		if !f.found {
			fields = append(fields, f.field)
		}
	}
	return fields
}
