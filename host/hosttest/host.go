package hosttest

import (
	"context"
	"slices"
	"testing"
	"time"
)

// Host is a host under test, which has [Deadline], [MemoryMiB], [ReplyBytesMax] and [ModuleBytesMax] as its limits.
type Host interface {
	// Load compiles a module, starts an instance and reads its description. An error says why the module
	// cannot be used.
	Load(ctx context.Context, wasm []byte) (Loaded, error)
}

// Loaded is a module that a host accepted.
type Loaded interface {
	// Apply hands over one batch of [Events] events, which may be any, and returns the number of mutations, with
	// those that send messages, or why the guest is at fault.
	Apply(ctx context.Context) (mutations int, err error)
	Close()
}

const (
	// refusalMax is the latest that a hostile guest may be refused. It tells what is stopped from what never
	// ends, and leaves room for machines that are slow, busy with other tests and under the race detector: a
	// second there may take twenty.
	refusalMax = 2 * time.Minute
	// errorBytesMax bounds the text of an error: it goes to logs, and into the database.
	errorBytesMax = 8 << 10
)

// RunHost runs every unusual and every hostile guest against a host. The unusual ones must be accepted; the
// hostile ones must be refused at their stage, twice in the same way, in time, with an error that says why
// and is no longer than a page; and a well-behaved guest that was loaded before must go on working.
//
// A host that does not protect itself ends the test binary: see [Hostile]. except names guests that the host
// is known not to survive yet; they are skipped.
func RunHost(t *testing.T, host Host, except ...string) {
	ctx := t.Context()
	unusual := Unusual()
	bystander, err := host.Load(ctx, unusual[0].Wasm)
	if err != nil {
		t.Fatalf("the host refuses a plain guest: %v", err)
	}
	defer bystander.Close()
	for _, g := range unusual {
		t.Run("unusual/"+g.Name, func(t *testing.T) { runUnusual(t, host, &g) })
	}
	for _, g := range Hostile() {
		t.Run("hostile/"+g.Name, func(t *testing.T) {
			if slices.Contains(except, g.Name) {
				t.Skip("the host is known not to survive it")
			}
			runHostile(t, host, &g)
			if n, err := bystander.Apply(ctx); err != nil || n != unusual[0].Mutations {
				t.Fatalf("another guest returns %d mutations and error %v after it, want %d", n, err,
					unusual[0].Mutations)
			}
		})
	}
}

func runUnusual(t *testing.T, host Host, g *UnusualGuest) {
	ctx := t.Context()
	loaded, err := host.Load(ctx, g.Wasm)
	if err != nil {
		t.Fatalf("refused at load: %v", err)
	}
	defer loaded.Close()
	for range 2 {
		n, err := loaded.Apply(ctx)
		if err != nil {
			t.Fatalf("refused: %v", err)
		}
		if n != g.Mutations {
			t.Fatalf("got %d mutations, want %d", n, g.Mutations)
		}
	}
}

func runHostile(t *testing.T, host Host, g *HostileGuest) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*refusalMax)
	defer cancel()
	started := time.Now()
	loaded, err := host.Load(ctx, g.Wasm)
	checkTime(t, "Load", started)
	if err != nil {
		if g.Stage == StageApply && !g.MayLoadFail {
			t.Fatalf("refused at load, want that at apply: %v", err)
		}
		checkRefusal(t, g, err)
		return
	}
	defer loaded.Close()
	if g.Stage == StageLoad {
		t.Fatal("accepted at load")
	}
	for range 2 {
		started := time.Now()
		n, err := loaded.Apply(ctx)
		checkTime(t, "Apply", started)
		if err == nil {
			t.Fatalf("accepted with %d mutations", n)
		}
		checkRefusal(t, g, err)
	}
}

func checkTime(t *testing.T, what string, started time.Time) {
	t.Helper()
	if took := time.Since(started); took > refusalMax {
		t.Errorf("%s took %s", what, took.Round(time.Millisecond))
	}
}

func checkRefusal(t *testing.T, g *HostileGuest, err error) {
	t.Helper()
	text := err.Error()
	if len(text) > errorBytesMax {
		t.Errorf("the error has %d bytes, want %d at most", len(text), errorBytesMax)
		text = text[:200] + "…"
	}
	if !g.Explains(err) {
		t.Errorf("the error is %q, want it to say one of %q", text, g.Want)
	}
}
