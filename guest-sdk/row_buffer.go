package pup

import "unsafe"

// expect tells whether a value of type t may come next, and moves on.
func (r *Row) expect(t Type) bool {
	if r.pending == 0 && r.next < len(r.types) && r.types[r.next] == t {
		r.next++
		return true
	}
	return r.expectElement(t)
}

func (r *Row) expectNull() bool {
	if r.pending == 0 && r.next < len(r.types) {
		r.next++
		return true
	}
	return r.expectElement(kindNull)
}

// expectElement is for the elements of an array, and for what may not come at all.
//
//go:noinline
func (r *Row) expectElement(t Type) bool {
	if r.pending == 0 || t != kindNull && r.types[r.next] != t|arrayBit {
		r.mismatch(t.String())
		return false
	}
	if r.pending--; r.pending == 0 {
		r.next++
	}
	return true
}

// room takes the next n bytes of the buffer, to be written. Values are written through it, and not appended,
// because a guest pays much for each call and each check. Numbers are little-endian, like every machine that
// this package runs on.
func (r *Row) room(n int) unsafe.Pointer {
	start := r.size
	if start+n > len(r.buffer) {
		r.grow(n)
	}
	r.size = start + n
	return unsafe.Add(unsafe.Pointer(unsafe.SliceData(r.buffer)), start)
}

//go:noinline
func (r *Row) grow(n int) {
	grown := make([]byte, max(2*len(r.buffer)+n+rowBufferMin, r.usual))
	copy(grown, r.buffer[:r.size])
	r.buffer = grown
}

const rowBufferMin = 256

// word writes a value of a kind that has eight bytes.
func (r *Row) word(t Type, v uint64) {
	b := r.room(9)
	*(*Type)(b) = t
	*(*uint64)(unsafe.Add(b, 1)) = v
}

// text writes a value of a kind that has a length.
func (r *Row) text(t Type, v string) {
	b := r.room(5 + len(v))
	*(*Type)(b) = t
	*(*uint32)(unsafe.Add(b, 1)) = uint32(len(v))
	copy(unsafe.Slice((*byte)(unsafe.Add(b, 5)), len(v)), v)
}

// head writes the head of an array.
func (r *Row) head(t Type, elements int) {
	b := r.room(5)
	*(*Type)(b) = t
	*(*uint32)(unsafe.Add(b, 1)) = uint32(elements)
}

// raw writes values that are encoded already.
func (r *Row) raw(values []byte) {
	copy(unsafe.Slice((*byte)(r.room(len(values))), len(values)), values)
}

func (r *Row) written() []byte { return r.buffer[:r.size] }
