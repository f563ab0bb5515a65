package arrays

import (
	"bytes"
	"testing"

	"github.com/pupwasm/pupwasm/store"
)

// FuzzDecode checks that no text breaks the decoder, and that what it reads is written and read again as the same.
func FuzzDecode(f *testing.F) {
	for _, text := range []string{
		"[]", "[null]", "[true,false,1,0]", "[1,-9223372036854775808]", `[1.5,"NaN","-Infinity",1e999]`, `["1.50",7]`,
		`["a\u0000\"\\","ü"]`, `["00ff"]`, `["{\"a\":1}",{"a":1},"null"]`, "null", "{}", "[", "[[1]]", "", `["\ud800"]`,
	} {
		for kind := store.KindBool; kind <= store.KindUUID; kind++ {
			f.Add(uint8(kind), []byte(text))
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, text []byte) {
		k := store.KindBool + store.Kind(kind)%store.KindUUID
		first, err := Decode(k, text)
		if err != nil {
			return
		}
		written, err := Append(nil, k, first.Elements(), anything)
		if err != nil {
			return // such as a numeric of too many digits, which a statement can make and no guest may write
		}
		second, err := Decode(k, written)
		if err != nil {
			t.Fatalf("%s %s was written as %s: %v", k, text, written, err)
		}
		again, err := Append(nil, k, second.Elements(), anything)
		if err != nil || !bytes.Equal(written, again) {
			t.Fatalf("%s was written as %s: %v", written, again, err)
		}
	})
}

func anything(store.Value) error { return nil }
