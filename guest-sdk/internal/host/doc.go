// Package host is what a guest can ask of its host: the two imports of the ABI in a wasm build, and
// replacements in memory in a native one, so that projections are tested without a runtime.
package host

// OnLog and OnQuery replace the host in a native build, and have no effect in another. OnQuery returns the
// whole result of a request.
var (
	OnLog   func(level uint32, line string)
	OnQuery func(request []byte) []byte
)
