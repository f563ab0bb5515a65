package host

import (
	"context"
	"fmt"

	"github.com/tetratelabs/wazero/api"
)

// call runs an exported function that returns at most one value.
func (g *Guest) call(ctx context.Context, name string, params ...uint64) (uint64, error) {
	g.beginCall()
	stack := [2]uint64{}
	copy(stack[:], params)
	if err := g.enter(); err != nil {
		return 0, g.abort(err)
	}
	defer g.leave()
	err := g.function(name).CallWithStack(withGuest(ctx, g), stack[:])
	spent := g.exhausted()
	switch {
	case spent != nil:
		return 0, fmt.Errorf("%s: %w", name, spent)
	case err == nil:
		return stack[0], nil
	case g.aborted != nil:
		return 0, g.aborted
	}
	return 0, fmt.Errorf("%s: %s", name, g.trapReason(err))
}

// function looks an export up once for an instance: it comes with a stack of its own.
func (g *Guest) function(name string) api.Function {
	function := g.functions[name]
	if function == nil {
		function = g.instance.ExportedFunction(name)
		g.functions[name] = function
	}
	return function
}

func (g *Guest) beginCall() {
	g.aborted, g.logLines, g.memoryRefused, g.exceeded = nil, 0, 0, false
	g.result, g.lastError = g.result[:0], g.lastError[:0]
	for i := range g.output {
		g.output[i].begin()
	}
}

// read returns a view of a block that the guest returned as ptr<<32 | len. It is valid until the next call.
func (g *Guest) read(what string, result uint64, limit int) ([]byte, error) {
	ptr, size := uint32(result>>32), uint32(result)
	if uint64(size) > uint64(limit) {
		return nil, exceeded("returned %s of %d bytes, the limit is %d", what, size, limit)
	}
	view, ok := g.instance.Memory().Read(ptr, size)
	if !ok {
		return nil, fmt.Errorf("returned %s at address %d, where %d bytes leave its memory", what, ptr, size)
	}
	return view, nil
}

// abort remembers why a function of the host ends the call, and returns it for panic, the engine's way to end one.
func (g *Guest) abort(err error) error {
	g.aborted = err
	return err
}

func (g *Guest) memoryBytes() int {
	if g.instance == nil {
		return 0
	}
	return int(g.instance.Memory().Size())
}

type guestKey struct{}

func withGuest(ctx context.Context, g *Guest) context.Context {
	return context.WithValue(ctx, guestKey{}, g)
}

func guestFrom(ctx context.Context) *Guest { return ctx.Value(guestKey{}).(*Guest) }
