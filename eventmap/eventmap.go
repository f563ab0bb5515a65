// Package eventmap maps the structs of an application to the events of the store and back, and makes events of old
// versions into those of the newest. A Registry knows the structs; 'pupwasm gen events' writes one for a folder of
// structs, and a few lines by hand make one as well.
//
//	var Registry = eventmap.MustNew(
//		eventmap.Type[v1.OrderPlaced]("OrderPlaced", 1, eventmap.Up(v2.UpOrderPlaced)),
//		eventmap.Type[v2.OrderPlaced]("OrderPlaced", 2),
//	)
//
// Payloads are what encoding/json makes of the structs.
package eventmap

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/pupwasm/pupwasm/store"
)

// ErrUnknown says that a registry does not know a struct, or a type and version of an event.
var ErrUnknown = errors.New("eventmap: unknown event")

// Registry knows the structs of events. It may be used by several goroutines.
type Registry struct {
	stored  map[Name]*entry
	structs map[reflect.Type]*entry
}

// Name is what events of one struct are stored under.
type Name struct {
	Type    string
	Version int32 // of the event's schema, from 1
}

// String returns "OrderPlaced version 2".
func (n Name) String() string { return fmt.Sprintf("%s version %d", n.Type, n.Version) }

// Entry is a struct of a registry. See [Type].
type Entry struct{ entry }

type entry struct {
	name   Name
	goType reflect.Type
	read   func(payload []byte) (any, error)
	ups    []Upcaster // one, or none for the newest
}

// Upcaster makes an event of a later version. See [Up].
type Upcaster struct {
	from, to reflect.Type
	apply    func(any) any
}

// Up makes an upcaster of a function.
func Up[From, To any](up func(From) To) Upcaster {
	return Upcaster{
		from: reflect.TypeFor[From](), to: reflect.TypeFor[To](),
		apply: func(event any) any { return up(event.(From)) },
	}
}

// Type registers the struct Event under the type and version by which its events are stored. At most one upcaster makes it
// into a later struct; the newest has none.
func Type[Event any](storedType string, version int32, up ...Upcaster) Entry {
	return Entry{entry{
		name: Name{Type: storedType, Version: version}, goType: reflect.TypeFor[Event](),
		read: func(payload []byte) (any, error) {
			var event Event
			if len(payload) == 0 {
				return event, nil
			}
			err := json.Unmarshal(payload, &event)
			return event, err
		},
		ups: up,
	}}
}

// New makes a registry.
//
// # Errors
//
// It refuses what is no struct, a struct or a name that is registered twice, several upcasters of one, an upcaster of another struct, one that leads to a struct that
// is not registered, and upcasters that lead in a circle.
func New(entries ...Entry) (*Registry, error) {
	r := &Registry{stored: map[Name]*entry{}, structs: map[reflect.Type]*entry{}}
	for _, e := range entries {
		if err := e.check(); err != nil {
			return nil, fmt.Errorf("eventmap: %w", err)
		}
		if r.stored[e.name] != nil {
			return nil, fmt.Errorf("eventmap: %s is registered twice", e.name)
		}
		if r.structs[e.goType] != nil {
			return nil, fmt.Errorf("eventmap: %s is registered twice", e.goType)
		}
		r.stored[e.name], r.structs[e.goType] = &e.entry, &e.entry
	}
	for _, name := range r.Names() {
		if err := r.checkWay(r.stored[name]); err != nil {
			return nil, fmt.Errorf("eventmap: %w", err)
		}
	}
	return r, nil
}

// check says what is wrong with an entry by itself.
func (e *entry) check() error {
	switch {
	case e.goType == nil:
		return errors.New("an entry is empty: Type makes one")
	case e.goType.Kind() == reflect.Pointer:
		return fmt.Errorf("%s is a pointer: register what it points to", e.goType)
	case e.name.Version < 1:
		return fmt.Errorf("%s: the version is %d: versions begin at 1", e.goType, e.name.Version)
	case len(e.ups) > 1:
		return fmt.Errorf("%s has %d upcasters: there can be one, which others follow", e.goType, len(e.ups))
	case len(e.ups) == 1 && e.ups[0].from != e.goType:
		return fmt.Errorf("the upcaster of %s takes %v", e.goType, e.ups[0].from)
	}
	if err := (&store.Event{Type: e.name.Type, Version: e.name.Version}).Validate(0); err != nil {
		return fmt.Errorf("%s: %w", e.goType, err)
	}
	return nil
}

// next is what the upcaster of a struct leads to, or nil for the newest.
func (r *Registry) next(e *entry) *entry {
	if len(e.ups) == 0 {
		return nil
	}
	return r.structs[e.ups[0].to]
}

// checkWay follows the upcasters of a struct.
func (r *Registry) checkWay(e *entry) error {
	first := e
	for range len(r.structs) {
		if len(e.ups) == 0 {
			return nil
		}
		next := r.next(e)
		if next == nil {
			return fmt.Errorf("the upcaster of %s leads to %s, which is not registered", e.goType, e.ups[0].to)
		}
		e = next
	}
	return fmt.Errorf("the upcasters of %s lead in a circle", first.goType)
}

// MustNew is [New] for variables of packages: it panics where New returns an error.
func MustNew(entries ...Entry) *Registry {
	r, err := New(entries...)
	if err != nil {
		panic(err)
	}
	return r
}

// Event makes an event for the store of a registered struct, or of a pointer to one. Only the type, the version and the
// payload are set.
//
// # Errors
//
// [ErrUnknown] for any other value; those of encoding/json.
func (r *Registry) Event(event any) (store.Event, error) {
	value := reflect.ValueOf(event)
	if value.Kind() == reflect.Pointer && !value.IsNil() {
		value = value.Elem()
	}
	if !value.IsValid() || r.structs[value.Type()] == nil {
		return store.Event{}, fmt.Errorf("%w: %T", ErrUnknown, event)
	}
	e := r.structs[value.Type()]
	addressable := reflect.New(value.Type()) // for methods of pointers
	addressable.Elem().Set(value)
	payload, err := json.Marshal(addressable.Interface())
	if err != nil {
		return store.Event{}, fmt.Errorf("eventmap: %s: %w", e.name, err)
	}
	return store.Event{Type: e.name.Type, Version: e.name.Version, Payload: payload}, nil
}

// Events makes events for the store of registered structs. See [Registry.Event].
func (r *Registry) Events(events ...any) ([]store.Event, error) {
	made := make([]store.Event, len(events))
	for i, event := range events {
		var err error
		if made[i], err = r.Event(event); err != nil {
			return nil, err
		}
	}
	return made, nil
}

// Read reads a stored event as the newest version of its struct, by value: v2.OrderPlaced. An empty payload is a struct
// without values.
//
// # Errors
//
// [ErrUnknown] for a type or version that is not registered; those of encoding/json, with the position of the event.
func (r *Registry) Read(event *store.RecordedEvent) (any, error) {
	read, e, err := r.readStored(event)
	if err != nil {
		return nil, err
	}
	for ; len(e.ups) > 0; e = r.next(e) {
		read = e.ups[0].apply(read)
	}
	return read, nil
}

// ReadStored reads a stored event as the struct of the version in which it was stored. Its errors are those of Read.
func (r *Registry) ReadStored(event *store.RecordedEvent) (any, error) {
	read, _, err := r.readStored(event)
	return read, err
}

func (r *Registry) readStored(event *store.RecordedEvent) (any, *entry, error) {
	name := Name{Type: event.Type, Version: event.Version}
	e := r.stored[name]
	if e == nil {
		return nil, nil, fmt.Errorf("%w: %s, event %d%s", ErrUnknown, name, event.Position, r.known(event.Type))
	}
	read, err := e.read(event.Payload)
	if err != nil {
		return nil, nil, fmt.Errorf("eventmap: event %d, %s: %w", event.Position, name, err)
	}
	return read, e, nil
}

// known lists the versions of a type, for an error.
func (r *Registry) known(storedType string) string {
	var versions []string
	for _, name := range r.Names() {
		if name.Type == storedType {
			versions = append(versions, fmt.Sprint(name.Version))
		}
	}
	if versions == nil {
		return ""
	}
	return " (known versions: " + strings.Join(versions, ", ") + ")"
}

// Names are all types and versions, in their order. The caller owns the slice.
func (r *Registry) Names() []Name {
	names := make([]Name, 0, len(r.stored))
	for name := range r.stored {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b Name) int {
		if c := strings.Compare(a.Type, b.Type); c != 0 {
			return c
		}
		return int(a.Version) - int(b.Version)
	})
	return names
}
