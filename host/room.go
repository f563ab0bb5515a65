package host

import (
	"context"

	"github.com/rs/zerolog"
)

// An instance can be put back after a batch when its memory has not grown, since memory cannot shrink. So it begins with room for the
// batch, if its module makes use of that: TinyGo's allocator does, Go's does not. How much it is depends on the size of the batch and on nothing
// else, so that a guest finds the same memory on every host, whatever came before.

// roomBatches is how many times a batch fits into the room that there is for it: for itself, with something to spare, the reply, and what
// the guest has besides.
const roomBatches = 4

// roomFuel is what it may take to find room for one batch, when that is tried.
const roomFuel = 100_000_000

// room returns how many bytes of memory an instance begins with for a batch of a size: what the module declares, doubled as often as
// it takes.
func (m *Module) room(batchSize int) int {
	room := m.declaredMemory()
	if !m.usesRoom {
		return room
	}
	for room < roomBatches*batchSize {
		room *= 2
	}
	return max(min(room, m.memoryMax(m.limits)/2), m.declaredMemory())
}

func (m *Module) declaredMemory() int { return int(m.code.metered.Memory.Min) * pageBytes }

// memoryMax is the most bytes of memory that an instance may have under limits.
func (m *Module) memoryMax(limits Limits) int {
	return min(int(m.code.metered.Memory.Max), limits.MemoryMiB*pagesPerMiB) * pageBytes
}

// tryRoom tells whether an instance with twice the memory takes a batch, for which that is meant, without asking for more.
func (m *Module) tryRoom(ctx context.Context) bool {
	room := 2 * m.declaredMemory()
	if room == 0 || room > m.memoryMax(m.limits)/2 || !m.code.metered.StateIsPlain {
		return false
	}
	g := m.NewGuest(0)
	g.logger = zerolog.Nop() // it has said all of this before
	defer g.Close(context.WithoutCancel(ctx))
	ctx, g.deadline = startDeadline(ctx, m.limits.StartTimeout)
	defer g.deadline.stop()
	if g.start(ctx, room) != nil {
		return false
	}
	g.fuel.fill(min(m.limits.Fuel, roomFuel))
	address, err := g.call(ctx, "pup_reserve", uint64(room/roomBatches))
	return err == nil && address != 0 && g.memoryBytes() == room
}
