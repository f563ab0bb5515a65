package host

import (
	"bytes"
	"sync"

	"github.com/tetratelabs/wazero/api"
)

// image is what an instance of a module is when it has just started. To start, a guest lays out its heap and fills its tables,
// always with the same outcome; an instance that is put back to it serves as a new one, at a fraction of the price.
type image struct {
	memory  int // its size; see room.go
	pieces  []imagePiece
	globals []uint64
	env     guestEnv
}

// images are those of a module, by the memory that an instance begins with.
type images struct {
	mu     sync.Mutex
	byRoom map[int]*image
}

// get returns the image for the guest's instance, which has just started, or nil when there is more to it than can be put back.
func (i *images) get(g *Guest) *image {
	i.mu.Lock()
	defer i.mu.Unlock()
	taken, known := i.byRoom[g.room]
	if !known {
		taken = g.captureImage()
		if i.byRoom == nil {
			i.byRoom = map[int]*image{}
		}
		i.byRoom[g.room] = taken
	}
	return taken
}

// imagePiece is a part of the memory that is not all zeros.
type imagePiece struct {
	at   int
	data []byte
}

const (
	// imagePieceBytes is how finely zeros are told from the rest.
	imagePieceBytes = 1 << 10
	// imageBytesMax bounds what a module keeps for it.
	imageBytesMax = 16 << 20
)

// captureImage returns the state of the instance, or nil when it has more state than can be put back, or too much of it.
func (g *Guest) captureImage() *image {
	if !g.module.code.metered.StateIsPlain {
		return nil
	}
	memory := g.memory()
	taken := &image{memory: len(memory), env: g.env}
	zeros := make([]byte, imagePieceBytes)
	total := 0
	for at := 0; at < len(memory); at += imagePieceBytes {
		part := memory[at:min(at+imagePieceBytes, len(memory))]
		if bytes.Equal(part, zeros[:len(part)]) {
			continue
		}
		if total += len(part); total > imageBytesMax {
			return nil
		}
		if last := len(taken.pieces) - 1; last >= 0 && taken.pieces[last].end() == at {
			taken.pieces[last].data = append(taken.pieces[last].data, part...)
		} else {
			taken.pieces = append(taken.pieces, imagePiece{at: at, data: bytes.Clone(part)})
		}
	}
	for _, global := range g.globals() {
		taken.globals = append(taken.globals, global.Get())
	}
	return taken
}

func (p *imagePiece) end() int { return p.at + len(p.data) }

// fits tells whether the instance can be put back. Its memory cannot shrink.
func (i *image) fits(g *Guest) bool { return i != nil && g.memoryBytes() == i.memory }

// restore puts the guest's instance back to where it began.
func (i *image) restore(g *Guest) {
	memory := g.memory()
	end := 0
	for p := range i.pieces {
		piece := &i.pieces[p]
		clear(memory[end:piece.at])
		copy(memory[piece.at:], piece.data)
		end = piece.end()
	}
	clear(memory[end:])
	for n, global := range g.globals() {
		global.Set(i.globals[n])
	}
	g.env = i.env
}

// memory is the instance's own, until it grows.
func (g *Guest) memory() []byte {
	memory := g.instance.Memory()
	view, _ := memory.Read(0, memory.Size())
	return view
}

// globals are those of the module that may change.
func (g *Guest) globals() []api.MutableGlobal {
	names := g.module.code.metered.Globals
	if g.mutableGlobals == nil {
		g.mutableGlobals = make([]api.MutableGlobal, 0, len(names))
		for _, name := range names {
			g.mutableGlobals = append(g.mutableGlobals, g.instance.ExportedGlobal(name).(api.MutableGlobal))
		}
	}
	return g.mutableGlobals
}
