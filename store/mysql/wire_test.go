package mysql

import (
	"math"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/store"
)

func TestAppendValue(t *testing.T) {
	t.Parallel()
	numeric := func(text string) store.Value { return store.BytesOf(store.KindNumeric, []byte(text)) }
	zeros := strings.Repeat("0", 900)
	for _, c := range []struct {
		value store.Value
		want  string // "" for a value that is refused
	}{
		{store.Null(), "NULL"},
		{store.Bool(true), "true"},
		{store.I64(math.MinInt64), "-9223372036854775808"},
		{store.F64(0.1), "1e-01"},
		{store.F64(math.MaxFloat64), "1.7976931348623157e+308"},
		{store.F64(math.Copysign(0, -1)), "-0e+00"},
		{store.F64(math.NaN()), ""},
		{store.F64(math.Inf(-1)), ""},
		{numeric("+3"), "3"},
		{numeric("-12.50"), "-12.5"},
		{numeric("-0.00"), "-0"},
		{numeric(zeros + "1.5" + zeros[:90]), "1.5"},
		{numeric(strings.Repeat("9", 35) + "." + strings.Repeat("9", 30)), strings.Repeat("9", 35) + "." + strings.Repeat("9", 30)},
		{numeric("1" + strings.Repeat("0", 35)), ""},
		{numeric("0." + strings.Repeat("0", 30) + "1"), ""},
		{numeric(zeros + zeros + "1"), ""},
		{numeric(""), ""},
		{numeric("-"), ""},
		{numeric("+-1"), ""},
		{numeric("1."), ""},
		{numeric(".5"), ""},
		{numeric("1e5"), ""},
		{numeric("1.2.3"), ""},
		{numeric("'"), ""},
		{store.Text(""), "''"},
		{store.Text(`a "b" -- c; $1 ?`), `'a "b" -- c; $1 ?'`},
		{store.Text(`it's`), "_utf8mb4 x'69742773'"},
		{store.Text(`a\`), "_utf8mb4 x'615c'"},
		{store.Text("ü"), "_utf8mb4 x'c3bc'"},
		{store.Text("a\x00"), ""},
		{store.Text("\xff"), ""},
		{store.BytesOf(store.KindBytes, nil), "_binary x''"},
		{store.BytesOf(store.KindBytes, []byte("'")), "_binary x'27'"},
		{store.BytesOf(store.KindJSON, []byte(`{"a": 1}`)), `'{"a": 1}'`},
		{store.BytesOf(store.KindJSON, []byte(`{`)), ""},
		{store.BytesOf(store.KindJSON, []byte(`"\u0000"`)), ""},
		{store.Timestamp(0), "TIMESTAMP'1970-01-01 00:00:00.000000'"},
		{store.Timestamp(firstTimestamp), "TIMESTAMP'0001-01-01 00:00:00.000000'"},
		{store.Timestamp(lastTimestamp), "TIMESTAMP'9999-12-31 23:59:59.999999'"},
		{store.Timestamp(firstTimestamp - 1), ""},
		{store.Timestamp(lastTimestamp + 1), ""},
		{store.BytesOf(store.KindUUID, make([]byte, 16)), "_binary x'00000000000000000000000000000000'"},
		{store.BytesOf(store.KindUUID, make([]byte, 15)), ""},
		{store.ArrayOf(store.KindText, []store.Value{store.Text("a"), store.Null()}), `'["a",null]'`},
		{store.ArrayOf(store.KindF64, []store.Value{store.F64(math.Inf(1)), store.F64(2)}), `'["Infinity",2.0]'`},
		{store.ArrayOf(store.KindBytes, []store.Value{store.BytesOf(store.KindBytes, []byte{1})}), `'["01"]'`},
	} {
		got, err := appendValue([]byte("x"), store.Type{Kind: c.value.Kind, Array: c.value.Array}, c.value, false)
		if (err != nil) != (c.want == "") || err == nil && string(got) != "x"+c.want {
			t.Errorf("%v %.60q is written as %.100s, want %.100s: %v", c.value.Kind, c.value.Bytes(), got, c.want, err)
		}
	}
	if _, err := appendValue(nil, store.Type{Kind: store.KindI64}, store.Text("1"), false); err == nil {
		t.Error("a text is taken for a number")
	}
	if _, err := appendValue(nil, store.Type{Kind: store.KindI64}, store.Null(), true); err == nil {
		t.Error("NULL is taken for a key")
	}
}

// FuzzAppendDecimal checks that a numeric is refused, or written as the same number.
func FuzzAppendDecimal(f *testing.F) {
	for _, text := range []string{"", "0", "-0", "+1.50", "00.100", "1.", ".1", "-", "9e9", "'", strings.Repeat("1", 40)} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		written, err := appendDecimal(nil, text)
		if err != nil {
			return
		}
		if order, err := store.CompareNumeric(written, text); err != nil || order != 0 {
			t.Fatalf("%s is written as %s: %v", text, written, err)
		}
	})
}
