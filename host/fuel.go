package host

import (
	"errors"
	"fmt"
	"time"

	"github.com/tetratelabs/wazero/api"

	"github.com/pupwasm/pupwasm/host/meter"
	"github.com/pupwasm/pupwasm/internal/clock"
)

// fuelGlobals are the globals of an instance that package meter added: its fuel and its stack.
type fuelGlobals struct {
	rest      api.MutableGlobal // fuel besides the slice
	slice     api.MutableGlobal
	sliceSize api.MutableGlobal
	stack     api.MutableGlobal
}

func newFuelGlobals(instance api.Module) *fuelGlobals {
	global := func(name string) api.MutableGlobal { return instance.ExportedGlobal(name).(api.MutableGlobal) }
	f := &fuelGlobals{
		rest: global(meter.FuelLeft), slice: global(meter.SliceLeft),
		sliceSize: global(meter.SliceSize), stack: global(meter.StackLeft),
	}
	f.sliceSize.Set(sliceFirst)
	return f
}

// The size of slices adapts to the time that they take, since the time for a unit of fuel depends on the
// machine and on the code. It begins small with every instance.
const (
	sliceFirst = meter.SliceUnits / 16
	sliceLeast = meter.SliceUnits / 128
	sliceLong  = 2 * time.Millisecond
	sliceShort = sliceLong / 4
)

// adapted returns the size for the next slices after one that took some time.
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
func (f *fuelGlobals) fill(units int64) {
	f.rest.Set(uint64(units))
	f.slice.Set(0)
	f.stack.Set(meter.StackBytes)
}

// left is the fuel that is left, below zero if it was not enough.
func (f *fuelGlobals) left() int64 { return int64(f.rest.Get()) + int64(f.slice.Get()) }

// take takes fuel for work of the host. As in the guest's own code, only the slice comes below zero, whatever
// its size is.
func (f *fuelGlobals) take(units int64) {
	fuel := int64(f.rest.Get()) - units
	if fuel < 0 {
		f.slice.Set(uint64(int64(f.slice.Get()) + fuel))
		fuel = 0
	}
	f.rest.Set(uint64(fuel))
}

func (f *fuelGlobals) stackOverflowed() bool { return int64(f.stack.Get()) < 0 }

// errOutOfFuel ends the call in which a function of the host took more fuel than there was.
var errOutOfFuel = errors.New("out of fuel")

// What the host's own functions take besides the call, for what a guest has them do.
const (
	unitsByte = 1 // of text that is read
	// of a reply, a query or its result, whose values the host reads or writes one by one: about a nanosecond
	unitsValueByte  = 32
	unitsRandomByte = 4
	unitsQuery      = 10_000
)

// charge takes fuel for work of the host. It panics when there is not enough, which ends the call.
func (g *Guest) charge(units int64) {
	g.fuel.take(units)
	if g.fuel.left() < 0 {
		panic(errOutOfFuel)
	}
}

// outOfFuelError is errOutOfFuel with the amount.
type outOfFuelError string

// Error says how much there was.
func (e outOfFuelError) Error() string { return string(e) }

// Is makes it an errOutOfFuel.
func (outOfFuelError) Is(target error) bool { return target == errOutOfFuel }

// exhausted returns an error when the guest has used up its fuel or its stack.
func (g *Guest) exhausted() error {
	switch {
	case g.fuel == nil:
		return nil
	case g.fuel.left() < 0:
		return outOfFuelError(fmt.Sprintf("used more than %d units of fuel %s: it loops, or does too much",
			g.fuelLimit, g.purpose()))
	case g.fuel.stackOverflowed():
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

// exit is where a guest leaves its code after every slice of fuel, and others have their turn. It ends the
// call when its time is up or the caller has cancelled it.
func (g *Guest) exit() {
	if err := g.deadline.err(); err != nil {
		panic(g.abort(err))
	}
	g.fuel.sliceSize.Set(uint64(adapted(int64(g.fuel.sliceSize.Get()), clock.Since(g.entered))))
	g.yield()
}
