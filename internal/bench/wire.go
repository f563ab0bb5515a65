package main

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
)

// wireArray is an array in PostgreSQL's binary format, built in place.
type wireArray struct {
	data  []byte
	oid   uint32
	count uint32
}

// Object identifiers of element types.
const (
	oidInt8        = 20
	oidText        = 25
	oidTimestamptz = 1184
)

const wireHeader = 20

func newWireArray(oid uint32) wireArray { return wireArray{data: make([]byte, wireHeader), oid: oid} }

func (a *wireArray) reset() { a.data, a.count = a.data[:wireHeader], 0 }

func (a *wireArray) add(value []byte) {
	a.data = binary.BigEndian.AppendUint32(a.data, uint32(len(value)))
	a.data = append(a.data, value...)
	a.count++
}

func (a *wireArray) addInt8(v int64) {
	a.data = binary.BigEndian.AppendUint32(a.data, 8)
	a.data = binary.BigEndian.AppendUint64(a.data, uint64(v))
	a.count++
}

func (a *wireArray) addNull() {
	a.data = binary.BigEndian.AppendUint32(a.data, ^uint32(0))
	a.count++
}

// bytes completes the header.
func (a *wireArray) bytes() []byte {
	for i, v := range [...]uint32{1, 1, a.oid, a.count, 1} { // dimensions, has nulls, element, length, lower bound
		binary.BigEndian.PutUint32(a.data[4*i:], v)
	}
	return a.data
}

// keyIndex numbers the keys of a batch from 0, in an array of them that is ready to send.
type keyIndex struct {
	keys  wireArray
	at    []uint32 // where the key of a number begins
	slots []int32  // number+1 by hash, 0 for none
	seed  maphash.Seed
}

func newKeyIndex(capacity int) keyIndex {
	size := 1
	for size < 2*capacity {
		size *= 2
	}
	return keyIndex{keys: newWireArray(oidText), slots: make([]int32, size), seed: maphash.MakeSeed()}
}

// number returns the key's number and whether it is new.
func (x *keyIndex) number(key []byte) (int, bool) {
	mask := uint64(len(x.slots) - 1)
	for slot := maphash.Bytes(x.seed, key) & mask; ; slot = (slot + 1) & mask {
		n := x.slots[slot] - 1
		if n < 0 {
			n = int32(len(x.at))
			x.slots[slot] = n + 1
			x.keys.add(key)
			x.at = append(x.at, uint32(len(x.keys.data)-len(key)))
			return int(n), true
		}
		if at := int(x.at[n]); at+len(key) <= len(x.keys.data) && bytes.Equal(x.keys.data[at:at+len(key)], key) &&
			binary.BigEndian.Uint32(x.keys.data[at-4:]) == uint32(len(key)) {
			return int(n), false
		}
	}
}

func (x *keyIndex) reset() {
	x.keys.reset()
	x.at = x.at[:0]
	clear(x.slots)
}
