package host

import (
	"github.com/tetratelabs/wazero/experimental"

	"github.com/pupwasm/pupwasm/host/meter"
)

const (
	pageBytes = 64 << 10
	exitBytes = meter.ExitPages * pageBytes
	// spareBytesMax is the most that a guest keeps of a buffer, or of the memory of an instance that is gone,
	// for the next batch.
	spareBytesMax = 4 << 20
)

// resetBuffer returns a buffer for the next batch. A large one is not kept.
func resetBuffer(buffer []byte) []byte {
	if cap(buffer) > spareBytesMax {
		return nil
	}
	return buffer[:0]
}

// memory is the memory of an instance, which grows up to the limit. After every slice of fuel it is asked for
// more than it can give: that is the moment for the host to end a call.
type memory struct {
	guest  *Guest
	buffer []byte
	limit  uint64
	grows  bool // it has its first pages
}

// allocator makes the memory of the next instance. The engine passes all addresses as the maximum.
func (g *Guest) allocator() experimental.MemoryAllocator {
	return experimental.MemoryAllocatorFunc(func(_, _ uint64) experimental.LinearMemory {
		m := &memory{
			guest: g, buffer: g.spareMemory,
			limit: uint64(g.module.memoryMax()),
		}
		g.spareMemory = nil
		return m
	})
}

// Reallocate returns the memory with another size, or nil.
func (m *memory) Reallocate(size uint64) []byte {
	have := uint64(len(m.buffer))
	if m.grows && size == have+exitBytes {
		m.guest.exit()
		return nil
	}
	m.grows = true
	if size > m.limit {
		m.guest.memoryRefused = size
		return nil
	}
	if size > uint64(cap(m.buffer)) {
		// A quarter more, for the next time, as append does it for large slices.
		grown := make([]byte, size, min(m.limit, size+have/4))
		copy(grown, m.buffer)
		m.buffer = grown
	}
	m.buffer = m.buffer[:size]
	return m.buffer
}

// Free keeps the memory for the guest's next instance, empty as a new one: a fresh instance for every batch
// would otherwise make more garbage than all the rest.
func (m *memory) Free() {
	if cap(m.buffer) <= spareBytesMax {
		clear(m.buffer)
		m.guest.spareMemory = m.buffer[:0]
	}
	m.buffer = nil
}

// memoryMax is the most bytes of memory that an instance may have.
func (m *Module) memoryMax() int {
	return min(int(m.code.metered.Memory.Max), m.granted.MemoryMiB*pagesPerMiB) * pageBytes
}
