package store

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"math/bits"
	"math/rand/v2"
)

// keyIndex finds the last row that touched a key. It holds places and hashes only: the caller compares the keys,
// which are in the rows. A map from hash to place takes 6 to 16% more processor time for a fold of
// BenchmarkFolder, and 10% for one of BenchmarkFolder_Fold in package host.
type keyIndex struct {
	keyHasher
	slots []keySlot // by hash; a power of two, at least twice as many as are taken
	taken int
}

// keyHasher makes hashes of keys, other ones in each process.
type keyHasher struct {
	seed    maphash.Seed
	secrets [2]uint64 // so that nobody can choose keys of the same hash
}

func newKeyHasher() keyHasher {
	return keyHasher{seed: maphash.MakeSeed(), secrets: [2]uint64{rand.Uint64(), rand.Uint64() | 1}}
}

type keySlot struct {
	hash  uint64
	place place
}

// place is where a row is in the steps. The zero place is none.
type place struct{ step, row uint32 } // both from 1

func placeOf(step, row int) place { return place{uint32(step) + 1, uint32(row) + 1} }

func (p place) indexes() (step, row int) { return int(p.step) - 1, int(p.row) - 1 }

const slotsMin = 256

func newKeyIndex() keyIndex {
	return keyIndex{keyHasher: newKeyHasher(), slots: make([]keySlot, slotsMin)}
}

func (x *keyIndex) reset() {
	x.taken = 0
	clear(x.slots)
}

// hash is that of a table's key. It is equal for values that the database holds equal.
func (x *keyHasher) hash(table int, key []Value) uint64 {
	sum := uint64(table)
	for _, v := range key {
		word := v.word
		switch v.Kind {
		case KindBool, KindI64, KindF64, KindTimestamp:
		case KindNumeric:
			word = maphash.Bytes(x.seed, canonicalOf(v))
		default:
			word = maphash.Bytes(x.seed, v.Bytes())
		}
		high, low := bits.Mul64(word^x.secrets[0]^sum, x.secrets[1])
		sum = high ^ low
	}
	return sum
}

// grow makes room for one more key. It comes before a search, whose result it would move.
func (x *keyIndex) grow() {
	if 2*(x.taken+1) <= len(x.slots) {
		return
	}
	old := x.slots
	x.slots = make([]keySlot, 2*len(old))
	for _, s := range old {
		if s.place != (place{}) {
			at := s.hash
			for x.at(at).place != (place{}) {
				at++
			}
			*x.at(at) = s
		}
	}
}

// at returns a slot by a hash, or by one that was counted up from there.
func (x *keyIndex) at(hash uint64) *keySlot { return &x.slots[hash&uint64(len(x.slots)-1)] }

// sameKey reports whether the database holds two keys of a table equal.
func sameKey(a, b []Value) bool {
	for i := range a {
		switch a[i].Kind {
		case KindBool, KindI64, KindF64, KindTimestamp:
			if a[i].word != b[i].word {
				return false
			}
		case KindNumeric:
			if !bytes.Equal(canonicalOf(a[i]), canonicalOf(b[i])) {
				return false
			}
		default:
			if !bytes.Equal(a[i].Bytes(), b[i].Bytes()) {
				return false
			}
		}
	}
	return true
}

func canonicalOf(v Value) []byte {
	canonical, err := CanonicalNumeric(v.Bytes())
	if err != nil {
		panic(fmt.Sprintf("numeric %q was not checked when the reply was decoded", v.Bytes()))
	}
	return canonical
}
