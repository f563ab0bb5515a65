package host

import (
	"errors"
	"fmt"

	"github.com/tetratelabs/wazero/api"

	"github.com/pupwasm/pupwasm/host/meter"
)

// tank is the fuel and the stack of an instance, which package meter put into its code.
type tank struct {
	fuel, slice, stack api.MutableGlobal
}

func newTank(instance api.Module) *tank {
	global := func(name string) api.MutableGlobal { return instance.ExportedGlobal(name).(api.MutableGlobal) }
	return &tank{global(meter.FuelLeft), global(meter.SliceLeft), global(meter.StackLeft)}
}

// fill grants fuel for what follows, and a whole stack.
func (t *tank) fill(units int64) {
	t.fuel.Set(uint64(units))
	t.slice.Set(0)
	t.stack.Set(meter.StackBytes)
}

// left is the fuel that is left, below zero if it was not enough.
func (t *tank) left() int64 { return int64(t.fuel.Get()) + int64(t.slice.Get()) }

func (t *tank) overflown() bool { return int64(t.stack.Get()) < 0 }

// errSpent ends the call in which a function of the host took more fuel than there was.
var errSpent = errors.New("out of fuel")

// What the host's own functions take besides the call, for what a guest has them do.
const (
	unitsByte       = 1 // of text that is looked at
	unitsRandomByte = 4
	unitsQuery      = 10_000
)

// charge takes fuel for work of the host. It panics when there is not enough, which ends the call.
func (g *Guest) charge(units int64) {
	g.tank.fuel.Set(uint64(int64(g.tank.fuel.Get()) - units))
	if g.tank.left() < 0 {
		panic(errSpent)
	}
}

// spentError says that there was not enough fuel.
type spentError string

func (e spentError) Error() string { return string(e) }

func (spentError) Is(target error) bool { return target == errSpent }

// spent says what the guest took too much of, if it did.
func (g *Guest) spent() error {
	switch {
	case g.tank == nil:
		return nil
	case g.tank.left() < 0:
		return spentError(fmt.Sprintf("used more than %d units of fuel %s: it loops, or does too much", g.fuel, g.purpose()))
	case g.tank.overflown():
		return fmt.Errorf("calls itself too deep: its functions take more than %d MiB of stack", meter.StackBytes>>20)
	}
	return nil
}

// purpose is what the guest has fuel and time for.
func (g *Guest) purpose() string {
	if g.events == 0 {
		return "to start"
	}
	return fmt.Sprintf("for a batch of %d events", g.events)
}

// exit is where a guest leaves its code after every slice of fuel. It ends the call when the host does not want it any more.
func (g *Guest) exit() {
	if g.stopwatch == nil {
		return
	}
	if err := g.stopwatch.err(); err != nil {
		panic(g.abort(err))
	}
}
