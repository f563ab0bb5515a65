package json_test

import (
	"math/big"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/guest-sdk/json"
)

func TestReader_readsDecimalsExactly(t *testing.T) {
	t.Parallel()
	const overflow, inexact = "is a number beyond 64 bits", "is a number with more decimals than asked for"
	for _, test := range []struct {
		text     string
		decimals int
		want     int64
		problem  string
	}{
		{"62.59", 2, 6259, ""},
		{"62.5", 2, 6250, ""},
		{"62", 2, 6200, ""},
		{"-0.01", 2, -1, ""},
		{"-0", 2, 0, ""},
		{"0.0", 0, 0, ""},
		{"7.000", 2, 700, ""},
		{"7.001", 2, 0, inexact},
		{"0.1", 0, 0, inexact},
		{"1e2", 0, 100, ""},
		{"1e2", 2, 10000, ""},
		{"1.5E+1", 0, 15, ""},
		{"125e-2", 2, 125, ""},
		{"125e-3", 2, 0, inexact},
		{"100e-2", 0, 1, ""},
		{"0e999999999999", 18, 0, ""},
		{"0e-999999999999", 0, 0, ""},
		{"1e-999999999999", 18, 0, inexact},
		{"1e999999999999", 0, 0, overflow},
		{"0." + strings.Repeat("0", 40) + "5e41", 0, 5, ""},
		{"1" + strings.Repeat("0", 40) + "e-40", 0, 1, ""},
		{"9223372036854775807", 0, 9223372036854775807, ""},
		{"9223372036854775808", 0, 0, overflow},
		{"-9223372036854775808", 0, -9223372036854775808, ""},
		{"-9223372036854775809", 0, 0, overflow},
		{"92233720368547758.07", 2, 9223372036854775807, ""},
		{"92233720368547758.08", 2, 0, overflow},
		{"99999999999999999999", 0, 0, overflow},
		{"18446744073709551617", 0, 0, overflow},
		{"1", 18, 1000000000000000000, ""},
		{"10", 18, 0, overflow},
	} {
		for _, wrapped := range []bool{false, true} {
			text := test.text
			if wrapped {
				text = "[" + text + "]"
			}
			r := json.NewReader([]byte(text))
			var got int64
			if !wrapped {
				got = r.Decimal(test.decimals)
			} else if a := r.Array(); a.Next() {
				got = r.Decimal(test.decimals)
				a.Next()
			}
			problem := ""
			if err, ok := r.Err().(*json.Error); ok {
				problem = err.Problem
			}
			if got != test.want || problem != test.problem {
				t.Errorf("%s with %d decimals: %d, %q", text, test.decimals, got, problem)
			}
		}
	}
}

func TestReader_readsFloats(t *testing.T) {
	t.Parallel()
	r := json.NewReader([]byte(`[0.1,-1e-7,1e400]`))
	a := r.Array()
	if !a.Next() || r.Float64() != 0.1 || !a.Next() || r.Float64() != -1e-7 || r.Err() != nil {
		t.Fatal(r.Err())
	}
	if !a.Next() || r.Float64() != 0 || r.Err() == nil {
		t.Error("1e400 is no error")
	}
}

func TestReader_givesTheTextOfNumbers(t *testing.T) {
	t.Parallel()
	r := json.NewReader([]byte(`{"a": 00}`))
	r.Object().Next()
	if r.Number() != "" || r.Err() == nil {
		t.Error("00 is a number")
	}
	r = json.NewReader([]byte(` -12.50 `))
	if got := r.Number(); got != "-12.50" || r.Err() != nil {
		t.Error(got, r.Err())
	}
}

// FuzzDecimal compares with arithmetic of any precision.
func FuzzDecimal(f *testing.F) {
	for _, seed := range []string{
		"0", "-1.50", "12e3", "1e-2", "9223372036854775807", "0.000000000000000001", "1.e", "-",
		"00", "1e+",
	} {
		f.Add(seed, 2)
	}
	f.Fuzz(func(t *testing.T, text string, decimals int) {
		decimals = ((decimals % 19) + 19) % 19
		r := json.NewReader([]byte(text))
		got := r.Decimal(decimals)
		err := r.Err()
		trimmed := strings.Trim(text, " \t\r\n")
		if e := strings.IndexAny(trimmed, "eE"); e >= 0 && len(trimmed)-e > 6 || len(trimmed) > 1000 {
			return // the other side would take for ever
		}
		want, ok := new(big.Rat).SetString(trimmed)
		if !ok || !isNumber(trimmed) {
			if err == nil {
				t.Fatalf("%q is read as %d", text, got)
			}
			return
		}
		want.Mul(want, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(decimals)), nil)))
		if fits := want.IsInt() && want.Num().IsInt64(); !fits {
			if err == nil {
				t.Fatalf("%q with %d decimals is read as %d", text, decimals, got)
			}
		} else if err != nil || got != want.Num().Int64() {
			t.Fatalf("%q with %d decimals is read as %d, %v, and not as %s", text, decimals, got, err, want)
		}
	})
}
