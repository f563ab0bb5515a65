package store_test

import (
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pupwasm/pupwasm/store"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// decimal draws decimal text, with signs and zeros in front and behind.
func decimal() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		text := rapid.SampledFrom([]string{"", "-", "+"}).Draw(t, "sign")
		text += rapid.StringMatching(`[0-9]{1,30}`).Draw(t, "whole")
		if rapid.Bool().Draw(t, "fraction") {
			text += "." + rapid.StringMatching(`[0-9]{1,30}`).Draw(t, "decimals")
		}
		return text
	})
}

// rational reads decimal text by other means.
func rational(t *rapid.T, text string) *big.Rat {
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		t.Fatalf("%q is no number", text)
	}
	return r
}

func TestNumeric_calculatesAsRationalsDo(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := decimal().Draw(t, "a"), decimal().Draw(t, "b")
		x, y := rational(t, a), rational(t, b)
		sum, err := store.AddNumeric([]byte(a), []byte(b))
		if err != nil || rational(t, string(sum)).Cmp(new(big.Rat).Add(x, y)) != 0 {
			t.Fatalf("%s + %s = %s, %v", a, b, sum, err)
		}
		if _, _, err := store.ParseNumeric(sum); err != nil {
			t.Fatalf("the sum %s cannot be read: %v", sum, err)
		}
		order, err := store.CompareNumeric([]byte(a), []byte(b))
		if err != nil || order != x.Cmp(y) {
			t.Fatalf("%s compared with %s is %d, %v", a, b, order, err)
		}
	})
}

func TestCanonicalNumeric_isTheSameForEqualNumbers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := decimal().Draw(t, "a")
		b := decimal().Draw(t, "b")
		if rapid.Bool().Draw(t, "equal") { // the same number in another form
			b = strings.Replace(strings.TrimPrefix(a, "+"), "-", "-0", 1)
			if strings.Contains(b, ".") {
				b += "00"
			} else {
				b += ".0"
			}
		}
		x, errX := store.CanonicalNumeric([]byte(a))
		y, errY := store.CanonicalNumeric([]byte(b))
		if errX != nil || errY != nil {
			t.Fatal(errX, errY)
		}
		if same := rational(t, a).Cmp(rational(t, b)) == 0; same != (string(x) == string(y)) {
			t.Fatalf("%s is %s, %s is %s", a, x, b, y)
		}
		if len(x) > len(a) || rational(t, string(x)).Cmp(rational(t, a)) != 0 {
			t.Fatalf("%s becomes %s", a, x)
		}
	})
}

func TestCanonicalNumeric(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"1.50": "1.5", "+1.5": "1.5", "0": "0", "-0": "0", "-0.00": "0", "000": "0", "007": "7", "100": "100",
		"10.0": "10", "-0.10": "-0.1", "1.000001": "1.000001",
	} {
		got, err := store.CanonicalNumeric([]byte(given))
		if err != nil || string(got) != want {
			t.Errorf("%s becomes %s, %v, want %s", given, got, err, want)
		}
	}
}

func TestParseNumeric_refusesWhatIsNoDecimal(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "-", "+", ".", "1.", ".5", "-.5", "1..2", "1.2.3", "1e5", "NaN", "Infinity", "0x10", "1_000", " 1", "1 ",
		"--1", "1-", "١", "1\x00",
		strings.Repeat("9", 1001), "0." + strings.Repeat("9", 999),
	} {
		if _, _, err := store.ParseNumeric([]byte(text)); err == nil {
			t.Errorf("%q is accepted", text)
		}
		for _, other := range []string{"1", text} {
			if _, err := store.AddNumeric([]byte(text), []byte(other)); err == nil {
				t.Errorf("%q + %q is accepted", text, other)
			}
			if _, err := store.CompareNumeric([]byte(other), []byte(text)); err == nil {
				t.Errorf("%q and %q are compared", other, text)
			}
		}
	}
	if _, _, err := store.ParseNumeric([]byte("-" + strings.Repeat("9", 1000))); err != nil {
		t.Error(err)
	}
}
