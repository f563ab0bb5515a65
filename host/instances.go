package host

import (
	"cmp"
	"fmt"
	"time"
)

// Instances says whether batches share an instance of a module. Results must not depend on it: a projection
// keeps nothing between batches, since segments move between machines.
type Instances string

const (
	// InstancesAuto is [InstancesFresh] for modules that start fast, and [InstancesReuse] for the others.
	InstancesAuto Instances = "auto"
	// InstancesFresh gives every batch a new instance, or a used one that is reset from an image. It bounds a
	// guest's memory, also of one that never frees any, and makes it stateless by construction.
	InstancesFresh Instances = "fresh"
	// InstancesReuse keeps an instance until a fault or until its memory passes a mark: 32 MiB, or half of
	// what it may have.
	InstancesReuse Instances = "reuse"
)

// freshBelow is the start-up time under which a fresh instance for every batch costs nothing beside its
// commit. TinyGo's guests take 50 µs, Go's 2 ms.
const freshBelow = 500 * time.Microsecond

// reuseMemoryMax is the memory in bytes at which a reused instance is replaced, at most.
const reuseMemoryMax = 32 << 20

func (i Instances) validate() error {
	switch i {
	case InstancesAuto, InstancesFresh, InstancesReuse:
		return nil
	}
	return fmt.Errorf("option Instances must be %s, %s or %s, it is %q", InstancesAuto, InstancesFresh,
		InstancesReuse, string(i))
}

// reuses tells whether a module's instances serve more than one batch.
func (i Instances) reuses(startUp time.Duration) bool {
	return i == InstancesReuse || i == InstancesAuto && startUp >= freshBelow
}

// Reuses tells whether an instance of the module serves more than one batch on this host.
func (m *Module) Reuses() bool {
	return cmp.Or(m.Settings.Instances, m.runtime.options.Instances).reuses(m.StartUp)
}

// keepsInstance tells whether the instance may serve another batch. The mark leaves room below the limit, so
// that a batch is not refused for what those before it have left behind.
func (g *Guest) keepsInstance() bool {
	if !g.module.Reuses() {
		return g.image.fits(g)
	}
	return g.memoryBytes() <= min(reuseMemoryMax, g.module.limits.MemoryMiB<<20/2)
}
