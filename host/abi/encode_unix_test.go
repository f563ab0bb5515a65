//go:build unix && (amd64 || arm64)

package abi_test

import (
	"math"
	"syscall"
	"testing"
	"unsafe"

	"github.com/pupwasm/pupwasm/host/abi"
)

// TestBatchEncoder_tooLarge hands over 2 GiB that cannot even be read: the encoder has to refuse them by their length.
func TestBatchEncoder_tooLarge(t *testing.T) {
	t.Parallel()
	memory, err := syscall.Mmap(-1, 0, math.MaxInt32+1, syscall.PROT_NONE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Skipf("no address space: %v", err)
	}
	defer func() { _ = syscall.Munmap(memory) }()
	half := memory[:1<<30]
	asText := func(b []byte) string { return unsafe.String(&b[0], len(b)) }
	columns := map[string]func(e *abi.BatchEncoder){
		"bytes": func(e *abi.BatchEncoder) { e.Bytes(abi.Payload, func(int) []byte { return memory }) },
		"texts": func(e *abi.BatchEncoder) { e.Texts(abi.AggregateID, func(int) string { return asText(memory) }) },
	}
	for name, add := range columns {
		e := &abi.BatchEncoder{}
		e.Begin(abi.BatchHeader{Count: 2}, 2)
		add(e)
		// What follows a column that is too large must not be laid out either.
		e.Bytes(abi.Metadata, func(int) []byte { return half })
		if _, err := e.Finish(); err == nil {
			t.Errorf("%s: 2 GiB fit into a batch", name)
		}
		e.Begin(abi.BatchHeader{Count: 1}, 1)
		e.Bytes(abi.Payload, func(int) []byte { return []byte("small") })
		if _, err := e.Finish(); err != nil {
			t.Errorf("%s: the next batch: %v", name, err)
		}
	}
}
