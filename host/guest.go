package host

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/pupwasm/pupwasm/host/abi"
	"github.com/pupwasm/pupwasm/host/meter"
	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

// Query runs a query of the catalogue for a guest. See [store.Tx].
type Query func(query int, arguments []store.Value, rows *store.Rows) error

// Guest is a module at work for one segment: one instance at a time, its buffers, and the context of the call
// under way. It is used by one goroutine.
type Guest struct {
	module      *Module
	segment     int
	logger      zerolog.Logger
	encoder     abi.BatchEncoder
	reply       []byte
	spareMemory []byte // memory for the next instance, all zeros

	// The instance, and what is looked up in it once.
	instance       api.Module
	functions      map[string]api.Function
	fuel           *fuelGlobals
	running        bool          // it has its turn, see turns.go
	entered        time.Time     // when it went on with its code last
	ran            time.Duration // its code, for the batch under way
	mutableGlobals []api.MutableGlobal
	env            guestEnv
	image          *image // that it can be reset from; nil for none

	mutations []store.Mutation
	values    []store.Value
	scratch   []byte
	usage     Usage

	messages     []store.Message // of the batch that was applied last
	messageBytes int             // about the memory that they take
	senders      []sender        // per event of the batch, if the module has messages

	// The call under way.
	events    int      // of the batch, 0 while it starts
	keys      [][]byte // of the events of the batch, if the module uses them
	keyTable  []int32  // see hasKey
	deadline  *deadline
	query     Query
	rows      store.Rows
	result    []byte // of the last query, encoded
	aborted   error  // why a function of the host ended the call
	logLines  int
	output    [2]lineWriter
	lastError []byte // the line that was logged as an error last
	// memoryRefused is the size that the memory could not grow to, 0 for none.
	memoryRefused uint64
	exceeded      bool // the limit of memory, which ended the call
	started       bool // the batch under way has an instance

	applying     bool  // within pup_apply
	clockReads   int64 // of the wall clock within pup_apply, since the instance started
	clockChecked int64 // how many of them were looked into, see checkClock

	fuelLimit int64  // for a batch
	stackTop  uint32 // the stack pointer of an instance that has just started, 0 for none
	searching bool   // for the event at fault: what the guest says, it has said before
}

// guestEnv is what an instance sees besides its batches. It is the same for every one of them.
type guestEnv struct {
	monotonic uint64
	random    uint64
}

// errGuest marks the errors of host functions that the guest caused.
var errGuest = errors.New("breaks the ABI")

// errExceeded marks an error for a limit of the batch.
var errExceeded = errors.New("exceeds a limit")

// exceededError says which limit of the batch a guest has exceeded.
type exceededError string

// Error says which limit it is.
func (e exceededError) Error() string { return string(e) }

// Is makes it an errExceeded.
func (exceededError) Is(target error) bool { return target == errExceeded }

func exceeded(format string, args ...any) error { return exceededError(fmt.Sprintf(format, args...)) }

// monotonicStart is the monotonic clock of a new instance. Go's runtime takes 0 for a clock that is broken.
const monotonicStart = 1

// randomSeed is any number but 0: the same for every instance.
const randomSeed = 0x9E3779B97F4A7C15

// randomStart is where the random bytes of an instance begin, which is never 0.
func randomStart(random uint64) uint64 {
	if random == randomSeed {
		return 1
	}
	return randomSeed ^ random
}

// Usage is what a guest took for a batch.
type Usage struct {
	Fuel        int64         // units of package meter
	MemoryBytes int           // of the instance, whose memory never shrinks
	Time        time.Duration // within pup_apply, its queries and what it waited for its turn included
}

// NewGuest makes a guest for a segment. It starts an instance at the first batch.
func (m *Module) NewGuest(segment int) *Guest {
	g := &Guest{module: m, segment: segment, functions: map[string]api.Function{}, fuelLimit: m.limits.Fuel}
	context := m.runtime.options.Logger.With().Str("module", m.File).Int("segment", segment)
	if m.Description != nil {
		context = context.Str("projection", m.Description.Name)
	}
	g.logger = context.Logger()
	g.output[0].level, g.output[1].level = zerolog.InfoLevel, zerolog.WarnLevel
	return g
}

// Messages returns the messages of the batch that was applied last, in order of position and index, or none when it has
// failed. They are valid until the next call of Apply.
func (g *Guest) Messages() []store.Message { return g.messages }

// Usage returns what the last call of Apply took that came to pup_apply.
func (g *Guest) Usage() Usage { return g.usage }

// Close ends the instance.
func (g *Guest) Close(ctx context.Context) {
	if g.instance != nil {
		_ = g.instance.Close(ctx)
		g.instance, g.fuel, g.mutableGlobals, g.image = nil, nil, nil, nil
		clear(g.functions)
	}
}

// Apply hands a batch to the guest and returns its mutations. They are valid until the next call; Messages returns what
// it sends. query may be nil when the catalogue has none; it may be called again for the same batch, to find the event at
// fault.
//
// # Errors
//
// [*Fault] when the guest is to blame; [*SlowError] when the machine was too slow for it; what query
// returned; or the context's error.
func (g *Guest) Apply(ctx context.Context, events []store.RecordedEvent, query Query) ([]store.Mutation, error) {
	g.messages = nil
	mutations, err := g.apply(ctx, events, query)
	var fault *Fault
	if errors.As(err, &fault) && fault.Position == 0 && !fault.wholeBatch && len(events) > 0 {
		err = g.findEvent(ctx, events, query, fault)
	}
	if err != nil {
		g.messages = nil // those of a part of the batch
		return nil, err
	}
	return mutations, nil
}

// apply applies a batch, and retries it in a fresh instance when a used one fails.
func (g *Guest) apply(ctx context.Context, events []store.RecordedEvent, query Query) ([]store.Mutation, error) {
	if err := g.readKeys(events); err != nil {
		return nil, err
	}
	batch, err := g.encodeBatch(events)
	if err != nil {
		return nil, fmt.Errorf("encoding a batch for module %s: %w", g.module.File, err)
	}
	used := g.instance != nil && g.module.Reuses()
	mutations, err := g.applyBatch(ctx, batch, events, query)
	if err == nil {
		if !g.keepsInstance() {
			g.Close(ctx)
		}
		return mutations, nil
	}
	err = g.attributeError(ctx, err)
	g.Close(ctx)
	var fault *Fault
	if used && errors.As(err, &fault) {
		// What earlier batches have left in the instance must not decide: a fault is what happens in a fresh one.
		mutations, err = g.apply(ctx, events, query)
		if err == nil {
			g.module.warnings.leftState(g, fault)
		}
		return mutations, err
	}
	return nil, err
}

// attributeError decides who caused an error: the caller, the guest, or what the host did for it.
func (g *Guest) attributeError(ctx context.Context, err error) error {
	var fault *Fault
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &fault):
		return fault
	case errors.Is(g.aborted, context.DeadlineExceeded):
		return g.slow()
	case g.aborted != nil && !errors.Is(g.aborted, errGuest):
		return g.aborted
	}
	spent := errors.Is(err, errOutOfFuel)
	return &Fault{
		Module: g.module.File, Reason: shorten(err.Error()),
		wholeBatch: !g.started, exceeds: spent || g.exceeded || errors.Is(err, errExceeded), fuel: spent,
	}
}

func (g *Guest) applyBatch(
	ctx context.Context, batch []byte, events []store.RecordedEvent, query Query,
) ([]store.Mutation, error) {
	ctx, g.deadline = startDeadline(ctx, g.module.limits.BatchTimeout)
	defer func() {
		g.deadline.stop()
		g.deadline, g.events = nil, 0
	}()
	g.started = false
	if err := g.prepare(ctx); err != nil {
		return nil, err
	}
	g.events, g.started, g.ran = len(events), true, 0
	g.fuel.fill(g.fuelLimit)
	results, err := g.call(ctx, "pup_reserve", uint64(len(batch)))
	if err != nil {
		return nil, err
	}
	// The view is taken after every call: memory moves when it grows.
	ptr := uint32(results)
	if ptr == 0 {
		reason := fmt.Sprintf("pup_reserve has no memory for a batch of %d bytes", len(batch))
		if g.memoryRefused > 0 {
			reason += ": " + g.outOfMemory()
		}
		return nil, errors.New(reason)
	}
	if ptr%8 != 0 {
		return nil, fmt.Errorf("pup_reserve returned address %d, which is not a multiple of 8", ptr)
	}
	if !g.instance.Memory().Write(ptr, batch) {
		return nil, fmt.Errorf("pup_reserve returned address %d, where %d bytes do not fit", ptr, len(batch))
	}
	g.query, g.applying = query, true
	called := clock.Now()
	results, err = g.call(ctx, "pup_apply", uint64(ptr), uint64(len(batch)))
	g.query, g.applying = nil, false
	g.usage = Usage{Fuel: g.fuelLimit - g.fuel.left(), MemoryBytes: g.memoryBytes(), Time: clock.Since(called)}
	if err != nil {
		return nil, err
	}
	// The allocator keeps the host's limit; a lower one that the module asked for is checked here.
	if used := g.memoryBytes(); used > g.module.limits.MemoryMiB<<20 {
		return nil, exceeded("uses %d MiB of memory, the limit that it asked for is %d", toMiB(uint64(used)),
			g.module.limits.MemoryMiB)
	}
	reply, err := g.read("a reply", results, g.module.limits.ReplyBytesMax)
	if err != nil {
		return nil, err
	}
	g.fuel.take(int64(len(reply)) * unitsValueByte)
	if err := g.exhausted(); err != nil {
		return nil, fmt.Errorf("returned a reply of %d bytes, too large for the fuel that was left: %w", len(reply),
			err)
	}
	g.reply = append(resetBuffer(g.reply), reply...)
	if err := g.checkClock(ctx); err != nil {
		return nil, err
	}
	return g.decodeReply(g.reply, events)
}

// prepare makes an instance ready for a batch: a new one, one that is reset from its image, or one that has
// served others.
func (g *Guest) prepare(ctx context.Context) error {
	switch {
	case g.instance == nil:
		if err := g.start(ctx); err != nil {
			return err
		}
		if !g.module.Reuses() {
			g.image = g.module.image.of(g)
		}
	case g.image != nil:
		g.image.restore(g)
		g.resetCounters()
	}
	return nil
}

// resetCounters forgets what the instance before has left: clock readings, and lines that it has not ended.
func (g *Guest) resetCounters() {
	g.clockReads, g.clockChecked = 0, 0
	for i := range g.output {
		g.output[i].line = g.output[i].line[:0]
	}
}

// start makes an instance and initializes it.
func (g *Guest) start(ctx context.Context) error {
	g.env = guestEnv{monotonic: monotonicStart, random: randomStart(g.module.runtime.options.Environment.Random)}
	g.resetCounters()
	g.beginCall()
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions()
	ctx = experimental.WithMemoryAllocator(ctx, g.allocator())
	instance, err := g.module.runtime.engine.InstantiateModule(ctx, g.module.code.CompiledModule, config)
	if err != nil {
		return fmt.Errorf("does not start: %s", g.trapReason(err))
	}
	g.instance, g.fuel = instance, newFuelGlobals(instance)
	g.stackTop = g.stackPointer()
	g.fuel.fill(g.module.limits.Fuel)
	for _, name := range []string{meter.Start, "_initialize"} {
		if instance.ExportedFunction(name) == nil {
			continue
		}
		if _, err := g.call(ctx, name); err != nil {
			g.Close(ctx)
			return fmt.Errorf("does not start: %w", err)
		}
	}
	return nil
}

// describe checks the version of the ABI and returns the description. It belongs to the caller.
func (g *Guest) describe(ctx context.Context) ([]byte, error) {
	version, err := g.call(ctx, "pup_abi_1")
	if err != nil {
		return nil, err
	}
	if uint32(version) != abi.Version {
		return nil, fmt.Errorf("pup_abi_1 returned %d, must be %d", uint32(version), abi.Version)
	}
	result, err := g.call(ctx, "pup_describe")
	if err != nil {
		return nil, err
	}
	text, err := g.read("a description", result, descriptionBytesMax)
	return append([]byte(nil), text...), err
}
