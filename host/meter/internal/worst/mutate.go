package worst

import (
	"math/rand/v2"
	"slices"
	"strings"
)

// Random makes a program at random.
func Random(r *rand.Rand) *Program {
	p := &Program{MemoryMiB: memoryMiB}
	if r.IntN(4) == 0 {
		p.Tiny = 1 << r.IntN(14)
	}
	for range 1 + r.IntN(3) {
		p.Functions = append(p.Functions, randomFunction(r))
	}
	return p
}

func randomFunction(r *rand.Rand) Function {
	f := Function{Locals: size(r, localsMax/2)}
	if r.IntN(3) == 0 {
		f.Params, f.Results = size(r, 100), r.IntN(resultsMax+1)
	}
	f.Body = randomBlocks(r, 0)
	return f
}

// size is a number that is mostly small.
func size(r *rand.Rand, most int) int { return r.IntN(1 + r.IntN(1+r.IntN(most+1))) }

func randomBlocks(r *rand.Rand, depth int) []Block {
	var blocks []Block
	for range 1 + r.IntN(3) {
		blocks = append(blocks, randomBlock(r, depth))
	}
	return blocks
}

func randomBlock(r *rand.Rand, depth int) Block {
	if depth < depthMax && r.IntN(3) == 0 {
		return Block{Op: nesting[r.IntN(len(nesting))], Count: 1 + size(r, 1000), Body: randomBlocks(r, depth+1)}
	}
	b := Block{Op: plain[r.IntN(len(plain))], Count: 1 + size(r, countMax-1)}
	switch b.Op {
	case Float:
		b.Kind = kinds[r.IntN(len(kinds))]
	case Fill, Copy:
		b.Size = 1 << r.IntN(26)
	case Grow:
		b.Size = size(r, 40_000)
	case Call, Indirect:
		b.Size = r.IntN(functionsMax)
	}
	return b
}

// Mutate returns a program with one change or a few.
func Mutate(r *rand.Rand, p *Program) *Program {
	out := p.Clone()
	for range 1 + r.IntN(3) {
		out.mutate(r)
	}
	return out
}

func (p *Program) mutate(r *rand.Rand) {
	f := &p.Functions[r.IntN(len(p.Functions))]
	switch r.IntN(10) {
	case 0:
		f.Locals = min(scaled(r, f.Locals), localsMax-f.Params)
	case 1:
		f.Params = min(scaled(r, f.Params), 400)
	case 2:
		f.Results = r.IntN(resultsMax + 1)
	case 3:
		p.Tiny = min(scaled(r, p.Tiny), tinyMax)
	case 4:
		if len(p.Functions) < functionsMax {
			p.Functions = append(p.Functions, randomFunction(r))
		}
	default:
		f.Body = mutateBlocks(r, f.Body, 0)
	}
}

// scaled is a number that is larger or smaller.
func scaled(r *rand.Rand, n int) int {
	switch r.IntN(4) {
	case 0:
		return n / 2
	case 1:
		return n + 1
	case 2:
		return max(n-1, 0)
	}
	return 2*n + 1
}

// mutateBlocks changes one of the blocks, or what is within it.
func mutateBlocks(r *rand.Rand, blocks []Block, depth int) []Block {
	if len(blocks) == 0 {
		return randomBlocks(r, depth)
	}
	at := r.IntN(len(blocks))
	b := &blocks[at]
	if len(b.Body) > 0 && r.IntN(2) == 0 {
		b.Body = mutateBlocks(r, b.Body, depth+1)
		return blocks
	}
	switch r.IntN(7) {
	case 0:
		return slices.Insert(blocks, at, randomBlock(r, depth))
	case 1:
		return slices.Delete(blocks, at, at+1)
	case 2:
		return slices.Replace(blocks, at, at+1, b.Body...)
	case 3:
		if within := (Block{
			Op: nesting[r.IntN(len(nesting))], Count: 1 + size(r, 1000),
			Body: []Block{*b},
		}); depth+within.depth() <= depthMax {
			blocks[at] = within
		}
	case 4:
		blocks[at] = randomBlock(r, depth)
	case 5:
		b.Size = scaled(r, b.Size)
	default:
		b.Count = min(scaled(r, b.Count), countMax)
	}
	return blocks
}

// depth is how deep blocks are nested from here on, one at least for what nests.
func (b *Block) depth() int {
	deepest := 0
	for i := range b.Body {
		deepest = max(deepest, b.Body[i].depth())
	}
	if slices.Contains(nesting, b.Op) {
		deepest++
	}
	return deepest
}

// Shrink returns programs that each have one thing less.
func (p *Program) Shrink() []*Program {
	var smaller []*Program
	for i := range p.Functions {
		f := &p.Functions[i]
		for at := range countBlocks(f.Body) {
			out := p.Clone()
			out.Functions[i].Body, _ = without(out.Functions[i].Body, at)
			smaller = append(smaller, out)
		}
		for _, change := range []func(f *Function){
			func(f *Function) { f.Locals /= 2 }, func(f *Function) { f.Params = 0 },
			func(f *Function) { f.Results = 0 },
		} {
			out := p.Clone()
			change(&out.Functions[i])
			smaller = append(smaller, out)
		}
		if i > 0 && i == len(p.Functions)-1 {
			out := p.Clone()
			out.Functions = out.Functions[:i]
			smaller = append(smaller, out)
		}
	}
	return smaller
}

func countBlocks(blocks []Block) int {
	count := len(blocks)
	for i := range blocks {
		count += countBlocks(blocks[i].Body)
	}
	return count
}

// without leaves out the block of a number, in the order of the text. What is left of the number tells that
// it was not among the blocks.
func without(blocks []Block, at int) ([]Block, int) {
	for i := range blocks {
		if at == 0 {
			return slices.Delete(blocks, i, i+1), -1
		}
		if blocks[i].Body, at = without(blocks[i].Body, at-1); at < 0 {
			return blocks, -1
		}
	}
	return blocks, at
}

// Shape names what a program is made of, so that the corpus does not have the same one many times.
func (p *Program) Shape() string {
	var ops []string
	var note func(blocks []Block)
	note = func(blocks []Block) {
		for i := range blocks {
			name := string(blocks[i].Op) + blocks[i].Kind
			if !slices.Contains(ops, name) {
				ops = append(ops, name)
			}
			note(blocks[i].Body)
		}
	}
	for i := range p.Functions {
		note(p.Functions[i].Body)
	}
	slices.Sort(ops)
	return strings.Join(ops, "_")
}
