package host_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/host/hosttest"
	"github.com/pupwasm/pupwasm/internal/guestbuild"
	"github.com/pupwasm/pupwasm/store"
)

// TestFault_namesTheEventAndTheCause has one event of a batch bring down a guest in every way that there is.
func TestFault_namesTheEventAndTheCause(t *testing.T) {
	t.Parallel()
	tiny, native := []guestbuild.Compiler{guestbuild.TinyGo}, []guestbuild.Compiler{guestbuild.Go}
	both := slices.Concat(tiny, native)
	runtime := newRuntime(t, host.Options{CacheDir: compiled, Limits: host.Limits{Fuel: 2_000_000_000}})
	modules := map[guestbuild.Compiler]*host.Module{}
	for _, compiler := range both {
		modules[compiler] = loadTesting(t, runtime, compiler, "misbehave")
	}
	for _, test := range []struct {
		eventType string
		compilers []guestbuild.Compiler
		want      string
	}{
		{"Panic", native, "panic: as the event says"},
		{"Panic", tiny, "panicked or reached an unreachable instruction in main.handle; it says no more"},
		{"Index", native, "index out of range [2] with length 2"},
		{"Index", tiny, "in main.handle"},
		{"Nil", native, "assignment to entry in nil map"},
		{"Memory", both, "the limit is 64 MiB (raise Limits.MemoryMiB"},
		{"Deep", tiny, "calls itself too deep: its stack of"},
		{"Deep", native, "calls itself too deep: its stack does not fit into 64 MiB of memory"},
		{"Loop", both, "units of fuel for a batch of 500 events: it loops, or does too much; this event alone takes more than"},
		{"Field", both, "the batch has no causation_id: add it to the Fields of the Projection"},
		{"Error", both, "the event is not acceptable"},
		{"Unordered", both, "the batch is not acceptable"},
		{"Text", both, `write "note", column "note": a text value is not UTF-8`},
	} {
		for _, compiler := range test.compilers {
			t.Run(fmt.Sprintf("%s/%s", test.eventType, compiler), func(t *testing.T) {
				guest := modules[compiler].NewGuest(0)
				defer guest.Close(t.Context())
				types := slices.Repeat([]string{"Fine"}, 500)
				types[57] = test.eventType
				_, err := guest.Apply(t.Context(), typed(types...), nil)
				wantFault(t, err, 11+57, "at event 68 of stream Test/Note/n1: ", test.want)
				if mutations, err := guest.Apply(t.Context(), typed("Fine", "Fine"), nil); err != nil ||
					len(mutations) != 2 {
					t.Errorf("it gives %d rows and error %v afterwards", len(mutations), err)
				}
			})
		}
	}
}

func wantFault(t *testing.T, err error, position int64, texts ...string) {
	t.Helper()
	var fault *host.Fault
	if !errors.As(err, &fault) || fault.Position != position || strings.Contains(err.Error(), "\n") {
		t.Errorf("error is %v, must be a fault at event %d, in one line", err, position)
		return
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error is %v, must have %q", err, text)
		}
	}
}

// TestFault_namesNoEventForWhatManyBringAbout has events that are harmless by themselves exceed a limit together.
func TestFault_namesNoEventForWhatManyBringAbout(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		eventType string
		events    int
		want      string
	}{
		{"Pile", 12, "out of memory: it asked for"},
		{"Work", 60, "units of fuel for a batch of 60 events"},
	} {
		t.Run(test.eventType, func(t *testing.T) {
			t.Parallel()
			runtime := newRuntime(t, host.Options{CacheDir: compiled, Limits: host.Limits{Fuel: 2_000_000_000}})
			guest := loadTesting(t, runtime, guestbuild.Go, "misbehave").NewGuest(0)
			defer guest.Close(t.Context())
			_, err := guest.Apply(t.Context(), typed(slices.Repeat([]string{test.eventType}, test.events)...), nil)
			wantFault(t, err, 0, test.want)
			if _, err := guest.Apply(t.Context(), typed(test.eventType), nil); err != nil {
				t.Errorf("one of them alone: %v", err)
			}
		})
	}
}

// TestFault_theSearchAsksTheSameQueries has a guest that asks for what is stored, and traps afterwards. The
// same answers are there while its event is looked for.
func TestFault_theSearchAsksTheSameQueries(t *testing.T) {
	t.Parallel()
	module := load(t, newRuntime(t, host.Options{}), "revenue.wasm", guestbuild.Example(t, guestbuild.Auto, "revenue"))
	events := shopEvents(1, 50)
	events[20].Payload = []byte(`{"amount":`) // an order that is paid, with what is no JSON
	events[20].Type, events[20].AggregateType = "OrderPaid", "Order"
	guest := module.NewGuest(0)
	defer guest.Close(t.Context())
	_, err := guest.Apply(t.Context(), events, emptyQuery(module))
	wantFault(t, err, events[20].Position)

	asked, broken := 0, errors.New("the connection is gone")
	trapping := queryThenTrap(t)
	_, err = trapping.Apply(t.Context(), events[:40], func(int, []store.Value, *store.Rows) error {
		if asked++; asked > 1 {
			return broken
		}
		return nil
	})
	// The search did not come to an end: the fault remains, without an event, which smaller batches find.
	wantFault(t, err, 0, "unreachable")
	var fault *host.Fault
	if !errors.As(err, &fault) || !fault.Divide {
		t.Errorf("error is %v, must be a fault that smaller batches tell more of", err)
	}
}

// queryThenTrap is a guest that runs a query with one key and traps.
func queryThenTrap(t *testing.T) *host.Guest {
	t.Helper()
	request := append([]byte{0, 0, 0, 0, 1, 0, 0, 0}, 0x85, 1, 0, 0, 0, 5, 1, 0, 0, 0, 'a')
	const at = 8
	g := &hosttest.Guest{
		Imports: []hosttest.Import{hosttest.ImportQuery},
		Edit:    func(m *hosttest.Module) { m.Data(at, request) },
		Apply: hosttest.Code(hosttest.I32Const(at), hosttest.I32Const(len(request)), hosttest.I32Const(0), hosttest.I32Const(0),
			hosttest.Call(0), hosttest.Drop, hosttest.Unreachable),
	}
	guest := load(t, newRuntime(t, host.Options{}), "query.wasm", g.Wasm()).NewGuest(0)
	t.Cleanup(func() { guest.Close(t.Context()) })
	return guest
}

// TestFault_keepsTheLastWords has guests of no known language write and log, and end.
func TestFault_keepsTheLastWords(t *testing.T) {
	t.Parallel()
	write := func(fd, at, size int) []byte { // by an iov at 16
		return hosttest.Code(
			hosttest.I32Const(16), hosttest.I32Const(at), hosttest.I32Store(0), hosttest.I32Const(20),
			hosttest.I32Const(size), hosttest.I32Store(0),
			hosttest.I32Const(fd), hosttest.I32Const(16), hosttest.I32Const(1), hosttest.I32Const(24),
			hosttest.Call(0), hosttest.Drop)
	}
	logged := func(level, at, size int) []byte {
		return hosttest.Code(hosttest.I32Const(level), hosttest.I32Const(at), hosttest.I32Const(size), hosttest.Call(1))
	}
	grow := hosttest.Code(hosttest.I32Const(2000), hosttest.MemoryGrow, hosttest.I32Const(-1), hosttest.I32Ne,
		hosttest.If(hosttest.I64Const(0), hosttest.Return))
	for name, test := range map[string]struct {
		text  string // in memory at 200
		apply func(size int) []byte
		want  string
	}{
		"standard error":              {"one\ntwo\n\n", func(n int) []byte { return write(2, 200, n) }, "unreachable instruction: two"},
		"a line that is not full":     {"one\ntw", func(n int) []byte { return write(2, 200, n) }, "unreachable instruction: tw"},
		"a panic before its trace":    {"x\npanic: oh\n\ngoroutine 1 [running]:\nmain.f()\n", func(n int) []byte { return write(2, 200, n) }, "pup_apply: panic: oh"},
		"a panic on standard output":  {"panic: runtime error: index out of range\n", func(n int) []byte { return write(1, 200, n) }, "panic: runtime error: index out of range"},
		"other standard output":       {"hello\n", func(n int) []byte { return write(1, 200, n) }, "unreachable instruction"},
		"an error line":               {"stock is negative", func(n int) []byte { return logged(3, 200, n) }, "unreachable instruction: stock is negative"},
		"memory":                      {"", func(int) []byte { return grow }, "out of memory: it asked for 126 MiB in all, the limit is 64 MiB (raise Limits.MemoryMiB, or make batches smaller), then it panicked"},
		"memory and a panic about it": {"panic: runtime error: out of memory\n", func(n int) []byte { return hosttest.Code(grow, write(1, 200, n)) }, "out of memory: it asked for 126 MiB"},
		"memory and another panic":    {"panic: no such account\n", func(n int) []byte { return hosttest.Code(grow, write(1, 200, n)) }, "panic: no such account"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := &hosttest.Guest{Imports: slices.DeleteFunc(hosttest.AllowedImports(), func(i hosttest.Import) bool {
				return i.Name != "fd_write" && i.Name != "log"
			})}
			g.Edit = func(m *hosttest.Module) { m.Data(200, []byte(test.text)) }
			g.Apply = hosttest.Code(test.apply(len(test.text)), hosttest.Unreachable)
			guest := load(t, newRuntime(t, host.Options{}), "words.wasm", g.Wasm()).NewGuest(0)
			defer guest.Close(t.Context())
			_, err := guest.Apply(t.Context(), make([]store.RecordedEvent, 1), nil)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, must have %q", err, test.want)
			}
			if test.text == "hello\n" && strings.Contains(err.Error(), "hello") {
				t.Errorf("error is %v, and tells what is no cause", err)
			}
		})
	}
}

// TestFault_aLargeEventRunsOutOfMemory has one event of several be too large for the memory of its guest.
func TestFault_aLargeEventRunsOutOfMemory(t *testing.T) {
	t.Parallel()
	large := append(append([]byte(`{"note":"`), bytes.Repeat([]byte("x"), 70<<20)...), `"}`...)
	for _, compiler := range []guestbuild.Compiler{guestbuild.TinyGo, guestbuild.Go} {
		t.Run(string(compiler), func(t *testing.T) {
			t.Parallel()
			module := load(t, newRuntime(t, host.Options{CacheDir: compiled}), "activity_log.wasm",
				guestbuild.Example(t, compiler, "activity_log"))
			guest := module.NewGuest(0)
			defer guest.Close(t.Context())
			events := shopEvents(1, 20)
			events[11].Payload = large
			_, err := guest.Apply(t.Context(), events, nil)
			wantFault(t, err, events[11].Position, "out of memory: it asked for", "the limit is 64 MiB")
		})
	}
}
