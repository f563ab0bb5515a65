package hosttest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// reader reads WebAssembly's numbers, names and instructions. After a fault it returns zeros and keeps the error.
type reader struct {
	rest []byte
	err  error
}

var errCutOff = errors.New("it is cut off")

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.rest = nil
}

func (r *reader) take(n uint32) []byte {
	if uint64(n) > uint64(len(r.rest)) {
		r.fail(errCutOff)
		return nil
	}
	taken := r.rest[:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *reader) byte() byte {
	if taken := r.take(1); len(taken) == 1 {
		return taken[0]
	}
	return 0
}

func (r *reader) u32() uint32 {
	value, size := binary.Uvarint(r.rest[:min(len(r.rest), 5)])
	if size <= 0 || value > math.MaxUint32 {
		r.fail(errCutOff)
		return 0
	}
	r.rest = r.rest[size:]
	return uint32(value)
}

// skipNumber skips a signed number of up to 64 bits.
func (r *reader) skipNumber() {
	for range 10 {
		if r.byte() < 0x80 {
			return
		}
	}
	r.fail(errors.New("a number has more than 10 bytes"))
}

func (r *reader) name() string { return string(r.take(r.u32())) }

// count reads how many entries of at least size bytes follow. What does not fit is refused here, before anything is
// allocated for it.
func (r *reader) count(size int) uint32 {
	n := r.u32()
	if uint64(n)*uint64(size) > uint64(len(r.rest)) {
		r.fail(fmt.Errorf("%d entries do not fit", n))
		return 0
	}
	return n
}

func (r *reader) vector(size int, entry func(r *reader)) {
	for range r.count(size) {
		if r.err != nil {
			return
		}
		entry(r)
	}
}

func (r *reader) limits() Limits {
	flags := r.byte()
	l := Limits{Min: r.u32(), Flags: flags &^ 1}
	if flags&1 != 0 {
		l.HasMax, l.Max = true, r.u32()
	}
	return l
}

// expression skips a constant expression.
func (r *reader) expression() {
	for r.err == nil {
		if op := r.byte(); op == opEnd {
			return
		} else if !r.skipOperands(op) {
			r.fail(fmt.Errorf("instruction %#x is unknown", op))
		}
	}
}

// data skips a data segment: active, passive, or with the index of a memory.
func (r *reader) data() {
	flags := r.u32()
	if flags == 2 {
		r.u32()
	}
	if flags != 1 {
		r.expression()
	}
	r.take(r.u32())
}

// element skips an element segment: bit 0 is passive or declared, bit 1 gives a table or a kind, bit 2 has expressions.
func (r *reader) element() {
	flags := r.u32()
	if flags&1 == 0 {
		if flags&2 != 0 {
			r.u32()
		}
		r.expression()
	}
	if flags&3 != 0 {
		r.byte()
	}
	if flags&4 != 0 {
		r.vector(2, (*reader).expression)
	} else {
		r.vector(1, func(r *reader) { r.u32() })
	}
}

// checkFunction checks one entry of the code section: what it declares and how deep it nests.
func checkFunction(r *reader, parameters int) {
	body := &reader{rest: r.take(r.u32())}
	variables := uint64(parameters)
	body.vector(2, func(body *reader) {
		variables += uint64(body.u32())
		body.byte()
	})
	if variables > variablesMax {
		r.fail(fmt.Errorf("a function has %d variables, parameters included, the limit is %d", variables, variablesMax))
		return
	}
	if err := body.instructions(); r.err == nil && err != nil {
		r.fail(err)
	}
}

// instructions goes through a body up to its last end.
func (r *reader) instructions() error {
	var open []bool // for each open block, whether it is a loop
	loops := 0
	for r.err == nil {
		switch op := r.byte(); op {
		case opBlock, opLoop, opIf:
			r.skipNumber()
			open = append(open, op == opLoop)
			if op == opLoop {
				loops++
			}
			if len(open) > depthMax || loops > loopDepthMax {
				return fmt.Errorf("its code nests more than %d deep or more than %d loops, the limits", depthMax, loopDepthMax)
			}
		case opEnd:
			if len(open) == 0 {
				if r.err == nil && len(r.rest) > 0 {
					return errors.New("code goes on after its end")
				}
				return r.err
			}
			if open[len(open)-1] {
				loops--
			}
			open = open[:len(open)-1]
		default:
			if !r.skipOperands(op) {
				return fmt.Errorf("instruction %#x is unknown", op)
			}
		}
	}
	return r.err
}

// skipOperands skips what follows an opcode other than those of blocks, or returns false for an instruction that is not in
// WebAssembly 2.0 without vectors.
func (r *reader) skipOperands(op byte) bool {
	switch {
	case op <= 0x01 || op == 0x05 || op == 0x0F || op == 0x1A || op == 0x1B || op >= 0x45 && op <= 0xC4 || op == 0xD1:
	case op == 0x0C || op == 0x0D || op == 0x10 || op >= 0x20 && op <= 0x26 || op == 0xD2:
		r.u32()
	case op == 0x0E:
		targets := r.count(1)
		if targets > targetsMax {
			r.fail(fmt.Errorf("a branch has %d targets, the limit is %d", targets, targetsMax))
		}
		for range targets {
			r.u32()
		}
		r.u32()
	case op == 0x1C:
		r.take(r.count(1))
	case op == 0x11 || op >= 0x28 && op <= 0x3E:
		r.u32()
		r.u32()
	case op == 0x3F || op == 0x40 || op == 0xD0:
		r.byte()
	case op == 0x41 || op == 0x42:
		r.skipNumber()
	case op == 0x43:
		r.take(4)
	case op == 0x44:
		r.take(8)
	case op == opPrefix:
		return r.skipPrefixed()
	default:
		return false
	}
	return true
}

// skipPrefixed skips the rest of an instruction that converts with saturation or works on memory or tables as a whole.
func (r *reader) skipPrefixed() bool {
	switch op := r.u32(); {
	case op <= 7:
	case op == 8, op == 10, op == 12, op == 14: // init and copy
		r.u32()
		r.u32()
	case op <= 17:
		r.u32()
	default:
		return false
	}
	return true
}
