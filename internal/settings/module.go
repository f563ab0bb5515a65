package settings

import (
	"errors"
	"math"
	"time"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
)

// Module is what an operator sets for one module. A zero field is the setting for all.
type Module struct {
	Sandbox host.Settings // without Beside
	Worker  segments.ProjectionOptions
}

// Or returns the settings with those of another set where a field is zero.
func (m Module) Or(other Module) Module {
	return Module{Sandbox: m.Sandbox.Or(other.Sandbox), Worker: m.Worker.Or(other.Worker)}
}

// Host returns the settings as the host takes them, with those of the worker beside them.
func (m Module) Host() host.Settings {
	settings := m.Sandbox
	settings.Beside = m.Worker
	return settings
}

// WorkerOptions returns the settings of the worker beside those of a module that was loaded.
func WorkerOptions(of *host.Module) segments.ProjectionOptions {
	options, _ := of.Settings.Beside.(segments.ProjectionOptions)
	return options
}

// MemberInfo describes a member of NAME.yaml.
type MemberInfo struct {
	Name    string
	Allowed string
	Help    string
	Flag    string // that sets the same for all modules, or ""
}

type moduleMember struct {
	MemberInfo
	set func(*Module, *Member) *Fault
}

// durationMax bounds every time: what takes longer is nobody's setting.
const durationMax = 24 * time.Hour

// moduleMembers are the members of NAME.yaml, in the order of the documentation.
var moduleMembers = []moduleMember{
	number("batch", "maximum events per batch; the module may ask for fewer", "batch", 1, 100_000,
		func(m *Module) *int { return &m.Worker.BatchEvents }),
	number("commit_events", "maximum events per commit while catching up", "commit-events", 1, 10_000_000,
		func(m *Module) *int { return &m.Worker.CommitEvents }),
	{
		MemberInfo{"batch_pause", durationAllowed(0, durationMax), "pause after each batch of a segment", "batch-pause"},
		func(to *Module, m *Member) *Fault {
			pause, fault := m.duration(0, durationMax)
			if to.Worker.BatchPause = pause; fault == nil && pause == 0 {
				to.Worker.BatchPause = -1 // none, also where the flag asks for one
			}
			return fault
		},
	},
	number("segments", "number of segments; all hosts that run the projection must ask for the same", "segments", 1,
		store.SegmentsMax, func(m *Module) *int { return &m.Worker.Segments }),
	span("poll", "how long a segment that has read all rests before it reads again", "", 0,
		func(m *Module) *time.Duration { return &m.Worker.Poll }),
	word("on_error", "what to do with an event that the projection fails at", "on-error",
		func(m *Module) *store.ErrorPolicy { return &m.Worker.OnError },
		store.ErrorPark, store.ErrorStop, store.ErrorSkip),
	limit("park_max", "maximum parked keys; with one more the projection stops (-1: no limit)", "park-max",
		func(m *Module) *int { return &m.Worker.ParkedMax }),
	limit("park_retries", "how often a parked key is tried again by itself (-1: never)", "park-retries",
		func(m *Module) *int { return &m.Worker.ParkedRetries }),
	word("messages_from", "from which events on it sends messages, when it sends for the first time", "messages-from",
		func(m *Module) *segments.MessagesFrom { return &m.Worker.MessagesFrom },
		segments.MessagesFromNow, segments.MessagesFromBeginning),
	limit("outbox_max", "about the most messages that may wait in its outbox; with more its commits wait (-1: no limit)",
		"outbox-max", func(m *Module) *int { return &m.Worker.OutboxMax }),
	{
		MemberInfo{"durable", "true or false", "wait for the disk at every commit", "durable"},
		func(to *Module, m *Member) *Fault {
			durable, fault := m.boolean()
			to.Worker.Durability = store.Volatile
			if durable {
				to.Worker.Durability = store.Durable
			}
			return fault
		},
	},
	number("memory", "maximum MiB of memory per instance", "memory", 1, host.MemoryMiBMax,
		func(m *Module) *int { return &m.Sandbox.MemoryMiB }),
	number("fuel", "maximum work per batch, in units", "fuel", 1, math.MaxInt64,
		func(m *Module) *int64 { return &m.Sandbox.Fuel }),
	span("batch_timeout", "maximum time per batch", "batch-timeout", time.Millisecond,
		func(m *Module) *time.Duration { return &m.Sandbox.BatchTimeout }),
	word("instances", "policy for instances", "instances",
		func(m *Module) *host.Instances { return &m.Sandbox.Instances },
		host.InstancesAuto, host.InstancesFresh, host.InstancesReuse),
}

func number[T int | int64](name, help, flag string, least, most int64, field func(*Module) *T) moduleMember {
	return moduleMember{
		MemberInfo{name, wholeAllowed(least, most), help, flag},
		func(to *Module, m *Member) *Fault {
			n, fault := m.whole(least, most)
			*field(to) = T(n)
			return fault
		},
	}
}

// limit is a number from 1, or -1.
func limit(name, help, flag string, field func(*Module) *int) moduleMember {
	allowed := wholeAllowed(1, math.MaxInt32) + ", or -1"
	return moduleMember{MemberInfo{name, allowed, help, flag}, func(to *Module, m *Member) *Fault {
		n, fault := m.whole(-1, math.MaxInt32)
		if fault != nil || n == 0 {
			return m.must(allowed)
		}
		*field(to) = int(n)
		return nil
	}}
}

func span(name, help, flag string, least time.Duration, field func(*Module) *time.Duration) moduleMember {
	return moduleMember{
		MemberInfo{name, durationAllowed(least, durationMax), help, flag},
		func(to *Module, m *Member) (fault *Fault) {
			*field(to), fault = m.duration(least, durationMax)
			return fault
		},
	}
}

func word[T ~string](name, help, flag string, field func(*Module) *T, words ...T) moduleMember {
	var texts []string
	for _, w := range words {
		texts = append(texts, string(w))
	}
	return moduleMember{MemberInfo{name, oneOfAllowed(texts), help, flag}, func(to *Module, m *Member) *Fault {
		text, fault := m.oneOf(texts...)
		*field(to) = T(text)
		return fault
	}}
}

// ModuleMembers describes the members of NAME.yaml.
func ModuleMembers() []MemberInfo {
	var all []MemberInfo
	for i := range moduleMembers {
		all = append(all, moduleMembers[i].MemberInfo)
	}
	return all
}

// moduleOf returns the settings of a file that was read. After any error there are none.
func moduleOf(file *Map, err error) (Module, error) {
	var settings Module
	var faults Faults
	if err != nil && (!errors.As(err, &faults) || file == nil) {
		return settings, err
	}
	for i := range file.Members {
		member := &file.Members[i]
		known := findMember(member.Name)
		if known == nil {
			faults = append(faults, member.Fault("there is no setting %s of a module%s", Show(member.Name),
				DidYouMean(member.Name, memberNames())))
			continue
		}
		if member.Kind == Empty {
			faults = append(faults, member.Fault("%s has no value: give one, or remove the line for the setting of all "+
				"modules", member.Name))
			continue
		}
		if fault := known.set(&settings, member); fault != nil {
			faults = append(faults, fault)
		}
	}
	if err := faults.err(); err != nil {
		return Module{}, err
	}
	return settings, nil
}

func findMember(name string) *moduleMember {
	for i := range moduleMembers {
		if moduleMembers[i].Name == name {
			return &moduleMembers[i]
		}
	}
	return nil
}

func memberNames() (names []string) {
	for i := range moduleMembers {
		names = append(names, moduleMembers[i].Name)
	}
	return names
}
