//go:build tinygo.wasm

package pup

// goroutines: none are started without a scheduler.
func goroutines() int { return 0 }
