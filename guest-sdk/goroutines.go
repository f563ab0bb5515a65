//go:build wasm && !tinygo

package pup

import "runtime"

// goroutines returns how many there are, without those of Go's runtime.
func goroutines() int { return runtime.NumGoroutine() }

// exportCollections tells the host how often memory was collected: Go's runtime asks for the time once whenever
// it is, and the host warns of a projection that asks for it besides.
//
//go:wasmexport pup_collections
func exportCollections() int32 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int32(stats.NumGC)
}
