package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/maphash"
)

// keyIndex finds the place of a key of a table, in memory that is used again from one use to the next.
type keyIndex struct {
	seed    maphash.Seed
	slots   []int32 // index into entries + 1 by hash, 0 for none; a power of two, twice the entries at least
	entries []keyEntry
}

type keyEntry struct {
	hash  uint64
	table int
	key   []byte
	place slot
}

const slotsMin = 256

func newKeyIndex() keyIndex {
	return keyIndex{seed: maphash.MakeSeed(), slots: make([]int32, slotsMin)}
}

func (x *keyIndex) reset() {
	x.entries = x.entries[:0]
	clear(x.slots)
}

// find returns the place of a key, valid until the next find, and whether the key was there. A new one is copied to kept.
func (x *keyIndex) find(table int, key []byte, kept *arena) (place *slot, known bool) {
	hash := maphash.Bytes(x.seed, key) + uint64(table)*0x9E3779B97F4A7C15
	mask := uint64(len(x.slots) - 1)
	at := hash & mask
	for ; x.slots[at] != 0; at = (at + 1) & mask {
		entry := &x.entries[x.slots[at]-1]
		if entry.hash == hash && entry.table == table && bytes.Equal(entry.key, key) {
			return &entry.place, true
		}
	}
	x.entries = append(x.entries, keyEntry{hash: hash, table: table, key: kept.keep(key)})
	x.slots[at] = int32(len(x.entries))
	if 2*len(x.entries) > len(x.slots) {
		x.grow()
	}
	return &x.entries[len(x.entries)-1].place, false
}

func (x *keyIndex) grow() {
	x.slots = make([]int32, 2*len(x.slots))
	mask := uint64(len(x.slots) - 1)
	for i := range x.entries {
		at := x.entries[i].hash & mask
		for x.slots[at] != 0 {
			at = (at + 1) & mask
		}
		x.slots[at] = int32(i + 1)
	}
}

// appendKey appends a form of the value that is equal exactly for values that the database holds equal.
func appendKey(dst []byte, v Value) []byte {
	dst = append(dst, byte(v.Kind))
	switch v.Kind {
	case KindBool, KindI64, KindF64, KindTimestamp:
		return binary.LittleEndian.AppendUint64(dst, v.word)
	case KindNumeric:
		canonical, err := CanonicalNumeric(v.bytes)
		if err != nil {
			panic(fmt.Sprintf("numeric %q was not checked when the reply was decoded", v.bytes))
		}
		v.bytes = canonical
	}
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(v.bytes)))
	return append(dst, v.bytes...)
}
