//go:build wasm || tinygo.wasm

package pup

import (
	"runtime"
	"unsafe"

	"github.com/pupwasm/pupwasm/guest-sdk/internal/entry"
)

// What most batches and replies have room in is there from the start, outside of the heap: a host that puts the
// instance back after each batch would otherwise have it allocate and clear both each time.
var (
	firstInput [384 << 10 / 8]uint64
	firstReply [128 << 10]byte
)

func init() { replyBuffer = firstReply[:] }

// declared are the tables of the module, all of which its projection has to list.
var declared []*Table

func noteTable(t *Table) { declared = append(declared, t) }

// input is the buffer that the host writes batches to. It is kept, since allocating and clearing a large one
// takes longer than handling a small batch, and it is made of words, so that it is aligned.
var input = firstInput[:]

// inputGranule is what the size of the buffer is rounded up to, in words.
const inputGranule = 512

// inputSpare is the most that the buffer has beyond what was asked for, in words.
const inputSpare = 1 << 20 / 8

//go:wasmexport pup_abi_1
func exportABI() int32 { return abiVersion }

//go:wasmexport pup_describe
func exportDescribe() int64 {
	if registered == nil {
		misuse("the module has no projection: call pup.Register from an init function")
	}
	return handOver(registered.describe())
}

//go:wasmexport pup_reserve
func exportReserve(size int32) int32 {
	words := (uint64(uint32(size)) + 7) / 8
	if words == 0 {
		words = 1
	}
	if words > uint64(len(input)) {
		// A quarter more than asked for saves the next batch, which is seldom of the same size, from the same work. A
		// very large one is an exception, and memory is what it has least of.
		words += min(words/4, inputSpare)
		words = (words + inputGranule - 1) / inputGranule * inputGranule
		input = nil // the collector may have it back before more is taken
		input = make([]uint64, words)
	}
	return int32(uintptr(unsafe.Pointer(unsafe.SliceData(input))))
}

//go:wasmexport pup_apply
func exportApply(ptr, size int32) int64 {
	if uintptr(uint32(ptr)) != uintptr(unsafe.Pointer(unsafe.SliceData(input))) ||
		uint64(uint32(size)) > 8*uint64(len(input)) {
		misuse("the host applies a batch that is not where pup_reserve has told it to be")
	}
	before := goroutines()
	reply := registered.apply(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(input))), int(uint32(size))))
	// The collector of Go runs in goroutines of its own, which get their turn only when the guest yields. So do
	// those of the projection.
	runtime.Gosched()
	for turns := 0; goroutines() > before && turns < turnsMax; turns++ {
		runtime.Gosched()
	}
	if goroutines() > before {
		reply = newMutations(nil, 0).finishError(&Error{Event: noEvent, Message: entry.LeftBehind})
		registered.replyBuffer = reply // is not to be collected
	}
	return handOver(reply)
}

// turnsMax is how often a goroutine that Handle did not wait for gets its turn to end by itself.
const turnsMax = 100

// handOver returns the address and length of bytes that stay where they are until the next call, since the
// registered module holds them.
func handOver(data []byte) int64 {
	address := uint64(uintptr(unsafe.Pointer(unsafe.SliceData(data))))
	return int64(address<<32 | uint64(len(data)))
}
