package pup

import "math/bits"

// keySet numbers distinct keys in the order in which they come. A key is the values of its columns, encoded. It
// does without a map, whose insertions allocate, and keeps its memory from batch to batch, but none of its
// keys.
type keySet struct {
	row    Row      // takes the next key behind the others
	starts []uint32 // per key, and one behind the last
	table  []uint32 // open addressing: the number of a key + 1, or 0
}

func (k *keySet) reset() {
	k.row = Row{buffer: k.row.buffer}
	k.starts = append(k.starts[:0], 0)
	if len(k.table) == 0 {
		k.table = make([]uint32, keyTableMin)
	}
	clear(k.table)
}

const keyTableMin = 256

func (k *keySet) len() int { return len(k.starts) - 1 }

func (k *keySet) key(i int) []byte { return k.row.buffer[k.starts[i]:k.starts[i+1]] }

// add takes the key that was written last, and takes it away again when it is known.
func (k *keySet) add() (index int, added bool) {
	start := int(k.starts[k.len()])
	key := k.row.buffer[start:k.row.size]
	mask := uint32(len(k.table) - 1)
	at := hash(key) & mask
	for k.table[at] != 0 {
		index = int(k.table[at] - 1)
		if view(k.key(index)) == view(key) { // TinyGo would copy both sides of string(…) == string(…)
			k.row.size = start
			return index, false
		}
		at = (at + 1) & mask
	}
	index = k.len()
	k.starts = append(k.starts, uint32(k.row.size))
	k.table[at] = uint32(index + 1)
	if 2*k.len() > len(k.table) {
		k.grow()
	}
	return index, true
}

func (k *keySet) grow() {
	k.table = make([]uint32, 4*len(k.table))
	mask := uint32(len(k.table) - 1)
	for i := range k.len() {
		at := hash(k.key(i)) & mask
		for k.table[at] != 0 {
			at = (at + 1) & mask
		}
		k.table[at] = uint32(i + 1)
	}
}

// hash mixes eight bytes at a time. It only decides where a key lies in the table, and nothing that can be seen
// from outside.
func hash(key []byte) uint32 {
	const prime = 0x9E3779B97F4A7C15
	h := uint64(len(key))
	for len(key) >= 8 {
		h = bits.RotateLeft64((h^(uint64(u32(key, 0))|uint64(u32(key, 4))<<32))*prime, 29)
		key = key[8:]
	}
	for _, c := range key {
		h = (h ^ uint64(c)) * prime
	}
	h = (h ^ h>>32) * prime // the upper half of a product depends on all bits, the lower half does not
	return uint32(h >> 32)
}

// keyOf gives a whole key, which is encoded already.
func (r *Row) keyOf(keys *keySet, index, columns int) {
	if r.types != nil {
		r.raw(keys.key(index))
		r.next += columns
	}
}

// arrayOf gives the array of one column of all keys.
func (r *Row) arrayOf(keys *keySet, column int) {
	if r.types == nil {
		return
	}
	r.head(r.types[r.next], keys.len())
	for i := range keys.len() {
		value := keys.key(i)
		for range column {
			value = value[valueSize(value):]
		}
		r.raw(value[:valueSize(value)])
	}
	r.next++
}
