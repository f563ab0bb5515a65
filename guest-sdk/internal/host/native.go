//go:build !wasm && !tinygo.wasm

package host

var lastResult []byte

// Log hands a line to OnLog, or drops it when there is none.
func Log(level uint32, line string) {
	if OnLog != nil {
		OnLog(level, line)
	}
}

// Query does what the import does: see the wasm build of this package.
func Query(request, dst []byte) int {
	if len(request) > 0 {
		if OnQuery == nil {
			panic("pup: a query without a host: run the projection by package puptest")
		}
		lastResult = OnQuery(request)
	}
	if len(lastResult) <= len(dst) {
		copy(dst, lastResult)
	}
	return len(lastResult)
}
