package host

import "fmt"

// scanner reads WebAssembly's binary format. After the first error it returns zeros, and keeps the error.
type scanner struct {
	rest []byte
	err  error
}

func (s *scanner) fail(err error) {
	if s.err == nil {
		s.err = err
	}
	s.rest = nil
}

func (s *scanner) byte() byte {
	if taken := s.take(1); len(taken) == 1 {
		return taken[0]
	}
	return 0
}

func (s *scanner) take(n uint32) []byte {
	if uint64(n) > uint64(len(s.rest)) {
		s.fail(errTruncated)
		return nil
	}
	taken := s.rest[:n]
	s.rest = s.rest[n:]
	return taken
}

// uint reads an unsigned number of 32 bits.
func (s *scanner) uint() uint32 {
	value := uint64(0)
	for i := range 5 {
		b := s.byte()
		value |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			return uint32(value)
		}
	}
	s.fail(errTruncated)
	return 0
}

// skipLEB passes over a number of any width.
func (s *scanner) skipLEB() {
	for range 10 {
		if s.byte() < 0x80 {
			return
		}
	}
	s.fail(errTruncated)
}

// count reads a number of entries, each of which takes a byte at least, so that one that lies is found out here.
func (s *scanner) count() uint32 {
	n := s.uint()
	if uint64(n) > uint64(len(s.rest)) {
		s.fail(errTruncated)
		return 0
	}
	return n
}

func (s *scanner) name() []byte { return s.take(s.uint()) }

// limits reads the limits of a table or memory and returns the minimum.
func (s *scanner) limits() uint32 {
	flags := s.byte()
	minimum := s.uint()
	if flags&1 != 0 {
		s.uint()
	}
	return minimum
}

// expression passes over a constant expression.
func (s *scanner) expression() {
	for s.err == nil {
		if op := s.byte(); op == opEnd {
			return
		} else if !s.immediates(op) {
			s.fail(fmt.Errorf("has instruction %#x in a constant", op))
		}
	}
}

// The instructions that need looking at.
const (
	opBlock   = 0x02
	opLoop    = 0x03
	opIf      = 0x04
	opEnd     = 0x0B
	opBrTable = 0x0E
	opPrefix  = 0xFC
)

// functionBody checks the locals of a function and how its code is nested.
func (s *scanner) functionBody() error {
	locals := uint64(0)
	for range s.count() {
		locals += uint64(s.uint())
		s.byte()
		if s.err == nil && locals > localsMax {
			s.err = fmt.Errorf("has a function with %d local variables or more, the limit is %d", locals, localsMax)
		}
		if s.err != nil {
			return s.err
		}
	}
	loops := []int{} // the depths of the loops that are open
	depth := 0
	for len(s.rest) > 0 && s.err == nil {
		switch op := s.byte(); op {
		case opBlock, opLoop, opIf:
			s.skipLEB()
			if depth++; depth > nestingMax {
				return fmt.Errorf("has code that is nested %d blocks deep or more, the limit is %d", depth, nestingMax)
			}
			if op == opLoop {
				if loops = append(loops, depth); len(loops) > loopNestingMax {
					return fmt.Errorf("has loops that are nested %d deep or more, the limit is %d", len(loops), loopNestingMax)
				}
			}
		case opEnd:
			if last := len(loops) - 1; last >= 0 && loops[last] == depth {
				loops = loops[:last]
			}
			depth--
		case opBrTable:
			targets := s.count()
			if targets > targetsMax {
				return fmt.Errorf("has a branch with %d targets, the limit is %d", targets, targetsMax)
			}
			for range targets + 1 {
				s.uint()
			}
		default:
			if !s.immediates(op) {
				return nil // not of this version of WebAssembly: the engine says so
			}
		}
	}
	return s.err
}

// immediates passes over what follows an instruction, and reports false for one that is not known.
func (s *scanner) immediates(op byte) bool {
	switch {
	case op <= 0x01, op == 0x05, op == 0x0F, op == 0x1A, op == 0x1B, op >= 0x45 && op <= 0xC4, op == 0xD1:
		// no immediates
	case op == 0x0C, op == 0x0D, op == 0x10, op >= 0x20 && op <= 0x26, op == 0xD2:
		s.uint()
	case op == 0x11: // call_indirect
		s.uint()
		s.uint()
	case op == 0x1C: // select with types
		s.take(s.count())
	case op >= 0x28 && op <= 0x3E: // alignment and offset
		s.uint()
		s.uint()
	case op == 0x3F, op == 0x40, op == 0xD0:
		s.byte()
	case op == 0x41, op == 0x42:
		s.skipLEB()
	case op == 0x43:
		s.take(4)
	case op == 0x44:
		s.take(8)
	case op == opPrefix:
		return s.prefixed(s.uint())
	default:
		return false
	}
	return true
}

// prefixed passes over what follows an instruction of bulk memory and saturating conversion.
func (s *scanner) prefixed(op uint32) bool {
	switch op {
	case 0, 1, 2, 3, 4, 5, 6, 7:
	case 9, 11, 13, 15, 16, 17:
		s.uint()
	case 8, 10, 12, 14:
		s.uint()
		s.uint()
	default:
		return false
	}
	return true
}
