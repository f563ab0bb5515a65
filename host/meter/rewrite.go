package meter

// pendingMax is the most that a function keeps to itself, in a variable of its own, before it takes it from the slice.
const pendingMax = 25_000

// pendingMaxCalls is the same in loops that call functions which may return without a check of the slice: while a call
// leaves 15 units pending, it may take [unitsUnchecked] from the slice. What is pending does not depend on the slice, so
// that what a guest takes does not either.
const pendingMaxCalls = 2_000

// rewrite appends the code of a function with what it is charged.
func (p *pass) rewrite(out []byte, body int) ([]byte, error) {
	index := p.functionsImported + body
	s := scanner{rest: p.bodies[body], variables: p.functions[index].variables}
	s.locals(0)
	locals := p.bodies[body][:len(p.bodies[body])-len(s.rest)]
	instructions := s.rest
	if err := p.plan(&s); err != nil {
		return nil, err
	}
	p.merge()
	w := writer{pass: p, function: &p.functions[index], signature: p.types[p.module.functions[index]]}
	w.code = out
	w.pending = uint32(w.variables)
	w.length = w.pending + 1
	w.begin(locals)
	for _, at := range p.steps {
		if at.region > 0 {
			w.charge(&p.regions[at.region])
		}
		w.instruction(at.op, instructions[:at.size])
		instructions = instructions[at.size:]
	}
	return w.code, nil
}

// writer writes the code of one function.
type writer struct {
	*pass
	*function
	signature Signature
	code      code
	pending   uint32 // the variable for fuel that is not taken from the slice yet
	length    uint32 // the variable for what is on top of the operand stack
	varies    bool   // the fuel of the function does, so that it has the variable
	wrapped   bool   // the code is within a block, which every way out passes the end of
	nesting   uint32
}

// begin writes what comes before the first instruction.
func (w *writer) begin(locals []byte) {
	for _, r := range w.regions[1:] {
		w.varies = w.varies || r.kind != plain || r.fuel > 0
	}
	w.varies = w.varies && !w.small
	w.wrapped = w.varies || w.counted
	s := scanner{rest: locals}
	w.code.unsigned(s.uint()+2).op(s.rest...).op(1, typeI64, 1, typeI32)
	if w.counted {
		w.code.add(w.stackLeft, -w.frame)
		w.check(&w.code, true)
	}
	if !w.small && !w.wrapped {
		w.code.add(w.sliceLeft, -w.regions[0].fuel.units()-1)
		if w.checked {
			w.check(&w.code, false)
		}
	}
	if w.wrapped {
		w.openBlock()
	}
}

// charge takes the fuel of a region to what is pending. At the head of a loop it is taken from the slice when
// it has become much.
func (w *writer) charge(r *region) {
	if !w.varies || r.fuel == 0 && r.kind == plain {
		return
	}
	w.code.op(opLocalGet).unsigned(w.pending)
	switch r.kind {
	case plain:
		w.code.i64(r.fuel.units()).op(opI64Add, opLocalSet).unsigned(w.pending)
	case loop:
		// A loop without instructions takes time as well.
		w.code.i64(r.fuel.units()+1).op(opI64Add, opLocalTee).unsigned(w.pending)
		most := int64(pendingMax)
		if r.calls {
			most = pendingMaxCalls
		}
		w.code.i64(most).op(opI64GtS, opIf, blockVoid)
		w.code.op(opLocalGet).unsigned(w.pending).op(opCall).unsigned(w.take)
		w.code.i64(0).op(opLocalSet).unsigned(w.pending).op(opEnd)
	case safepoint:
		w.code.op(opCall).unsigned(w.take)
		w.code.i64(r.fuel.units()).op(opLocalSet).unsigned(w.pending)
	}
}

// instruction writes an instruction of the original.
func (w *writer) instruction(op uint16, bytes []byte) {
	switch op {
	case opBlock, opLoop, opIf:
		w.nesting++
	case opEnd:
		if w.nesting == 0 && w.wrapped {
			w.end()
		}
		w.nesting--
	case opReturn:
		if w.wrapped {
			w.code.op(opBr).unsigned(w.nesting)
			return
		}
	case opMemoryInit, opMemoryCopy, opMemoryFill, opTableInit, opTableCopy:
		w.bulk()
	case opMemoryGrow:
		w.code.op(opCall).unsigned(w.grow)
		return
	}
	w.code.op(bytes...)
}

// bulk charges for the length of what moves a block, which is on top of the operand stack. A short one is
// charged as an instruction.
func (w *writer) bulk() {
	w.code.op(opLocalTee).unsigned(w.length)
	w.code.op(opI32Const).signed(shortBulk).op(opI32GtU, opIf, blockVoid)
	w.code.op(opLocalGet).unsigned(w.length).op(opCall).unsigned(w.takeBulk).op(opEnd)
	w.code.op(opLocalGet).unsigned(w.length)
}

// end closes the block around the code, and takes what is pending from the slice.
func (w *writer) end() {
	w.code.op(opEnd)
	if w.counted {
		w.code.add(w.stackLeft, w.frame)
	}
	w.code.globalGet(w.sliceLeft)
	if w.varies {
		w.code.op(opLocalGet).unsigned(w.pending).op(opI64Sub)
	}
	w.code.i64(w.regions[0].fuel.units() + 1).op(opI64Sub).globalSet(w.sliceLeft)
	if w.checked {
		w.check(&w.code, false)
	}
}

// openBlock begins a block with the results of the function. Branches out of the function already lead to its end.
func (w *writer) openBlock() {
	w.code.op(opBlock)
	switch results := w.signature.Results; len(results) {
	case 0:
		w.code.op(blockVoid)
	case 1:
		w.code.op(results[0])
	default:
		index, known := w.resultTypes[string(results)]
		if !known {
			index = w.addType(nil, results)
			w.resultTypes[string(results)] = index
		}
		w.code.signed(int64(index))
	}
}
