package host

import (
	"errors"
	"fmt"
	"time"

	"github.com/tetratelabs/wazero/api"

	"github.com/pupwasm/pupwasm/host/meter"
	"github.com/pupwasm/pupwasm/internal/clock"
)

// tank is the fuel and the stack of an instance, which package meter put into its code.
type tank struct {
	fuel, slice, stack api.MutableGlobal
	size               api.MutableGlobal // of slices
}

func newTank(instance api.Module) *tank {
	global := func(name string) api.MutableGlobal { return instance.ExportedGlobal(name).(api.MutableGlobal) }
	t := &tank{global(meter.FuelLeft), global(meter.SliceLeft), global(meter.StackLeft), global(meter.SliceSize)}
	t.size.Set(sliceFirst)
	return t
}

// A slice is as large as it may be for the time that it takes: nobody knows how long a unit of fuel takes on this machine, and in this
// code. It begins small, and is made anew with the instance.
const (
	sliceFirst = meter.SliceUnits / 16
	sliceLeast = meter.SliceUnits / 128
	sliceLong  = 2 * time.Millisecond
	sliceShort = sliceLong / 4
)

// adapted is the size of the slices behind one that took some time.
func adapted(size int64, took time.Duration) int64 {
	switch {
	case took > sliceLong:
		return max(size/2, sliceLeast)
	case took < sliceShort:
		return min(2*size, meter.SliceUnits)
	}
	return size
}

// fill grants fuel for what follows, and a whole stack.
func (t *tank) fill(units int64) {
	t.fuel.Set(uint64(units))
	t.slice.Set(0)
	t.stack.Set(meter.StackBytes)
}

// left is the fuel that is left, below zero if it was not enough.
func (t *tank) left() int64 { return int64(t.fuel.Get()) + int64(t.slice.Get()) }

// take takes fuel for work of the host. As in the guest's own code, only the slice comes below zero, whatever its size is.
func (t *tank) take(units int64) {
	fuel := int64(t.fuel.Get()) - units
	if fuel < 0 {
		t.slice.Set(uint64(int64(t.slice.Get()) + fuel))
		fuel = 0
	}
	t.fuel.Set(uint64(fuel))
}

func (t *tank) overflown() bool { return int64(t.stack.Get()) < 0 }

// errSpent ends the call in which a function of the host took more fuel than there was.
var errSpent = errors.New("out of fuel")

// What the host's own functions take besides the call, for what a guest has them do.
const (
	unitsByte       = 1  // of text that is looked at
	unitsValueByte  = 32 // of a reply, a query or its result, whose values the host reads or writes one by one: about a nanosecond
	unitsRandomByte = 4
	unitsQuery      = 10_000
)

// charge takes fuel for work of the host. It panics when there is not enough, which ends the call.
func (g *Guest) charge(units int64) {
	g.tank.take(units)
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

// exit is where a guest leaves its code after every slice of fuel, and others have their turn. It ends the call when the host does not want
// it any more.
func (g *Guest) exit() {
	if err := g.stopwatch.err(); err != nil {
		panic(g.abort(err))
	}
	g.tank.size.Set(uint64(adapted(int64(g.tank.size.Get()), clock.Since(g.entered))))
	g.yield()
}
