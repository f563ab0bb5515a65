package rowtext_test

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/pupwasm/pupwasm/internal/rowtext"
	"github.com/pupwasm/pupwasm/store"
)

func typed(t *testing.T, name string) store.Type {
	t.Helper()
	of, err := store.ParseType(name)
	if err != nil {
		t.Fatal(err)
	}
	return of
}

func bytesOf(kind store.Kind, text string) store.Value { return store.BytesOf(kind, []byte(text)) }

func TestRowtext_valuesOfEveryType(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		of         string
		value      store.Value
		text, json string
		given      string // to Parse, where it is not the text; "-" for what cannot be given
	}{
		{"bool", store.Bool(true), "true", "true", ""},
		{"i64", store.I64(math.MinInt64), "-9223372036854775808", "-9223372036854775808", ""},
		{"f64", store.F64(0.1), "0.1", "0.1", ""},
		{"f64", store.F64(math.Inf(1)), "+Inf", `"+Inf"`, ""},
		{"f64", store.F64(math.NaN()), "NaN", `"NaN"`, "-"},
		{"numeric", bytesOf(store.KindNumeric, "12.50"), "12.50", "12.50", ""},
		{"numeric", bytesOf(store.KindNumeric, "NaN"), "NaN", `"NaN"`, "-"}, // in a view
		{"text", store.Text("a <b> \"é\"\x1b[31m"), "a <b> \"é\"\x1b[31m", `"a <b> \"é\"\u001b[31m"`, ""},
		{"text", store.Text(""), `""`, `""`, "\x00empty"},
		{"text", store.Text("NULL"), `"NULL"`, `"NULL"`, "NULL"},
		{"text", store.Null(), "NULL", "null", "-"},
		{"bytes", bytesOf(store.KindBytes, "\x00\xff"), "00ff", `"00ff"`, ""},
		{"json", bytesOf(store.KindJSON, "{\"a\": [1,\n\"b c\"]}"), "{\"a\": [1,\n\"b c\"]}", `{"a":[1,"b c"]}`, "-"},
		{"timestamptz", store.Timestamp(1_700_000_000_500_000), "2023-11-14T22:13:20.5Z", `"2023-11-14T22:13:20.5Z"`, ""},
		{"uuid", bytesOf(store.KindUUID, "0123456789abcdef"), "30313233-3435-3637-3839-616263646566", `"30313233-3435-3637-3839-616263646566"`, ""},
		{"text[]", store.ArrayOf(store.KindText, []store.Value{store.Text("a"), store.Null()}), "[a, NULL]", `["a",null]`, "-"},
	} {
		if got := rowtext.Of(c.value); got != c.text {
			t.Errorf("%s is written %q, want %q", c.of, got, c.text)
		}
		row := rowtext.AppendJSON(nil, []store.Column{{Name: `a"b`}, {Name: "c"}}, []store.Value{c.value, store.Bool(false)})
		if want := `{"a\"b":` + c.json + `,"c":false}`; string(row) != want || !json.Valid(row) {
			t.Errorf("%s is %s in JSON, want %s", c.of, row, want)
		}
		given := c.given
		switch given {
		case "-":
			continue
		case "":
			given = c.text
		case "\x00empty":
			given = ""
		}
		value, err := rowtext.Parse(typed(t, c.of), given)
		if err != nil || rowtext.Of(value) != c.text || value.Kind != c.value.Kind {
			t.Errorf("%s %q is read as %+v, %v", c.of, given, value, err)
		}
	}
}

func TestParse_refusesWhatIsNoValue(t *testing.T) {
	t.Parallel()
	for _, c := range [][3]string{
		{"bool", "1", `"1" is no bool, such as true`},
		{"i64", "1.0", `"1.0" is no i64, such as -42`},
		{"i64", "9223372036854775808", `"9223372036854775808" is no i64, such as -42`},
		{"f64", "NaN", `"NaN" is no f64, such as 0.5`},
		{"numeric", "1e5", `"1e5" is no numeric, such as 12.50`},
		{"text", "a\x00", "a text is UTF-8 without NUL"},
		{"text", "\xff", "a text is UTF-8 without NUL"},
		{"bytes", "0", `"0" is no bytes, such as 00ff`},
		{"timestamptz", "today", `"today" is no timestamptz, such as 2026-01-02T03:04:05Z`},
		{"uuid", "x", `"x" is no uuid, such as 00000000-0000-0000-0000-000000000000`},
		{"json", "{}", "values of type json cannot be compared"},
		{"i64[]", "1", "values of type i64[] cannot be compared"},
	} {
		if v, err := rowtext.Parse(typed(t, c[0]), c[1]); err == nil || err.Error() != c[2] {
			t.Errorf("%s %q is read as %+v, %v", c[0], c[1], v, err)
		}
	}
	if v, err := rowtext.Parse(store.Type{}, "any"); err != nil || v.Kind != store.KindText {
		t.Errorf("a value for a column without a type is %+v, %v", v, err)
	}
}
