package main

import (
	"bytes"
	"os"
	"runtime/debug"
	"strconv"
)

// memoryWatch finds the most memory that this process takes during a run, beyond what it had before. The
// kernel counts it; where it does not, as on systems other than Linux, there is no figure.
type memoryWatch struct{ before float64 }

func startMemoryWatch() memoryWatch {
	debug.FreeOSMemory() // what is garbage of the run before
	const resetPeak = "5"
	if os.WriteFile("/proc/self/clear_refs", []byte(resetPeak), 0) != nil {
		return memoryWatch{}
	}
	return memoryWatch{before: memoryOfProcess("VmRSS:")}
}

// peak is in bytes, and 0 where the kernel does not count it.
func (m memoryWatch) peak() float64 {
	if m.before == 0 {
		return 0
	}
	return max(0, memoryOfProcess("VmHWM:")-m.before)
}

// memoryOfProcess reads a field of the process's status, which is in KiB.
func memoryOfProcess(field string) float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(status) {
		if rest, found := bytes.CutPrefix(line, []byte(field)); found {
			kib, _ := strconv.ParseFloat(string(bytes.TrimSuffix(bytes.TrimSpace(rest), []byte(" kB"))), 64)
			return kib * 1024
		}
	}
	return 0
}
