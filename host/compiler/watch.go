package compiler

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// watchEvery is how often the child looks at what it has taken.
const watchEvery = 2 * time.Millisecond

// watch ends the process when it has taken more than it may.
func watch(asked request) {
	// The collector works harder before the end.
	debug.SetMemoryLimit(asked.MemoryBytes - asked.MemoryBytes/8)
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	for range time.Tick(watchEvery) {
		metrics.Read(samples)
		if used := samples[0].Value.Uint64() - samples[1].Value.Uint64(); used > uint64(asked.MemoryBytes) {
			os.Exit(exitMemory)
		}
		if processorTime() > asked.Time {
			os.Exit(exitTime)
		}
	}
}
