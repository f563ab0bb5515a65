package meter

import (
	"fmt"
	"slices"
)

// unitsMerged is the most that code may take to be charged with what precedes it, though it may be branched over.
const unitsMerged = 100

// step is one instruction of the function that is rewritten.
type step struct {
	op     uint16
	size   int
	region int // that begins with it, or none
}

// none is the region before all others.
const none = -1

// region is code that is charged at its beginning: from where branches meet or part to where they meet or
// part again. What follows a conditional branch belongs to what precedes it.
type region struct {
	fuel quarters
	// outer is a region that always runs before this one and as often, if there is one.
	outer  int
	kind   regionKind
	merged quarters // of other regions that it is charged with
	// calls: within the loop functions are called that take from the slice and may return without a check of it.
	calls bool
}

type regionKind int

const (
	plain     regionKind = iota
	loop                 // at the head of one
	safepoint            // in code that is very long, to check the slice
)

// unitsBetweenSafepoints is the most that code without loops may take, with what it calls, without a check of
// the slice.
const unitsBetweenSafepoints = 100_000

// frame is a block that is open.
type frame struct {
	op        uint16
	signature Signature
	region    int  // where it was opened
	head      int  // of a loop that is live, the region at its head
	live      bool // can be reached
	targeted  bool // by a branch to its end
}

// planner divides the code of one function.
type planner struct {
	*pass
	starting       int // region that begins with the next step
	current        int
	live           bool // the code can be reached
	sinceSafepoint quarters
}

// plan reads the code of a function and divides it into regions.
func (p *pass) plan(s *scanner) error {
	p.steps, p.regions, p.frames = p.steps[:0], p.regions[:0], p.frames[:0]
	p.assigned.begin(s.variables)
	l := &planner{pass: p, live: true}
	l.begin(none, plain)
	p.frames = append(p.frames, frame{op: opBlock, region: l.current, live: true})
	var i instruction
	for len(p.frames) > 0 {
		s.instruction(p.module, &i)
		if s.err != nil {
			return s.err
		}
		p.steps = append(p.steps, step{op: i.op, size: i.size, region: l.starting})
		l.starting = none
		if l.live {
			l.charge(&i)
		}
		switch i.op {
		case opLocalSet, opLocalTee:
			p.assigned.assign(i.index)
		case opBlock, opLoop, opIf:
			l.open(&i)
		case opElse:
			top := &p.frames[len(p.frames)-1]
			top.targeted = top.targeted || l.live // what comes before the else goes on at the end
			top.op = opElse
			if l.live = top.live; l.live {
				l.begin(top.region, plain)
			}
		case opEnd:
			l.close()
		case opBr, opBrIf:
			p.target(s, i.index)
		case opBrTable:
			for _, label := range i.targets {
				p.target(s, label)
			}
		}
		l.live = l.live && !slices.Contains(terminators, i.op)
	}
	return s.err
}

func (l *planner) begin(outer int, kind regionKind) {
	l.current = len(l.regions)
	l.regions = append(l.regions, region{outer: outer, kind: kind})
	l.starting = l.current
}

// charge takes an instruction into the region.
func (l *planner) charge(i *instruction) {
	fuel := l.fuel(i)
	l.regions[l.current].fuel += fuel
	if i.op == opCall && !l.functions[i.index].checked {
		l.sinceSafepoint += quarters(l.functions[i.index].total) * unit
	}
	if i.op == opCallIndirect || i.op == opCall && l.functions[i.index].returnsUnchecked() {
		for _, f := range l.frames {
			if f.live && f.op == opLoop {
				l.regions[f.head].calls = true
			}
		}
	}
	if l.sinceSafepoint += fuel; l.sinceSafepoint > unitsBetweenSafepoints*unit && i.op >= opCall {
		l.begin(none, safepoint)
		l.sinceSafepoint = 0
	}
}

// open begins a block.
func (l *planner) open(i *instruction) {
	l.assigned.open()
	f := frame{op: i.op, signature: i.signature, region: l.current, live: l.live}
	switch {
	case l.live && i.op == opLoop:
		l.begin(none, loop)
		f.head = l.current
	case l.live && i.op == opIf:
		l.begin(l.current, plain)
	}
	l.frames = append(l.frames, f)
}

// close ends a block, or the function.
func (l *planner) close() {
	top := l.frames[len(l.frames)-1]
	l.frames = l.frames[:len(l.frames)-1]
	if len(l.frames) == 0 {
		return
	}
	moved := l.assigned.close()
	switch top.op {
	case opLoop: // ways meet at its head, not here
		if top.live {
			l.regions[top.head].fuel += moved + quarters(len(top.signature.Params))
		}
		if l.live {
			l.begin(top.region, plain)
		}
		return
	case opIf:
		l.live = top.live // a condition that does not hold leads here
	default:
		l.live = top.live && (l.live || top.targeted)
	}
	if l.live && (top.op != opBlock || top.targeted) {
		l.begin(top.region, plain)
		l.regions[l.current].fuel += moved + quarters(len(top.signature.Results)) + quartersJoin
	}
}

// terminators are the instructions behind which code can be reached by branches only.
var terminators = []uint16{opUnreachable, opBr, opBrTable, opReturn}

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

// merge charges for small regions where the region before them is charged.
func (p *pass) merge() {
	for i := len(p.regions) - 1; i >= 0; i-- {
		inner := &p.regions[i]
		if inner.outer == none || inner.fuel > unitsMerged*unit {
			continue
		}
		if outer := &p.regions[inner.outer]; outer.merged+inner.fuel <= unitsMerged*unit {
			outer.merged += inner.fuel
			outer.fuel += inner.fuel
			inner.fuel = 0
		}
	}
}
