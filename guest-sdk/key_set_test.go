package pup

import (
	"fmt"
	"testing"
)

func TestKeySet_numbersKeysInOrder(t *testing.T) {
	t.Parallel()
	var keys keySet
	for round := range 3 {
		keys.reset()
		for i := range 5000 {
			keys.row.types, keys.row.next = []Type{TypeText}, 0
			keys.row.Text(fmt.Sprint("key ", i%1000, " of round ", round))
			index, added := keys.add()
			if index != i%1000 || added != (i < 1000) {
				t.Fatalf("round %d, key %d has number %d, added %t", round, i, index, added)
			}
		}
	}
}

func TestHash_spreadsKeysThatAreAlike(t *testing.T) {
	t.Parallel()
	const keys, buckets = 4096, 4096
	for length := range 12 {
		var hit [buckets]int
		used := 0
		for i := range keys {
			key := fmt.Sprintf("\x05\x06\x00\x00\x00%*d", length, i)
			bucket := hash([]byte(key)) % buckets
			if hit[bucket]++; hit[bucket] == 1 {
				used++
			}
		}
		// Chance fills 63% of as many buckets as there are keys.
		if used < buckets*58/100 {
			t.Errorf("keys of length %d fill %d of %d buckets", length, used, buckets)
		}
	}
}
