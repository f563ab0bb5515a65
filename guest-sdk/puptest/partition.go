package puptest

import (
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

// partition says by what the events of a projection are divided; nil is the stream.
type partition struct {
	By   string   `json:"by"`
	Path []string `json:"path"`
}

// The limits on a key that comes from JSON, and on the names that lead to it.
const (
	keyBytesMax      = 1024
	partitionPathMax = 16
)

func (p *partition) byStream() bool { return p == nil || p.By == "" || p.By == "stream" }

// key returns the key of an event. Where it has none of its own, that is the stream's id. The error is a fault of the event.
func (p *partition) key(e *event) (string, error) {
	var key []byte
	var err error
	switch {
	case p.byStream():
	case p.By == "json":
		key, err = jsonKey("payload", e.payload, p.Path)
	case p.By == "metadata":
		key, err = jsonKey("metadata", []byte(e.Metadata), p.Path)
	case p.By == "correlation" && e.CorrelationID != "":
		return e.CorrelationID, nil
	}
	if key == nil {
		return e.AggregateID, err
	}
	return string(key), nil
}

func (p *partition) validate() error {
	if p == nil {
		return nil
	}
	switch p.By {
	case "", "stream", "correlation":
		if len(p.Path) > 0 {
			return fmt.Errorf("by %q has a path, which only by %q and %q have", p.By, "json", "metadata")
		}
		return nil
	case "json", "metadata":
	default:
		return fmt.Errorf("is by %.60q, must be by %q, %q, %q or %q", p.By, "stream", "json", "metadata", "correlation")
	}
	if len(p.Path) == 0 || len(p.Path) > partitionPathMax {
		return fmt.Errorf("by %q has a path of %d names, must be 1 to %d: the member that holds the key, and those around it before it",
			p.By, len(p.Path), partitionPathMax)
	}
	if slices.ContainsFunc(p.Path, func(name string) bool { return name == "" || len(name) > keyBytesMax || !utf8.ValidString(name) }) {
		return errors.New("has a name in its path that is empty, too long or not UTF-8")
	}
	return nil
}
