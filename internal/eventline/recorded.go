package eventline

import (
	"errors"
	"fmt"

	"github.com/pupwasm/pupwasm/store"
)

// Recorded reads one line as [Append] writes it: an event that is stored, with its place in the log, its id and its
// time. The result does not refer to text.
func (d *Decoder) Recorded(text []byte) (store.RecordedEvent, error) {
	line, e := Line{Event: store.Event{Version: 1}}, store.RecordedEvent{}
	err := eachMember(text, func(name string, value []byte) (err error) {
		switch name {
		case "global_position":
			e.Position, err = decodeInteger(value)
		case "aggregate_version":
			e.AggregateVersion, err = decodeInteger(value)
		case "expected_version":
			return errors.New("expected_version is of an event that is to be appended, this one is stored")
		default:
			return d.set(&line, name, value)
		}
		if err != nil {
			return fmt.Errorf("%s %w", name, err)
		}
		return nil
	})
	if err == nil {
		err = d.validate(&line)
	}
	e.Event, e.Stream, e.PartitionHash = line.Event, line.Stream, store.PartitionHash(line.Stream.AggregateID)
	if e.Metadata == nil {
		e.Metadata = []byte("{}")
	}
	switch {
	case err != nil:
	case e.Position < 1:
		err = errors.New("global_position is missing or not positive")
	case e.AggregateVersion < 1:
		err = errors.New("aggregate_version is missing or not positive")
	case e.ID == store.UUID{}:
		err = errors.New("event_id is missing")
	case e.CreatedAt.IsZero():
		err = errors.New("created_at is missing")
	}
	if err != nil {
		return store.RecordedEvent{}, err
	}
	return e, nil
}
