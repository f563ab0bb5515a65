package store

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
	"slices"
)

// ranked is a row with the part of its key that decides most comparisons.
type ranked struct {
	rank uint64
	row  int
}

// sortRows sorts the rows of a step by their keys, so that transactions that touch the same rows lock them in the
// same order, and index neighbours are written one after the other. spare is memory for the rows and ranks for
// their order; both are returned for reuse.
func sortRows(step *Step, keyWidth int, spare []Value, ranks []ranked) ([]Value, []ranked) {
	if rowsSorted(step, keyWidth) {
		return spare, ranks
	}
	rows := rankRows(step, ranks[:0])
	slices.SortFunc(rows, func(a, b ranked) int {
		if a.rank != b.rank {
			return cmp.Compare(a.rank, b.rank)
		}
		return compareRows(step, keyWidth, a.row, b.row)
	})
	spare = spare[:0]
	for _, r := range rows {
		spare = append(spare, step.Values[r.row*step.Width:(r.row+1)*step.Width]...)
	}
	step.Values, spare = spare, step.Values
	return spare, rows
}

func rowsSorted(step *Step, keyWidth int) bool {
	for row := 1; row < step.Count; row++ {
		if compareRows(step, keyWidth, row-1, row) > 0 {
			return false
		}
	}
	return true
}

func compareRows(step *Step, keyWidth, a, b int) int {
	for i := range keyWidth {
		if order := compareKeys(step.Values[a*step.Width+i], step.Values[b*step.Width+i]); order != 0 {
			return order
		}
	}
	return 0
}

// compareKeys is an order of the values of a key column. It need not be the database's, only everywhere the same.
func compareKeys(a, b Value) int {
	switch a.Kind {
	case KindI64, KindTimestamp:
		return cmp.Compare(a.Int(), b.Int())
	case KindBool, KindF64:
		return cmp.Compare(a.word, b.word)
	case KindNumeric:
		x, _ := CanonicalNumeric(a.Bytes())
		y, _ := CanonicalNumeric(b.Bytes())
		return bytes.Compare(x, y)
	default:
		return bytes.Compare(a.Bytes(), b.Bytes())
	}
}

// rankRows ranks rows by the first column of their key, in the same order as compareKeys. Texts are ranked by what
// follows the beginning that they all share.
func rankRows(step *Step, ranks []ranked) []ranked {
	shared := sharedPrefix(step)
	for row := range step.Count {
		ranks = append(ranks, ranked{rank: rank(step.Values[row*step.Width], shared), row: row})
	}
	return ranks
}

func rank(v Value, shared int) uint64 {
	switch v.Kind {
	case KindI64, KindTimestamp:
		return v.word ^ 1<<63
	case KindBool, KindF64:
		return v.word
	case KindNumeric:
		return 0
	}
	rest := v.Bytes()[shared:]
	if len(rest) >= 8 {
		return binary.BigEndian.Uint64(rest)
	}
	// Shorter ones come first among those with the same beginning, which compareKeys decides.
	padded := [8]byte{}
	copy(padded[:], rest)
	return binary.BigEndian.Uint64(padded[:])
}

// sharedPrefix is how many bytes the first key column has the same in all rows.
func sharedPrefix(step *Step) int {
	if step.Count == 0 {
		return 0
	}
	first, shared := step.Values[0].Bytes(), math.MaxInt
	for row := range step.Count {
		key := step.Values[row*step.Width].Bytes()
		shared = min(shared, len(first), len(key))
		for shared > 0 && string(first[:shared]) != string(key[:shared]) {
			shared--
		}
	}
	return shared
}
