package json_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/guest-sdk/json"
)

func TestReader_readsFieldsInOnePass(t *testing.T) {
	t.Parallel()
	r := json.NewReader([]byte(` { "user" : "Ada" , "skipped":{"deep":[1,{"x":null}],"s":"}]"}, "total":12.5,"n":-7,
		"tags":["a","b\n"], "paid":true, "nothing":null, "raw": [1, 2] , "address":{"city":"Köln","zip":"50667"} } `))
	var user, city, tags, raw string
	var total, n int64
	var paid, nothing bool
	for o := r.Object(); o.Next(); {
		switch o.Key() {
		case "user":
			user = r.Text()
		case "total":
			total = r.Decimal(2)
		case "n":
			n = r.Int64()
		case "tags":
			for a := r.Array(); a.Next(); {
				tags += r.Text() + ";"
			}
		case "paid":
			paid = r.Bool()
		case "nothing":
			nothing = r.Null()
		case "raw":
			raw = string(r.Raw())
		case "address":
			for address := r.Object(); address.Next(); {
				if address.Key() == "city" {
					city = r.Text()
				}
			}
			if o.Key() != "address" {
				t.Errorf("the key of the outer object became %q", o.Key())
			}
		}
	}
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	if user != "Ada" || total != 1250 || n != -7 || tags != "a;b\n;" || !paid || !nothing || raw != "[1, 2]" ||
		city != "Köln" {
		t.Error(user, total, n, tags, paid, nothing, raw, city)
	}
}

func TestReader_goesOnAfterALoopWasLeftEarly(t *testing.T) {
	t.Parallel()
	const text = `{"a":{"x":[1,[2,{"y":3}],4],"z":"}"},"b":[],"c":{},"d":5}`
	r := json.NewReader([]byte(text))
	var d int64
	keys := ""
	for o := r.Object(); o.Next(); {
		keys += o.Key()
		switch o.Key() {
		case "a":
			for inner := r.Object(); inner.Next(); {
				for list := r.Array(); list.Next(); {
					if r.Kind() == json.ArrayStart {
						r.Array() // entered, and never moved on
						break
					}
				}
				break
			}
		case "c":
			r.Object()
		case "d":
			d = r.Int64()
		}
	}
	if err := r.Err(); err != nil || d != 5 || keys != "abcd" {
		t.Error(keys, d, err)
	}
}

func TestReader_readsStrings(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ text, want string }{
		{`""`, ""},
		{`"plain, and longer than eight bytes"`, "plain, and longer than eight bytes"},
		{`"\"\\\/\b\f\n\r\t"`, "\"\\/\b\f\n\r\t"},
		{`"žltý 漢字 🙂"`, "žltý 漢字 🙂"},
		{`"\u017elt\u00FD"`, "žltý"},
		{`"\ud83d\ude42!"`, "🙂!"},
		{`"\ud83d"`, "\uFFFD"},
		{`"\ud83dx"`, "\uFFFDx"},
		{`"\ude42\ud83d"`, "\uFFFD\uFFFD"},
		{`"\ud83d\u0041"`, "\uFFFDA"},
		{`"\u0000"`, "\x00"},
		{`"` + strings.Repeat(`\n`, 2000) + `"`, strings.Repeat("\n", 2000)},
	} {
		r := json.NewReader([]byte(test.text))
		if got := r.Text(); got != test.want || r.Err() != nil {
			t.Errorf("%s reads as %q, error %v", test.text, got, r.Err())
		}
		r = json.NewReader([]byte(`{` + test.text + `: [` + test.text + `]}`))
		for o := r.Object(); o.Next(); {
			// The first call decodes escapes, the second finds that done.
			if once, again := o.Key(), o.Key(); once != test.want || again != test.want {
				t.Errorf("key %s reads as %q, then as %q", test.text, once, again)
			}
			for a := r.Array(); a.Next(); {
				if got := r.Text(); got != test.want {
					t.Errorf("%s within an array reads as %q", test.text, got)
				}
			}
		}
		if r.Err() != nil {
			t.Error(test.text, r.Err())
		}
	}
}

func TestReader_stringsWithEscapesStayValidUntilRelease(t *testing.T) {
	t.Parallel()
	var r json.Reader
	var kept []string
	for range 1000 {
		r.Reset([]byte(`"one\ttwo"`))
		kept = append(kept, r.Text())
	}
	for i := range kept {
		if kept[i] != "one\ttwo" {
			t.Fatalf("string %d is %q", i, kept[i])
		}
	}
}

func TestReader_reportsFaultsWithOffsetAndKey(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", json.DepthMax+1)
	for _, test := range []struct {
		text    string
		want    string
		walking func(r *json.Reader)
	}{
		{``, "json: offset 0: the end stands where a value should be", skip},
		{`  `, "json: offset 2: the end stands where a value should be", skip},
		{`{"a":1} x`, "json: offset 8: there is more after the end", skip},
		{`1 2`, "json: offset 2: there is more after the end", func(r *json.Reader) { r.Int64() }},
		{`{"a":1`, `json: key "a", offset 6: the end stands where a comma or the end of the container should be`, skip},
		{`{"a":1]`, `json: key "a", offset 6: ']' stands where a comma or the end of the container should be`, skip},
		{`{"a":1,}`, `json: key "a", offset 7: '}' stands where a key should be`, skip},
		{`[1,]`, `json: offset 3: ']' stands where a value should be`, skip},
		{`{"a" 1}`, `json: offset 5: '1' stands where a colon should be`, skip},
		{`{a:1}`, `json: offset 1: 'a' stands where a key should be`, skip},
		{`{"a":tru}`, `json: key "a", offset 5: 't' stands where true should be`, skip},
		{`{"a":01}`, `json: key "a", offset 5: a number starts with a zero`, skip},
		{`{"a":-}`, `json: key "a", offset 6: '}' stands where a digit should be`, skip},
		{`{"a":1.}`, `json: key "a", offset 7: '}' stands where a digit should be`, skip},
		{`{"a":1e+}`, `json: key "a", offset 8: '}' stands where a digit should be`, skip},
		{`"abc`, "json: offset 4: a string does not end", skip},
		{`"a\`, "json: offset 3: an escape is unknown or incomplete", skip},
		{`"a\x"`, "json: offset 3: an escape is unknown or incomplete", skip},
		{`"a\u12"`, "json: offset 3: an escape is unknown or incomplete", skip},
		{`"a\u12`, "json: offset 3: an escape is unknown or incomplete", skip},
		{"\"a\nb\"", "json: offset 2: a string contains a control character", skip},
		{"\"a\xffb\"", "json: offset 2: a string is not UTF-8", skip},
		{"\"a\xc3\"", "json: offset 2: a string is not UTF-8", skip},
		{deep, "json: offset 64: is nested too deep", skip},
		{
			`{"a":"x"}`, `json: key "a", offset 5: is a string, not a number of 0 to 18 decimals`,
			first(func(r *json.Reader) { r.Int64() }),
		},
		{`{"a\n":null}`, "json: key \"a\n\", offset 7: is null, not a string", first(func(r *json.Reader) { r.Text() })},
		{`{"a":[]}`, `json: key "a", offset 5: is an array, not an object`, first(func(r *json.Reader) { r.Object() })},
		{`{"a":{}}`, `json: key "a", offset 5: is an object, not an array`, first(func(r *json.Reader) { r.Array() })},
		{`{"a":1}`, `json: key "a", offset 5: is a number, not a boolean`, first(func(r *json.Reader) { r.Bool() })},
		{`{"a":?}`, `json: key "a", offset 5: '?' stands where a value should be`, first(func(r *json.Reader) { r.Bool() })},
		{
			`{"a":1}`, `json: key "a", offset 6: asked for a string, but there is no value that was not read`,
			first(func(r *json.Reader) { r.Int64(); r.Text() }),
		},
	} {
		r := json.NewReader([]byte(test.text))
		test.walking(r)
		err := r.Err()
		if err == nil || err.Error() != test.want {
			t.Errorf("%s: %v\nwant %s", test.text, err, test.want)
		}
		var typed *json.Error
		if !errors.As(err, &typed) {
			t.Errorf("the error is a %T", err)
		}
		// The first error stays, and everything else is zero.
		if r.Text() != "" || r.Int64() != 0 || r.Raw() != nil || r.Object().Next() || r.Array().Next() ||
			r.Kind() != json.Invalid {
			t.Errorf("%s: something is read after an error", test.text)
		}
		if again := r.Err(); again.Error() != test.want {
			t.Errorf("%s: the error became %v", test.text, again)
		}
	}
}

func skip(r *json.Reader) { r.Skip() }

func first(read func(r *json.Reader)) func(r *json.Reader) {
	return func(r *json.Reader) {
		for o := r.Object(); o.Next(); {
			read(r)
		}
	}
}

func TestReader_findsByPath(t *testing.T) {
	t.Parallel()
	const text = `{"a":1,"customer":{"name":"Ada","address":{"city":"Köln","lines":["x","y"]}},"items":[{"price":2.5},[7]],"none":null,"":3}`
	for _, test := range []struct{ path, want string }{
		{"a", "1"},
		{"customer.address.city", `"Köln"`},
		{"customer.address.lines.1", `"y"`},
		{"items.0.price", "2.5"},
		{"items.1.0", "7"},
		{"none", "null"},
		{"b", ""},
		{"a.b", ""},
		{"items.2", ""},
		{"items.x", ""},
		{"items.-1", ""},
		{"items.99999999999999999999", ""},
		{"customer.address.city.x", ""},
	} {
		r := json.NewReader([]byte(text))
		got := ""
		if r.Find(test.path) {
			got = string(r.Raw())
		}
		if got != test.want || r.Err() != nil {
			t.Errorf("%s: found %s, error %v", test.path, got, r.Err())
		}
	}
	r := json.NewReader([]byte(`{"a":1,"b`))
	if r.Find("b") || r.Err() == nil {
		t.Error("a fault before the field is not reported")
	}
	r = json.NewReader([]byte(`{"a":1,"b`))
	if !r.Find("a") || r.Int64() != 1 || r.Err() != nil {
		t.Error("what comes behind the field is read")
	}
}

func TestReader_uncheckedErrorIsSeenOnce(t *testing.T) {
	t.Parallel()
	r := json.NewReader([]byte(`nope`))
	r.Skip()
	if r.Unchecked() == nil {
		t.Error("the error is not reported")
	}
	if r.Err() == nil || r.Unchecked() != nil {
		t.Error("the error is reported although somebody asked")
	}
}

func TestReader_doesNotAllocate(t *testing.T) {
	text := []byte(`{"user":"Ada \"the\" Countess","items":[{"sku":"tea","price":12.34},{"sku":"cup","price":1e2}],"ok":true,"x":0.5}`)
	var r json.Reader
	allocated := testing.AllocsPerRun(1000, func() {
		r.Release()
		r.Reset(text)
		for o := r.Object(); o.Next(); {
			switch o.Key() {
			case "user":
				_ = r.Text()
			case "items":
				for a := r.Array(); a.Next(); {
					for item := r.Object(); item.Next(); {
						if item.Key() == "price" {
							_ = r.Decimal(2)
						}
					}
				}
			case "x":
				_ = r.Float64()
			}
		}
		if r.Unchecked() != nil {
			t.Fatal(r.Err())
		}
		_ = r.Find("items.1.sku")
	})
	if allocated != 0 {
		t.Errorf("%v allocations", allocated)
	}
}
