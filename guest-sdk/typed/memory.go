package typed

import "unsafe"

// keptBytesMax bounds what is kept of one slice, map or chunk of pointers from an event to the next, so that a single
// large event does not occupy memory for ever. keptMax bounds how many of them are kept.
const (
	keptBytesMax = 1 << 20
	keptMax      = 1 << 16
)

// fits tells whether so many elements are kept.
func fits[T any](elements int) bool {
	var one T
	return elements <= keptBytesMax/max(1, int(unsafe.Sizeof(one)))
}

// Slices lends slices of T. The zero value is ready for use.
type Slices[T any] struct {
	kept [][]T
	used int
}

// Take returns an empty slice, and the number by which Keep takes it back.
func (p *Slices[T]) Take() (number int, empty []T) {
	number = p.used
	p.used++
	if number == len(p.kept) {
		p.kept = append(p.kept, []T{})
	}
	return number, p.kept[number][:0]
}

// Keep notes what a slice of Take has become, and returns it without spare capacity: whoever appends to it copies it.
func (p *Slices[T]) Keep(number int, slice []T) []T {
	if fits[T](cap(slice)) {
		p.kept[number] = slice
	}
	return slice[:len(slice):len(slice)]
}

// Reset takes back all slices. They are overwritten by what is read next.
func (p *Slices[T]) Reset() {
	if len(p.kept) > keptMax {
		p.kept = p.kept[:0:0]
	}
	p.used = 0
}

// Pointers lends pointers to values of T. The zero value is ready for use.
type Pointers[T any] struct {
	chunk []T
	used  int
}

// New returns a pointer to a zero value.
func (p *Pointers[T]) New() *T {
	if p.used == len(p.chunk) {
		p.chunk = make([]T, p.next()) // earlier pointers go on pointing into the last chunk
		p.used = 0
	}
	value := &p.chunk[p.used]
	p.used++
	var zero T
	*value = zero
	return value
}

// next is the size of the next chunk: twice the last one's, up to what is kept.
func (p *Pointers[T]) next() int {
	if twice := 2 * len(p.chunk); twice > 0 && fits[T](twice) {
		return twice
	}
	return max(1, len(p.chunk))
}

// Reset takes back all pointers. What they point to is overwritten by what is read next.
func (p *Pointers[T]) Reset() { p.used = 0 }

// Maps lends maps. The zero value is ready for use.
type Maps[K ~string, V any] struct {
	kept []map[K]V
	used int
}

// New returns an empty map.
func (p *Maps[K, V]) New() map[K]V {
	number := p.used
	p.used++
	switch {
	case number == len(p.kept):
		p.kept = append(p.kept, map[K]V{})
	case !fits[V](len(p.kept[number])):
		p.kept[number] = map[K]V{}
	default:
		clear(p.kept[number])
	}
	return p.kept[number]
}

// Reset takes back all maps. They are overwritten by what is read next.
func (p *Maps[K, V]) Reset() {
	if len(p.kept) > keptMax {
		p.kept = nil
	}
	p.used = 0
}
