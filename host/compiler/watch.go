package compiler

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// watchInterval is how often the child checks what it has used.
const watchInterval = 2 * time.Millisecond

// watchLimits ends the process when it exceeds a limit.
func watchLimits(req request) {
	// The collector works harder before the end.
	debug.SetMemoryLimit(req.MemoryBytes - req.MemoryBytes/8)
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	for range time.Tick(watchInterval) {
		metrics.Read(samples)
		if used := samples[0].Value.Uint64() - samples[1].Value.Uint64(); used > uint64(req.MemoryBytes) {
			os.Exit(exitMemory)
		}
		if processorTime() > req.Time {
			os.Exit(exitTime)
		}
	}
}
