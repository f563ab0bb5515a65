package host

import (
	"bytes"
	"sync"

	"github.com/tetratelabs/wazero/api"
)

// image is the state of an instance that has just started. To start, a guest lays out its heap and fills its
// tables, always with the same outcome. So a fresh instance is a used one that is reset from the image, at a
// fraction of the price.
type image struct {
	memory  int // its size
	pieces  []imagePiece
	globals []uint64
	env     guestEnv
}

// sharedImage is the image of a module, which its first guest captures.
type sharedImage struct {
	once  sync.Once
	image *image
}

// of returns the image for the guest's instance, which has just started, or nil when there is more to it than
// can be reset.
func (s *sharedImage) of(g *Guest) *image {
	s.once.Do(func() { s.image = g.captureImage() })
	return s.image
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

// captureImage returns the state of the instance, or nil when it has more state than can be reset, or too much of it.
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

// fits tells whether the instance can be reset. Its memory cannot shrink.
func (i *image) fits(g *Guest) bool { return i != nil && g.memoryBytes() == i.memory }

// restore resets the guest's instance.
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
