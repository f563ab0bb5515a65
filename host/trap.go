package host

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero/sys"
)

// trapReason puts what the engine reports of a failed call into one line, with what is known besides: what
// the guest has written or logged last, the memory that it was refused, its stack, and the function that it
// was in.
func (g *Guest) trapReason(err error) string {
	words := g.lastMessage()
	var exit *sys.ExitError
	if errors.As(err, &exit) {
		switch {
		case g.ranOutOfMemory(words, nil):
			return g.outOfMemory()
		case isPanic(words):
			return words
		}
		return withMessage(fmt.Sprintf("ended itself with exit code %d", exit.ExitCode()), words)
	}
	// The first line names the trap; the guest's stack follows.
	line, trace, _ := strings.Cut(err.Error(), "\n")
	trap := strings.TrimPrefix(line, "wasm error: ")
	functions := namedFunctions(trace, g.module.code.Name())
	switch {
	case trap == "out of bounds memory access" && g.stackOverflowed():
		return fmt.Sprintf("calls itself too deep: its stack of %d KiB is full", g.stackTop>>10) + inFunction(functions)
	case g.ranOutOfMemory(words, functions):
		reason := g.outOfMemory()
		if words == "" && len(functions) == 0 {
			// Most likely that is why it gave up.
			return reason + ", then it " + trapText(trap)
		}
		return reason
	case trap == "unreachable" && isPanic(words):
		return words + inFunction(functions)
	case trap == "unreachable" && words == "" && len(functions) > 0:
		return trapText(trap) + inFunction(functions) +
			"; it says no more, as modules of TinyGo do: built by Go it does, and so does a test by puptest"
	}
	return withMessage(trapText(trap)+inFunction(functions), words)
}

func trapText(trap string) string {
	if trap == "unreachable" {
		return "panicked or reached an unreachable instruction"
	}
	return trap
}

func withMessage(reason, words string) string {
	if words == "" {
		return reason
	}
	return reason + ": " + words
}

// lastMessage is what the guest said of its end: the message of a panic on one of its outputs, what it logged
// last as an error, or the last line of its standard error.
func (g *Guest) lastMessage() string {
	for _, text := range [][]byte{
		g.output[1].panicLine(), g.output[0].panicLine(), g.lastError,
		g.output[1].lastLine(),
	} {
		if len(text) > 0 {
			return shorten(string(text))
		}
	}
	return ""
}

// panicMarks are how the runtimes of Go and TinyGo begin the message of a panic, and of what they cannot recover from.
var panicMarks = []string{"panic: ", "fatal error: "}

func isPanic(line string) bool {
	return slices.ContainsFunc(panicMarks, func(mark string) bool { return strings.HasPrefix(line, mark) })
}

// ranOutOfMemory tells whether a call failed because memory ran out. A refusal alone is not enough: a
// collector that asks for more can go on with what it has.
func (g *Guest) ranOutOfMemory(words string, functions []string) bool {
	if g.memoryRefused == 0 {
		return false
	}
	if words != "" {
		return strings.Contains(words, "out of memory")
	}
	return len(functions) == 0 || strings.HasPrefix(functions[0], "runtime.alloc")
}

// outOfMemory says how much memory the guest wanted and which limit it came to, or that it was for its stack.
func (g *Guest) outOfMemory() string {
	if g.output[1].stack {
		return fmt.Sprintf("calls itself too deep: its stack does not fit into %d MiB of memory",
			g.module.memoryMax()>>20)
	}
	g.exceeded = true
	limit, advice := g.module.memoryMax(), g.module.Settings.raiseMemory()+", or make batches smaller"
	if own := int64(g.module.code.metered.Memory.Max) * pageBytes; own <= int64(limit) {
		advice = "the maximum that the module itself declares"
	}
	return fmt.Sprintf("out of memory: it asked for %d MiB in all, the limit is %d MiB (%s)",
		toMiB(g.memoryRefused), limit>>20, advice)
}

func toMiB(bytes uint64) uint64 { return (bytes + 1<<20 - 1) >> 20 }

// stackPointer is where compilers that build on LLVM keep the stack pointer of their own stack in memory: the
// first global.
const stackPointer = "pupwasm.global_0"

// redZone is how far below its stack pointer LLVM lets a function write.
const redZone = 128

// stackOverflowed tells whether the stack that the guest keeps in memory has grown below address 0, where
// linkers put its end.
func (g *Guest) stackOverflowed() bool {
	at := int32(g.stackPointer())
	return g.stackTop > 0 && at < redZone
}

// stackPointer returns the guest's stack pointer as far as it has one, or 0.
func (g *Guest) stackPointer() uint32 {
	if !slices.Contains(g.module.code.metered.Globals, stackPointer) {
		return 0
	}
	return uint32(g.instance.ExportedGlobal(stackPointer).Get())
}

// namedFunctions are the guest's functions in a stack trace of the engine, the innermost first, unless it has
// no names for them. The engine puts the module's own name before each.
func namedFunctions(trace, module string) []string {
	var names []string
	for line := range strings.SplitSeq(trace, "\n") {
		call, ok := strings.CutPrefix(line, "\t")
		if !ok || strings.HasPrefix(call, "\t") {
			continue
		}
		// A signature follows the name, which may have parentheses of its own.
		at := strings.LastIndexByte(call, '(')
		if at <= 0 || strings.HasPrefix(call, module+".$") {
			continue
		}
		names = append(names, strings.TrimPrefix(call[:at], module+"."))
	}
	return names
}

// inFunction names the innermost function that is neither of a language's runtime nor of the SDK.
func inFunction(functions []string) string {
	for _, name := range functions {
		if !strings.HasPrefix(name, "runtime.") && !strings.Contains(name, "pupwasm/guest-sdk") &&
			!strings.HasPrefix(name, "pup_") {
			return " in " + shorten(name)
		}
	}
	return ""
}
