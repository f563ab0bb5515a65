package store

import "unsafe"

// arena holds the bytes of many values, in chunks that do not move and are used again after a reset.
type arena struct {
	chunks [][]byte // all but the last one are full
	free   [][]byte // from before the last reset
	size   int      // of what was kept
}

const (
	chunkSize = 64 << 10
	// freeMax bounds what an arena keeps for later: one large use must not hold its memory for ever.
	freeMax = 128
)

const valueSize = int(unsafe.Sizeof(Value{}))

func (a *arena) reset() {
	for _, chunk := range a.chunks {
		if cap(chunk) == chunkSize && len(a.free) < freeMax {
			a.free = append(a.free, chunk[:0])
		}
	}
	clear(a.chunks)
	a.chunks, a.size = a.chunks[:0], 0
}

// keep copies bytes.
func (a *arena) keep(data []byte) []byte {
	last := len(a.chunks) - 1
	if last < 0 || len(a.chunks[last])+len(data) > cap(a.chunks[last]) {
		a.chunks = append(a.chunks, a.chunk(len(data)))
		last++
	}
	start := len(a.chunks[last])
	a.chunks[last] = append(a.chunks[last], data...)
	a.size += len(data)
	return a.chunks[last][start:len(a.chunks[last]):len(a.chunks[last])]
}

func (a *arena) chunk(size int) []byte {
	if last := len(a.free) - 1; last >= 0 && size <= chunkSize {
		chunk := a.free[last]
		a.free = a.free[:last]
		return chunk
	}
	return make([]byte, 0, max(size, chunkSize))
}

// own returns a value that points into the arena only.
func (a *arena) own(v Value) Value {
	switch {
	case v.data == nil:
		return v
	case !v.Array:
		return BytesOf(v.Kind, a.keep(v.Bytes()))
	}
	elements := make([]Value, len(v.Elements()))
	for i, element := range v.Elements() {
		elements[i] = a.own(element)
	}
	a.size += len(elements) * valueSize
	return ArrayOf(v.Kind, elements)
}

// replace gives a value that is the arena's own the content of another, in the same place when it fits.
func (a *arena) replace(to *Value, from Value) {
	room, content := to.Bytes(), from.Bytes()
	if content == nil || len(content) > len(room) {
		*to = a.own(from)
		return
	}
	*to = BytesOf(from.Kind, room[:copy(room, content)])
}
