package meter

import (
	"errors"
	"fmt"
	"math"
)

var (
	errNotWasm   = errors.New("is not a WebAssembly module")
	errTruncated = errors.New("is cut off, or announces more than it has")
	errNumber    = errors.New("has a number that is too long")
)

// scanner reads WebAssembly's binary format. After the first error it returns zeros, and keeps the error.
type scanner struct {
	rest []byte
	err  error
	// variables is how many the function has whose code is read, parameters included.
	variables int
}

func (s *scanner) fail(err error) {
	if s.err == nil {
		s.err = err
	}
	s.rest = nil
}

func (s *scanner) byte() byte {
	if len(s.rest) == 0 {
		s.fail(errTruncated)
		return 0
	}
	b := s.rest[0]
	s.rest = s.rest[1:]
	return b
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
			if value > math.MaxUint32 {
				s.fail(errNumber)
			}
			return uint32(value)
		}
	}
	s.fail(errNumber)
	return 0
}

// blockType reads the type of a block: nothing or one value, which are below zero, or the index of a type.
func (s *scanner) blockType() int64 {
	value := int64(0)
	for i := range 5 {
		b := s.byte()
		value |= int64(b&0x7f) << (7 * i)
		if b < 0x80 {
			if b&0x40 != 0 {
				value |= -1 << (7 * (i + 1))
			}
			return value
		}
	}
	s.fail(errNumber)
	return 0
}

// skipLEB passes over a number of any width.
func (s *scanner) skipLEB() {
	for range 10 {
		if s.byte() < 0x80 {
			return
		}
	}
	s.fail(errNumber)
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

// index reads an index, which must be below a number that the module has of its kind.
func (s *scanner) index(what string, count int) uint32 {
	index := s.uint()
	if s.err == nil && int64(index) >= int64(count) {
		s.fail(fmt.Errorf("refers to %s %d, it has %d", what, index, count))
	}
	return index
}

// limits reads the limits of a table or memory.
func (s *scanner) limits() (minimum, maximum uint32, hasMaximum bool) {
	flags := s.byte()
	minimum = s.uint()
	if flags&1 != 0 {
		return minimum, s.uint(), true
	}
	return minimum, 0, false
}
