package bundle_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/internal/bundle"
	"github.com/pupwasm/pupwasm/store"
)

func parse(t *testing.T, name string) store.Type {
	t.Helper()
	parsed, err := store.ParseType(name)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// row writes a value as the only one of a row, and returns its text.
func row(t *testing.T, of store.Type, v store.Value) string {
	t.Helper()
	table := &store.Table{Name: "box", Columns: []store.Column{{Name: "v", Type: of}}}
	text := string(bundle.AppendRow(nil, table, []store.Value{v}, false))
	if !json.Valid([]byte(text)) {
		t.Fatalf("%s is no JSON", text)
	}
	return strings.TrimSuffix(strings.TrimPrefix(text, `{"v":`), "}")
}

func TestValue_ofEveryType(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		of    string
		value store.Value
		text  string
	}{
		{"bool", store.Bool(true), "true"},
		{"i64", store.I64(math.MinInt64), "-9223372036854775808"},
		{"f64", store.F64(0.1), "0.1"},
		{"f64", store.F64(math.Inf(-1)), `"-Inf"`},
		{"f64", store.F64(math.SmallestNonzeroFloat64), "5e-324"},
		{"numeric", store.BytesOf(store.KindNumeric, []byte("12.50")), `"12.50"`},
		{"text", store.Text("<é\"\n🦀"), `"<é\"\n🦀"`},
		{"bytes", store.BytesOf(store.KindBytes, []byte{0, 0xff}), `"AP8="`},
		{"json", store.BytesOf(store.KindJSON, []byte(`{"a": null}`)), `"{\"a\": null}"`},
		{"json", store.BytesOf(store.KindJSON, []byte("null")), `"null"`},
		{"timestamptz", store.Timestamp(-1), "-1"},
		{"uuid", store.BytesOf(store.KindUUID, make([]byte, 16)), `"00000000-0000-0000-0000-000000000000"`},
		{"text", store.Null(), "null"},
		{"text[]", store.ArrayOf(store.KindText, []store.Value{store.Text("a"), store.Null()}), `["a",null]`},
		{"i64[]", store.ArrayOf(store.KindI64, nil), "[]"},
	} {
		of := parse(t, c.of)
		if got := row(t, of, c.value); got != c.text {
			t.Errorf("%s is written %s, want %s", c.of, got, c.text)
		}
		back, err := bundle.Value(of, json.RawMessage(c.text))
		if err != nil || row(t, of, back) != c.text {
			t.Errorf("%s %s is read as %+v, %v", c.of, c.text, back, err)
		}
	}
}

func TestValue_refusesOtherTypes(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{
		{"bool", "1"},
		{"bool", `"true"`},
		{"i64", "1.5"},
		{"i64", "9223372036854775808"},
		{"i64", `"1"`},
		{"f64", `"1"`},
		{"f64", "true"},
		{"f64", "1e999"},
		{"numeric", "1"},
		{"numeric", `"1e5"`},
		{"text", "1"},
		{"text", "{}"},
		{"bytes", `"no base64"`},
		{"json", "{}"},
		{"json", `"{"`},
		{"timestamptz", `"2025-01-01T00:00:00Z"`},
		{"uuid", `"00"`},
		{"text[]", `"a"`},
		{"text[]", `[["a"]]`},
		{"i64[]", `[1,"2"]`},
	} {
		if v, err := bundle.Value(parse(t, c[0]), json.RawMessage(c[1])); err == nil {
			t.Errorf("%s %s is read as %+v", c[0], c[1], v)
		}
	}
}
