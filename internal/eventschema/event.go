package eventschema

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/pupwasm/pupwasm/store"
)

// Event is what a schema is for: a type of events and the version of its payload.
type Event struct {
	Type    string
	Version int32
}

// String is the event for people, such as OrderPlaced version 2.
func (e Event) String() string { return fmt.Sprintf("%s version %d", cut(e.Type), e.Version) }

// eventExample is how to write the member x-event.
const eventExample = `"x-event": {"type": "OrderPlaced", "version": 2}`

// eventOf reads the member x-event of a schema.
func eventOf(doc any) (Event, error) {
	schema, is := doc.(map[string]any)
	if !is {
		return Event{}, fmt.Errorf("is not an object with a schema and %s", eventExample)
	}
	value, has := schema["x-event"]
	if !has {
		return Event{}, fmt.Errorf("has no member x-event, which says what events it is for: add %s", eventExample)
	}
	members, is := value.(map[string]any)
	if !is {
		return Event{}, fmt.Errorf("x-event: is not an object: write %s", eventExample)
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if name != "type" && name != "version" {
			return Event{}, fmt.Errorf("x-event.%s: is not known: write %s", cut(name), eventExample)
		}
	}
	event := Event{}
	if event.Type, is = members["type"].(string); !is || event.Type == "" || len(event.Type) > store.TextBytesMax {
		return Event{}, fmt.Errorf("x-event.type: is not the type of an event: write %s", eventExample)
	}
	number, _ := members["version"].(json.Number)
	version, err := strconv.ParseInt(string(number), 10, 32)
	if err != nil || version < 1 {
		return Event{}, fmt.Errorf("x-event.version: is not a number from 1 to %d: write %s", math.MaxInt32, eventExample)
	}
	event.Version = int32(version)
	return event, nil
}

// errUnknown says that there is no schema for an event, and which there are.
func (s *Set) errUnknown(event Event) error {
	versions := s.versions[event.Type]
	if len(versions) == 0 {
		return fmt.Errorf("%s has no schema in %s, nor has any other version of it", event, s.folder)
	}
	const most = 10
	texts := make([]string, 0, most)
	for _, version := range versions[max(0, len(versions)-most):] {
		texts = append(texts, strconv.Itoa(int(version)))
	}
	which := "version " + texts[0]
	if last := len(texts) - 1; last > 0 {
		which = "versions " + strings.Join(texts[:last], ", ") + " and " + texts[last]
	}
	if len(versions) > most {
		which = fmt.Sprintf("%d versions, the last of them %s", len(versions), texts[most-1])
	}
	return fmt.Errorf("%s has no schema in %s, which has %s", event, s.folder, which)
}

var errNoPayload = errors.New("payload: is missing")
