//go:build wasm || tinygo.wasm

package host

import "unsafe"

//go:wasmimport pup log
func hostLog(level, ptr, size uint32)

//go:wasmimport pup query
func hostQuery(ptr, size, dst, room uint32) uint32

// Log hands a line to the host.
func Log(level uint32, line string) {
	hostLog(level, address(unsafe.Pointer(unsafe.StringData(line))), uint32(len(line)))
}

// Query runs a request and returns the size of its result, which was written to dst when it fits. A nil request
// fetches the last result again.
func Query(request, dst []byte) int {
	return int(hostQuery(
		address(unsafe.Pointer(unsafe.SliceData(request))), uint32(len(request)),
		address(unsafe.Pointer(unsafe.SliceData(dst))), uint32(len(dst)),
	))
}

func address(p unsafe.Pointer) uint32 { return uint32(uintptr(p)) }
