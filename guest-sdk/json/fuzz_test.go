package json_test

import (
	"bytes"
	gojson "encoding/json"
	"io"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/pupwasm/pupwasm/guest-sdk/json"
)

func isNumber(text string) bool {
	return text != "" && strings.IndexByte("-0123456789", text[0]) >= 0 && gojson.Valid([]byte(text))
}

// value reads whatever comes next into the types that encoding/json uses.
func value(r *json.Reader) any {
	switch r.Kind() {
	case json.Null:
		r.Null()
		return nil
	case json.Bool:
		return r.Bool()
	case json.Number:
		return gojson.Number(r.Number())
	case json.String:
		return r.Text()
	case json.ObjectStart:
		object := map[string]any{}
		for o := r.Object(); o.Next(); {
			key := o.Key()
			object[key] = value(r)
		}
		return object
	case json.ArrayStart:
		array := []any{}
		for a := r.Array(); a.Next(); {
			array = append(array, value(r))
		}
		return array
	default:
		r.Skip()
		return nil
	}
}

// wander reads and leaves out, in a way that choices decide.
func wander(r *json.Reader, choices *bytes.Reader) {
	choice, err := choices.ReadByte()
	if err == io.EOF {
		return
	}
	switch choice % 12 {
	case 0:
		r.Skip()
	case 1:
		r.Text()
	case 2:
		r.Decimal(int(choice) % 20)
	case 3:
		r.Float64()
	case 4:
		r.Raw()
	case 5:
		r.Bool()
	case 6:
		r.Null()
	case 7:
		r.Find("a.b.0")
	case 8, 9:
		for o := r.Object(); o.Next() && choices.Len() > 0; {
			_ = o.Key()
			wander(r, choices)
		}
	case 10, 11:
		for a := r.Array(); a.Next() && choices.Len() > 0; {
			wander(r, choices)
		}
	}
}

// FuzzReader compares with encoding/json, which takes more in two respects: strings that are not UTF-8, and depth.
func FuzzReader(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,-2.5e3,"x\u00e9\ud83d\ude42",true,false,null,{}],"b\n":{"c":""}}`, ` [ ] `, `{"a":1,"a":2}`, `"\ud83d"`,
		`{"amount":62.59,"resource":"18","points":0}`, `{"a": "b", "c": [1, 2]}`, `[[[[]]]]`, `1e`, `{"a"`, `{"a":`, `{"a":}`, `[1 2]`, "\"\xff\"",
		`{"01234567":"01234567","0123456":"012345678"}`,
	} {
		f.Add([]byte(seed), []byte{8, 1, 2, 10, 0, 8, 8, 4})
	}
	f.Fuzz(func(t *testing.T, data, choices []byte) {
		original := bytes.Clone(data)
		var r json.Reader
		r.Reset(data)
		wander(&r, bytes.NewReader(choices))
		_ = r.Err()

		r.Reset(data)
		got := value(&r)
		err, _ := r.Err().(*json.Error)
		if err != nil && (err.Offset < 0 || err.Offset > len(data)) {
			t.Fatalf("an error at offset %d of %d", err.Offset, len(data))
		}
		r.Reset(data)
		r.Skip()
		if skipped := r.Err(); (skipped == nil) != (err == nil) {
			t.Fatalf("reading gives %v, skipping %v", err, skipped)
		}
		if !bytes.Equal(data, original) {
			t.Fatal("the data was changed")
		}
		if err != nil && err.Problem == "is nested too deep" {
			return
		}
		valid := gojson.Valid(data) && utf8.Valid(data)
		if valid != (err == nil) {
			t.Fatalf("%q: valid is %t, the error %v", data, valid, err)
		}
		if !valid {
			return
		}
		decoder := gojson.NewDecoder(bytes.NewReader(data))
		decoder.UseNumber()
		var want any
		if err := decoder.Decode(&want); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%q is read as %#v, want %#v", data, got, want)
		}
	})
}
