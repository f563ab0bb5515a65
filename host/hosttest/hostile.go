package hosttest

import (
	"slices"
	"strings"
	"time"
)

// The limits that a host must be given when it meets [Hostile] guests.
const (
	// Deadline is the most time for one batch, and for starting and describing a module, for hosts that have
	// no other measure. It is long enough for what is well-behaved on a machine that is busy with other
	// tests.
	Deadline = time.Second
	// MemoryMiB is the most memory of an instance.
	MemoryMiB = 16
	// ReplyBytesMax is the largest reply.
	ReplyBytesMax = 1 << 20
	// ModuleBytesMax is the largest .wasm file.
	ModuleBytesMax = 4 << 20
)

// Events is the number of events in the batch that every guest here expects.
const Events = 3

// Stage is when a host has to refuse a guest.
type Stage string

// The stages.
const (
	// StageLoad is before the module may be used: its binary, imports, exports, version of the ABI and description.
	StageLoad Stage = "load"
	// StageInstantiate is while an instance starts: memory, tables, data, the start function and _initialize.
	StageInstantiate Stage = "instantiate"
	// StageApply is while it handles a batch, up to the last byte of its reply.
	StageApply Stage = "apply"
)

// HostileGuest is a guest that a host has to refuse, and survive.
type HostileGuest struct {
	Name  string
	Wasm  []byte
	Stage Stage
	// MayLoadFail says that a host may see the fault at load already, by looking at the code or by not having
	// a feature.
	MayLoadFail bool
	// Want has words of which the error should contain one, in upper or lower case: what the guest did wrong.
	Want []string
}

// Explains tells whether an error says what the guest did wrong.
func (g *HostileGuest) Explains(err error) bool {
	text := strings.ToLower(err.Error())
	return slices.ContainsFunc(g.Want, func(want string) bool { return strings.Contains(text, strings.ToLower(want)) })
}

// Hostile builds all hostile guests. Those of one concern are together; their names are unique.
//
// A host without protection does not merely accept some of them: it hangs (deep nesting), or its process dies
// (counts that lie make an engine allocate hundreds of gigabytes, which no recover catches).
func Hostile() []HostileGuest {
	return slices.Concat(
		hostileBinaries(), hostileCounts(), hostileCode(),
		hostileExports(), hostileImports(), hostileMemories(),
		hostileDescriptions(), hostileEmbedded(),
		hostileStarts(), hostileLoops(), hostileRecursions(), hostileBombs(), hostileTraps(),
		hostileAddresses(), hostileCalls(),
		hostileReplies(), hostileMutations(), hostileValues(), hostileTypes(), hostileOwners(),
		hostileMessageDescriptions(), hostileMessages(),
	)
}

func refused(stage Stage, name string, wasm []byte, want ...string) HostileGuest {
	return HostileGuest{Name: name, Wasm: wasm, Stage: stage, Want: want}
}

func early(g HostileGuest) HostileGuest {
	g.MayLoadFail = true
	return g
}
