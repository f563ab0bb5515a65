package meter

import (
	"errors"
	"fmt"
)

const (
	// StackBytes is the stack that a host gives a call: some 30,000 calls within calls of usual functions.
	// The engine's own limit is far above it, and on the heap of the host.
	StackBytes = 4 << 20
	// frameBytes is what a call takes of the stack besides its parameters and variables.
	frameBytes = 64
	valueBytes = 8
	// uncountedBytes is the most that functions may take of the stack without being counted, all that they
	// call included.
	uncountedBytes = StackBytes / 16
	// unitsUnchecked is the most that a function without loops may take, with all that it calls, to return without a
	// check of the slice.
	unitsUnchecked = 5_000
	// unitsSmallFunction is the most that a function without loops may take, with all that it calls, to be
	// charged where it is called.
	unitsSmallFunction = 200
)

// function is what is known of a function before it is rewritten.
type function struct {
	calls    []uint32
	indirect bool // calls through the table
	loops    bool

	variables int // and parameters

	units int64 // of its code, each instruction once; of a small function with what it calls
	frame int64 // bytes of stack
	stack int64 // with what it calls, where that is known
	total int64 // units with what it calls, where that is known
	// small functions are charged where they are called.
	small bool
	// counted functions may call themselves, and take their frame from the stack that is left. They check the
	// slice when they begin.
	counted bool
	// checked functions check the slice when they end.
	checked bool
}

// analyse reads the code of all functions, and finds those that need not be charged or counted by themselves.
func (m *module) analyse() ([]function, error) {
	functions := make([]function, len(m.functions))
	var assigned assignments
	total := 0
	for i, body := range m.bodies {
		index := m.functionsImported + i
		f := &functions[index]
		s := scanner{rest: body}
		params := len(m.types[m.functions[index]].Params)
		locals := s.locals(params)
		if total += locals; total > localsAll {
			return nil, fmt.Errorf("has functions with more than %d local variables in all", localsAll)
		}
		f.variables = params + locals
		f.frame = frameBytes + valueBytes*int64(f.variables)
		s.variables = f.variables
		assigned.begin(f.variables)
		s.survey(m, f, &assigned)
		if s.err != nil {
			return nil, s.err
		}
	}
	m.classify(functions)
	return functions, nil
}

// locals reads the declarations of a function's variables and returns their number, without that of its parameters.
func (s *scanner) locals(params int) int {
	total := int64(0)
	for range s.count() {
		total += int64(s.uint())
		s.byte()
		if all := total + int64(params); s.err == nil && all > variablesMax {
			s.fail(fmt.Errorf("has a function with %d variables or more, parameters included, the limit is %d", all,
				variablesMax))
		}
		if s.err != nil {
			return 0
		}
	}
	return int(total)
}

// survey reads the code of a function, and checks how it is nested.
func (s *scanner) survey(m *module, f *function, assigned *assignments) {
	var i instruction
	loops := []int{} // the depths of the loops that are open
	depth := 1
	fuel := quarters(0)
	for s.err == nil && depth > 0 {
		s.instruction(m, &i)
		fuel += i.fuel(m)
		switch i.op {
		case opLocalSet, opLocalTee:
			if s.err == nil {
				assigned.assign(i.index)
			}
		case opBlock, opLoop, opIf:
			assigned.open()
			fuel += i.signature.moved()
			if depth++; depth > nestingMax {
				s.fail(fmt.Errorf("has code that is nested %d blocks deep or more, the limit is %d", depth, nestingMax))
			}
			if i.op == opLoop {
				f.loops = true
				if loops = append(loops, depth); len(loops) > loopNestingMax {
					s.fail(fmt.Errorf("has loops that are nested %d deep or more, the limit is %d", len(loops),
						loopNestingMax))
				}
			}
		case opEnd:
			if last := len(loops) - 1; last >= 0 && loops[last] == depth {
				loops = loops[:last]
			}
			if depth--; depth > 0 {
				fuel += assigned.close() + quartersJoin
			}
		case opCall:
			f.calls = append(f.calls, i.index)
		case opCallIndirect:
			f.indirect = true
		case opTableSet, opDataDrop, opElemDrop, opTableInit, opTableCopy:
			m.altersTables = true
		}
	}
	f.units = fuel.units()
	if s.err == nil && len(s.rest) > 0 {
		s.fail(errors.New("has code behind the end of a function"))
	}
}

// classify visits functions after all that they call. It does not come to those that may call themselves, nor
// to those that call them: they are counted.
func (m *module) classify(functions []function) {
	// The table is a node of its own, which calls whatever it may hold.
	table := len(functions)
	callers := make([][]uint32, table+1)
	waiting := make([]int, table+1)
	call := func(from, to int) {
		callers[to] = append(callers[to], uint32(from))
		waiting[from]++
	}
	for i := range functions {
		for _, callee := range functions[i].calls {
			call(i, int(callee))
		}
		if functions[i].indirect {
			call(i, table)
		}
		functions[i].counted = i >= m.functionsImported
	}
	for _, callee := range m.tableFunctions {
		call(table, int(callee))
	}
	tableStack := int64(0)
	var ready []int
	for i, n := range waiting {
		if n == 0 {
			ready = append(ready, i)
		}
	}
	for ; len(ready) > 0; ready = ready[1:] {
		node := ready[0]
		if node == table {
			for _, callee := range m.tableFunctions {
				tableStack = max(tableStack, functions[callee].stack)
			}
		} else if f := &functions[node]; node >= m.functionsImported {
			f.visit(functions, tableStack)
			if f.counted {
				continue
			}
		}
		for _, caller := range callers[node] {
			if waiting[caller]--; waiting[caller] == 0 {
				ready = append(ready, int(caller))
			}
		}
	}
}

// returnsUnchecked reports that a call takes from the slice, and may end without a check of it.
func (f *function) returnsUnchecked() bool { return f.frame > 0 && !f.small && !f.checked }

// visit decides about a function when all that it calls is known.
func (f *function) visit(functions []function, tableStack int64) {
	below := int64(0)
	if f.indirect {
		below = tableStack
	}
	units, small := f.units, !f.loops && !f.indirect
	f.total = f.units
	if f.indirect {
		f.total += unitsUnchecked
	}
	for _, index := range f.calls {
		callee := &functions[index]
		below = max(below, callee.stack)
		if !callee.checked {
			f.total += callee.total
		}
		if callee.small {
			units += callee.units
		} else if callee.frame > 0 { // not one of the host's
			small = false
		}
	}
	f.stack = f.frame + below
	f.counted = f.stack > uncountedBytes
	f.checked = !f.counted && (f.loops || f.total > unitsUnchecked)
	if f.small = small && !f.counted && units <= unitsSmallFunction; f.small {
		f.units = units
	}
}
