package main

import (
	"fmt"
	"testing"
)

func TestScanField(t *testing.T) {
	t.Parallel()
	const object = `{"a":"x\"y\\","b": {"amount":1,"c":["}",2]},"amount":-12.5,"last":null}`
	for name, want := range map[string]string{
		"a": `"x\"y\\"`, "b": `{"amount":1,"c":["}",2]}`, "amount": "-12.5", "last": "null", "none": "",
	} {
		if got := string(scanField([]byte(object), name)); got != want {
			t.Errorf("%s is %q, must be %q", name, got, want)
		}
	}
	if got := scanField([]byte("{}"), "a"); got != nil {
		t.Errorf("an empty object has %q", got)
	}
}

func TestScanCents(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{"62.59": 6259, "31.3": 3130, "7": 700, "0.05": 5, "-1.25": -125, "-0.5": -50} {
		if got, ok := scanCents([]byte(text)); got != want || !ok {
			t.Errorf("%s is %d cents, must be %d", text, got, want)
		}
	}
	for _, text := range []string{"", "x", "1.234", "1e3", "-"} {
		if got, ok := scanCents([]byte(text)); ok {
			t.Errorf("%q is read as %d", text, got)
		}
	}
}

func TestKeyIndex_numbersKeysInOrder(t *testing.T) {
	t.Parallel()
	index := newKeyIndex(100)
	for range 2 {
		for i := range 100 {
			key := fmt.Appendf(nil, "key-%d", i)
			if n, isNew := index.number(key); n != i || !isNew {
				t.Fatalf("%s is number %d, new %t", key, n, isNew)
			}
			if n, isNew := index.number(key); n != i || isNew {
				t.Fatalf("%s is number %d the second time, new %t", key, n, isNew)
			}
		}
		index.reset()
	}
}
