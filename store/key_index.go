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
	slots   []keySlot // by hash; a power of two, twice the entries at least
	entries []keyEntry
}

// keySlot has enough of the hash to pass by most other keys without a look at them.
type keySlot struct {
	hash  uint32
	entry uint32 // index into entries + 1, 0 for none
}

type keyEntry struct {
	key   []byte
	hash  uint64
	table int32
	place slot
}

const slotsMin = 256

func newKeyIndex() keyIndex {
	return keyIndex{seed: maphash.MakeSeed(), slots: make([]keySlot, slotsMin)}
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
	for ; x.slots[at].entry != 0; at = (at + 1) & mask {
		if x.slots[at].hash != uint32(hash>>32) {
			continue
		}
		entry := &x.entries[x.slots[at].entry-1]
		if entry.table == int32(table) && bytes.Equal(entry.key, key) {
			return &entry.place, true
		}
	}
	x.entries = append(x.entries, keyEntry{hash: hash, table: int32(table), key: kept.keep(key)})
	x.slots[at] = keySlot{hash: uint32(hash >> 32), entry: uint32(len(x.entries))}
	if 2*len(x.entries) > len(x.slots) {
		x.grow()
	}
	return &x.entries[len(x.entries)-1].place, false
}

func (x *keyIndex) grow() {
	x.slots = make([]keySlot, 2*len(x.slots))
	mask := uint64(len(x.slots) - 1)
	for i := range x.entries {
		hash := x.entries[i].hash
		at := hash & mask
		for x.slots[at].entry != 0 {
			at = (at + 1) & mask
		}
		x.slots[at] = keySlot{hash: uint32(hash >> 32), entry: uint32(i + 1)}
	}
}

// appendKey appends a form of the value that is equal exactly for values that the database holds equal.
func appendKey(dst []byte, v Value) []byte {
	dst = append(dst, byte(v.Kind))
	switch v.Kind {
	case KindBool, KindI64, KindF64, KindTimestamp:
		return binary.LittleEndian.AppendUint64(dst, v.word)
	case KindNumeric:
		canonical, err := CanonicalNumeric(v.Bytes())
		if err != nil {
			panic(fmt.Sprintf("numeric %q was not checked when the reply was decoded", v.Bytes()))
		}
		v = BytesOf(KindNumeric, canonical)
	}
	dst = binary.LittleEndian.AppendUint32(dst, v.size)
	return append(dst, v.Bytes()...)
}
