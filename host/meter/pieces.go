package meter

import (
	"fmt"
	"slices"
)

// unitsMerged is the most that code may take to be charged with what precedes it, though it may be branched over.
const unitsMerged = 100

// step is one instruction of the function that is rewritten.
type step struct {
	op    uint16
	size  int
	piece int // that begins with it, or none
}

// none is the piece before all others.
const none = -1

// piece is code that is charged at its beginning: from where branches meet or part to where they meet or part again. What follows a
// conditional branch belongs to what precedes it.
type piece struct {
	fuel quarters
	// outer is a piece that always runs before this one and as often, if there is one.
	outer  int
	kind   pieceKind
	merged quarters // of other pieces that it is charged with
}

type pieceKind int

const (
	plain pieceKind = iota
	loop            // at the head of one
	pause           // in code that is very long, to look at the slice
)

// unitsBetweenPauses is the most that code without loops may take, with what it calls, without a look at the slice.
const unitsBetweenPauses = 100_000

// frame is a block that is open.
type frame struct {
	op        uint16
	signature signature
	piece     int  // where it was opened
	head      int  // of a loop that is live, the piece at its head
	live      bool // can be reached
	targeted  bool // by a branch to its end
}

// plan reads the code of a function and divides it into pieces.
func (p *pass) plan(s *scanner) error {
	p.steps, p.pieces, p.frames = p.steps[:0], p.pieces[:0], p.frames[:0]
	p.assigned.begin(s.variables)
	begun := none // piece that begins with the next step
	current, live := none, true
	begin := func(outer int, kind pieceKind) {
		current = len(p.pieces)
		p.pieces = append(p.pieces, piece{outer: outer, kind: kind})
		begun = current
	}
	begin(none, plain)
	sincePause := quarters(0)
	p.frames = append(p.frames, frame{op: opBlock, piece: current, live: true})
	var i instruction
	for len(p.frames) > 0 {
		s.instruction(p.module, &i)
		if s.err != nil {
			return s.err
		}
		p.steps = append(p.steps, step{op: i.op, size: i.size, piece: begun})
		begun = none
		if live {
			fuel := p.fuel(&i)
			p.pieces[current].fuel += fuel
			if i.op == opCall && !p.functions[i.index].checked {
				sincePause += quarters(p.functions[i.index].total) * unit
			}
			if sincePause += fuel; sincePause > unitsBetweenPauses*unit && i.op >= opCall {
				begin(none, pause)
				sincePause = 0
			}
		}
		switch i.op {
		case opLocalSet, opLocalTee:
			p.assigned.assign(i.index)
		case opBlock, opLoop, opIf:
			p.assigned.open()
			p.frames = append(p.frames, frame{op: i.op, signature: i.signature, piece: current, live: live})
			switch {
			case live && i.op == opLoop:
				begin(none, loop)
				p.frames[len(p.frames)-1].head = current
			case live && i.op == opIf:
				begin(current, plain)
			}
		case opElse:
			top := &p.frames[len(p.frames)-1]
			top.targeted = top.targeted || live // what comes before the else goes on at the end
			top.op = opElse
			if live = top.live; live {
				begin(top.piece, plain)
			}
		case opEnd:
			top := p.frames[len(p.frames)-1]
			p.frames = p.frames[:len(p.frames)-1]
			if len(p.frames) == 0 {
				break
			}
			moved := p.assigned.close()
			switch top.op {
			case opLoop:
				if top.live {
					p.pieces[top.head].fuel += moved + quarters(top.signature.params)
				}
				moved = 0 // nothing meets at its end
			case opBlock, opElse:
				live = top.live && (live || top.targeted)
			case opIf:
				live = top.live // a condition that does not hold leads here
			}
			if joins := top.op != opBlock || top.targeted; live && joins {
				begin(top.piece, plain)
				if top.op != opLoop {
					p.pieces[current].fuel += moved + quarters(len(top.signature.results)) + quartersJoin
				}
			}
		case opBr, opBrIf:
			p.target(s, i.index)
		case opBrTable:
			for _, label := range i.targets {
				p.target(s, label)
			}
		}
		live = live && !slices.Contains(neverGoOn, i.op)
	}
	return s.err
}

// neverGoOn are the instructions behind which code can be reached by branches only.
var neverGoOn = []uint16{opUnreachable, opBr, opBrTable, opReturn}

// target notes a branch.
func (p *pass) target(s *scanner, label uint32) {
	if int64(label) >= int64(len(p.frames)) {
		s.fail(fmt.Errorf("branches out of %d blocks, it is within %d", label+1, len(p.frames)))
		return
	}
	p.frames[len(p.frames)-1-int(label)].targeted = true
}

// fuel is that of an instruction, with that of a small function that it calls.
func (p *pass) fuel(i *instruction) quarters {
	fuel := i.fuel(p.module)
	if i.op == opCall && p.functions[i.index].small {
		fuel += quarters(p.functions[i.index].units) * unit
	}
	return fuel
}

// merge charges for small pieces where the piece before them is charged.
func (p *pass) merge() {
	for i := len(p.pieces) - 1; i >= 0; i-- {
		inner := &p.pieces[i]
		if inner.outer == none || inner.fuel > unitsMerged*unit {
			continue
		}
		if outer := &p.pieces[inner.outer]; outer.merged+inner.fuel <= unitsMerged*unit {
			outer.merged += inner.fuel
			outer.fuel += inner.fuel
			inner.fuel = 0
		}
	}
}
