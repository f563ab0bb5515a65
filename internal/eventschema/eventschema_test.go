package eventschema

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// order is the schema that most tests check by.
const order = `{
	"$schema": "https://json-schema.org/draft/2020-12/schema",
	"title": "OrderPlaced version 2",
	"x-event": {"type": "OrderPlaced", "version": 2},
	"type": "object",
	"additionalProperties": false,
	"required": ["order_id", "total"],
	"properties": {
		"order_id": {"type": "string", "minLength": 2, "maxLength": 5, "pattern": "^[a-z0-9]+$"},
		"total": {"type": "number", "minimum": 0, "exclusiveMaximum": 1e401, "multipleOf": 0.01},
		"count": {"type": "integer", "minimum": -9223372036854775808, "maximum": 9223372036854775807},
		"exact": {"const": 9007199254740993},
		"state": {"enum": ["new", "paid", null]},
		"many": {"enum": [1, 2, 3, 4, 5, 6]},
		"at": {"type": "string", "format": "date-time"},
		"scan": {"type": "string", "contentEncoding": "base64"},
		"inner": {"type": "string", "contentMediaType": "application/json", "contentSchema": {"type": "object"}},
		"lines": {"type": "array", "items": {"$ref": "#/$defs/line"}, "minItems": 1, "maxItems": 3, "uniqueItems": true},
		"labels": {"type": "object", "propertyNames": {"maxLength": 3}, "maxProperties": 2},
		"any-name here": {"type": "string"},
		"next": {"anyOf": [{"$ref": "#/$defs/next"}, {"type": "null"}]},
		"pay": {"oneOf": [{"$ref": "#/$defs/card"}, {"$ref": "#/$defs/cash"}]},
		"both": {"oneOf": [{"type": "number"}, {"type": "integer"}]},
		"never": false,
		"some": {"not": {"type": "string"}},
		"card": {"type": "boolean"}
	},
	"dependentRequired": {"card": ["count"]},
	"$defs": {
		"line": {"type": "object", "properties": {"price": {"type": "number"}}, "unevaluatedProperties": false},
		"next": {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#/$defs/next"}, {"type": "null"}]}},
			"additionalProperties": false},
		"card": {"type": "object", "properties": {"kind": {"const": "card"}, "number": {"type": "string"}}, "required": ["kind"]},
		"cash": {"type": "object", "properties": {"kind": {"const": "cash"}, "till": {"type": "integer"}}, "required": ["kind"]}
	}
}`

// folder makes a folder of files, given as names and texts in turn.
func folder(t testing.TB, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		if err := os.WriteFile(filepath.Join(dir, files[i]), []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func load(t testing.TB, files ...string) *Set {
	t.Helper()
	set, err := Load(folder(t, files...))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestCheck(t *testing.T) {
	t.Parallel()
	set := load(t, "order.json", order)
	for _, tt := range []struct{ name, members, want string }{
		{"fits", `"order_id":"a1","total":12.50,"lines":[{"price":1}],"state":null,"next":{"next":null}`, ""},
		{"numbers exactly", `"order_id":"a1","total":1e400,"exact":9007199254740993,"count":9223372036854775807`, ""},
		{"a whole number with a point", `"order_id":"a1","total":1,"count":2.0`, ""},
		{"the next number", `"order_id":"a1","total":1,"exact":9007199254740992`, `payload.exact: is not 9007199254740993`},
		{"beyond int64", `"order_id":"a1","total":1,"count":9223372036854775808`, `payload.count: is more than 9223372036854775807`},
		{"below int64", `"order_id":"a1","total":1,"count":-9223372036854775809`, `payload.count: is less than -9223372036854775808`},
		{"a fraction", `"order_id":"a1","total":1,"count":2.5`, `payload.count: is not a whole number`},
		{"a fraction of a cent", `"order_id":"a1","total":12.505`, `payload.total: is not a multiple of 0.01`},
		{"type", `"order_id":"a1","total":1,"lines":[{},{"price":1},{"price":"2"}]`, `payload.lines[2].price: is a string, not a number`},
		{"unknown", `"order_id":"a1","totl":1`, `payload.total: is missing; payload.totl: is not a member of the schema`},
		{"unevaluated", `"order_id":"a1","total":1,"lines":[{"prize":1}]`, `payload.lines[0].prize: is not a member of the schema`},
		{
			"many", `"total":"1","count":"","state":"x","many":7,"at":1`,
			`payload.at: is a number, not a string; payload.count: is a string, not a whole number; ` +
				`payload.many: is not one of the 6 values of the schema, such as 1; and 3 more`,
		},
		{"length", `"order_id":"a","total":1`, `payload.order_id: has fewer than 2 characters`},
		{"longer", `"order_id":"abcdef","total":1`, `payload.order_id: has more than 5 characters`},
		{"pattern", `"order_id":"A1","total":1`, `payload.order_id: does not match ^[a-z0-9]+$`},
		{"enum", `"order_id":"a1","total":1,"state":"x"`, `payload.state: is not "new" or "paid" or null`},
		{"format", `"order_id":"a1","total":1,"at":"yesterday"`, `payload.at: is not of the format date-time`},
		{"base64", `"order_id":"a1","total":1,"scan":"AA="`, `payload.scan: is not base64`},
		{"content", `"order_id":"a1","total":1,"inner":"{"`, `payload.inner: does not contain application/json`},
		{"content twice", `"order_id":"a1","total":1,"inner":"{\"a\":1,\"a\":2}"`, `payload.inner: does not contain application/json`},
		{
			"content that does not fit", `"order_id":"a1","total":1,"inner":"[1]"`,
			`payload.inner: contains what does not fit its contentSchema`,
		},
		{
			"names", `"order_id":"a1","total":1,"labels":{"long":1},"lines":[{}]`,
			`payload.labels: has the member "long", a name that is not allowed`,
		},
		{"equal elements", `"order_id":"a1","total":1,"lines":[{},{"price":1},{"price":1.0}]`, `payload.lines: has the same value as elements 1 and 2`},
		{"no elements", `"order_id":"a1","total":1,"lines":[]`, `payload.lines: has fewer than 1 elements`},
		{"a quoted name", `"order_id":"a1","total":1,"any-name here":1`, `payload["any-name here"]: is a number, not a string`},
		{"the deepest alternative", `"order_id":"a1","total":1,"next":{"next":{"next":7}}`, `payload.next.next.next: is a number, not null or an object`},
		{"no alternative of the type", `"order_id":"a1","total":1,"next":7`, `payload.next: is a number, not null or an object`},
		{"the alternative of a constant", `"order_id":"a1","total":1,"pay":{"kind":"cash","till":"x"}`, `payload.pay.till: is a string, not a whole number`},
		{"two alternatives", `"order_id":"a1","total":1,"both":1`, `payload.both: fits more than one alternative of oneOf`},
		{"false", `"order_id":"a1","total":1,"never":1`, `payload.never: is not allowed`},
		{"not", `"order_id":"a1","total":1,"some":""`, `payload.some: fits what the schema excludes by not`},
		{"dependent", `"order_id":"a1","total":1,"card":true`, `payload.count: is missing, since card is there`},
		{"twice", `"order_id":"a1","total":1,"total":2`, `payload.total: is given twice`},
		{"twice by an escape", `"order_id":"a1","total":1,"t\u006ftal":2`, `payload.total: is given twice`},
		{"half a character", `"order_id":"a1","total":1,"some":["\ud800"]`, `payload.some[0]: has half of a surrogate pair (\ud800 to \udfff), which is no character`},
		{"a hostile exponent", `"order_id":"a1","total":1e999999999999`, `payload.total: is a number with an exponent beyond 1000`},
		{"a hostile number", `"order_id":"a1","total":` + strings.Repeat("1", 1001), `payload.total: is a number of more than 1000 digits`},
		{"deep", `"order_id":"a1","total":1,"some":` + strings.Repeat("[", 600) + strings.Repeat("]", 600), `nested more than 500 deep`},
		{"wide", `"order_id":"a1","total":1,"some":[` + strings.Repeat("1,", 50_000) + `1]`, `is where there are more than 50000 values`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wants(t, set.Check(Event{"OrderPlaced", 2}, []byte("{"+tt.members+"}")), tt.want, " (OrderPlaced version 2)")
		})
	}
}

// wants compares an error with a text, which it may have more around if that is not a path.
func wants(t *testing.T, err error, want, end string) {
	t.Helper()
	switch {
	case want == "" && err == nil:
	case want == "":
		t.Error(err)
	case err == nil:
		t.Errorf("no error, must be %s", want)
	case strings.HasPrefix(want, "payload") && err.Error() != want+end, !strings.Contains(err.Error(), want):
		t.Errorf("error is\n%s, must be\n%s", err, want+end)
	}
}

func TestCheck_eventsAndPayloads(t *testing.T) {
	t.Parallel()
	one := `{"x-event":{"type":"A","version":1}}`
	set := load(t, "1.json", one, "3.json", strings.Replace(one, "1", "3", 1), "b.json", strings.Replace(one, "A", "B", 1),
		"notes.txt", "no schema")
	if set.Len() != 3 {
		t.Errorf("%d schemas, must be 3", set.Len())
	}
	for _, tt := range []struct {
		event         Event
		payload, want string
	}{
		{Event{"A", 1}, `{"any":[1]}`, ""},
		{Event{"A", 2}, `1`, "A version 2 has no schema in " + set.folder + ", which has versions 1 and 3"},
		{Event{"B", 2}, `1`, "B version 2 has no schema in " + set.folder + ", which has version 1"},
		{Event{"C", 2}, `1`, "C version 2 has no schema in " + set.folder + ", nor has any other version of it"},
		{Event{"A", 1}, ``, "payload: is missing (A version 1)"},
		{Event{"A", 1}, "\x01\x02", "payload: is not JSON, and only JSON fits a schema (A version 1)"},
		{Event{"A", 1}, "\"\xff\"", "payload: is not valid UTF-8 (A version 1)"},
	} {
		wants(t, set.Check(tt.event, []byte(tt.payload)), tt.want, "")
	}
}

// TestCheck_placesDoNotMove wants the places of faults in members beside each other, in any order of a map.
func TestCheck_placesDoNotMove(t *testing.T) {
	t.Parallel()
	set := load(t, "a.json", `{"x-event":{"type":"A","version":1},"additionalProperties":{
		"propertyNames":{"maxLength":1},"additionalProperties":{"contentMediaType":"application/json","contentSchema":false}}}`)
	for range 50 {
		err := set.Check(Event{"A", 1}, []byte(`{"a":{"b":"1","cc":1},"d":{},"e":{}}`))
		const want = `payload.a: has the member "cc", a name that is not allowed; ` +
			`payload.a.b: contains what does not fit its contentSchema (A version 1)`
		if err == nil || err.Error() != want {
			t.Fatalf("error is %v, must be %s", err, want)
		}
	}
}

func TestLoad_refuses(t *testing.T) {
	t.Parallel()
	const head = `{"x-event":{"type":"A","version":1},`
	for _, tt := range []struct{ name, text, want string }{
		{"syntax", "{\n\n\"a\" 1}", `a.json:3: is not valid JSON: invalid character '1' after object key`},
		{"encoding", "\"\xff\"", `a.json: is not valid UTF-8`},
		{"twice", head + `"properties":{"a":{},"a":{}}}`, `a.json: properties.a: is given twice`},
		{"no object", `true`, `a.json: is not an object with a schema and "x-event"`},
		{"no event", `{"type":"object"}`, `a.json: has no member x-event, which says what events it is for: add "x-event": {`},
		{"event", `{"x-event":"A"}`, `a.json: x-event: is not an object: write`},
		{"type of event", `{"x-event":{"type":"","version":1}}`, `a.json: x-event.type: is not the type of an event`},
		{"version", `{"x-event":{"type":"A","version":0}}`, `a.json: x-event.version: is not a number from 1 to 2147483647`},
		{"fraction", `{"x-event":{"type":"A","version":1.5}}`, `x-event.version: is not a number`},
		{"more of event", `{"x-event":{"type":"A","version":1,"kind":1}}`, `a.json: x-event.kind: is not known`},
		{"draft", head + `"$schema":"http://json-schema.org/draft-07/schema#"}`, `a.json: $schema: is another dialect of schemas: only draft 2020-12`},
		{"keyword", head + `"properties":{"a":{"type":"text"}}}`, `a.json: properties.a.type: `},
		{"keyword's type", head + `"required":"a"}`, `a.json: required: is a string, not an array`},
		{"http", head + `"$ref":"https://example.com/a.json"}`, `a.json: refers to https://example.com/a.json: a schema may only refer to itself and to files of its folder, nothing is fetched`},
		{"file", head + `"$ref":"file:///etc/passwd"}`, `a.json: refers to file:///etc/passwd: a schema may only`},
		{"folder above", head + `"$ref":"../../etc/passwd"}`, `a.json: refers to etc/passwd, which is not in the folder`},
		{"the draft", head + `"$ref":"https://json-schema.org/draft/2020-12/schema"}`, `a.json: refers to https://json-schema.org/draft/2020-12/schema: a schema may only`},
		{"absent", head + `"$ref":"#/$defs/b"}`, `a.json: refers to a.json#/$defs/b, which is not there`},
		{"absent anchor", head + `"$ref":"#b"}`, `a.json: refers to a.json#b, which is not there`},
		{"look-ahead", head + `"pattern":"^(?=a)"}`, `which have no look-ahead and no references back: `},
		{"look-ahead of names", head + `"patternProperties":{"^(?=a)":{}}}`, `which have no look-ahead and no references back: `},
		{"long pattern", head + `"pattern":"` + strings.Repeat("a", 10_001) + `"}`, `more than 10000 bytes`},
		{"large pattern", head + `"pattern":"` + strings.Repeat("a{1000}", 20) + `"}`, `a regular expression that is too large`},
		{"itself", head + `"$ref":"#"}`, `a.json: a.json# applies itself to the same value again, without end`},
		{"a circle", head + `"$ref":"#/$defs/a","$defs":{"a":{"allOf":[{"$ref":"#/$defs/b"}]},"b":{"not":{"$ref":"#/$defs/a"}}}}`, `applies itself to the same value again`},
		{"deep", head + `"not":` + strings.Repeat(`{"not":`, 100) + `{}` + strings.Repeat("}", 101), `is nested more than 100 deep`},
		{"many values", head + `"enum":[` + strings.Repeat("1,", 20_000) + `1]}`, `more than 20000 values`},
		{"large enum", head + `"enum":[` + strings.Repeat("1,", 1000) + `1]}`, `a.json: enum: has more than 1000 values`},
		{"large length", head + `"minLength":18446744073709551616}`, `a.json: minLength: is larger than 2147483647`},
		{"large", head + `"title":"` + strings.Repeat("a", 1<<20) + `"}`, `a.json: has 1048`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := Load(folder(t, "a.json", tt.text))
			var file *FileError
			if !errors.As(err, &file) {
				t.Fatalf("error is %v, must be a FileError", err)
			}
			wants(t, err, tt.want, "")
			if strings.Contains(err.Error(), base) {
				t.Errorf("error has a URL of the compiler: %v", err)
			}
		})
	}
}

func TestLoad_refusesFolders(t *testing.T) {
	t.Parallel()
	const a = `{"x-event":{"type":"A","version":1}}`
	for _, tt := range []struct{ folder, want string }{
		{folder(t, "a.json", a, "b.json", a), "b.json: is for A version 1, as a.json is: remove one of them"},
		{folder(t, "a.txt", a), "has no schemas"},
		{filepath.Join(t.TempDir(), "absent"), "no such file"},
		{filepath.Join(folder(t, "a.json", a), "a.json"), "is not a folder of schemas"},
	} {
		_, err := Load(tt.folder)
		wants(t, err, tt.want, "")
	}
	within := folder(t, "a.json", a)
	if err := os.Mkdir(filepath.Join(within, "b.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := Load(within)
	wants(t, err, "b.json: is a folder, not a file", "")
}

// TestLoad_schemasReferToEachOther also has a file whose name is no URL, and a dynamic reference.
func TestLoad_schemasReferToEachOther(t *testing.T) {
	t.Parallel()
	set := load(t,
		"a b%.json", `{"x-event":{"type":"A","version":1},"properties":{"m":{"$ref":"b.json#/$defs/money"}}}`,
		"b.json", `{"x-event":{"type":"B","version":1},"$defs":{"money":{"type":"integer"}},"properties":{"a":{"$ref":"a%20b%25.json"}}}`,
		"c.json", `{"x-event":{"type":"C","version":1},"$dynamicAnchor":"n","items":{"$dynamicRef":"#n"},"type":"array","maxItems":2}`)
	wants(t, set.Check(Event{"B", 1}, []byte(`{"a":{"m":"1"}}`)), "payload.a.m: is a string, not a whole number (B version 1)", "")
	wants(t, set.Check(Event{"C", 1}, []byte(`[[],[[],[[],[],[]]]]`)), "payload[1][1]: has more than 2 elements (C version 1)", "")
}

// TestCheck_workIsBounded has schemas whose parts double with each level of the payload or of the schema.
func TestCheck_workIsBounded(t *testing.T) {
	t.Parallel()
	chain := ""
	for i := range 60 {
		chain += fmt.Sprintf(`"d%d":{"allOf":[{"$ref":"#/$defs/d%d"},{"$ref":"#/$defs/d%d"}]},`, i, i+1, i+1)
	}
	nested := strings.Repeat(`{"x":`, 60) + "1" + strings.Repeat("}", 60)
	for _, tt := range []struct{ name, schema, payload string }{
		{"levels of the payload", `"type":"object","allOf":[{"properties":{"x":{"$ref":"#"}}},{"properties":{"x":{"$ref":"#"}}}]`, nested},
		{"not", `"type":"object","not":{"not":{"patternProperties":{"x":{"$ref":"#"},"^x":{"$ref":"#"}}}}`, nested},
		{"contains", `"type":"array","contains":{"$ref":"#"},"items":{"$ref":"#"}`, strings.Repeat("[", 60) + "1" + strings.Repeat("]", 60)},
		{"levels of the schema", `"$ref":"#/$defs/d0","$defs":{` + chain + `"d60":{"type":"string"}}`, `1`},
		{"alternatives", `"$ref":"#/$defs/d0","$defs":{` + strings.ReplaceAll(chain, "allOf", "anyOf") + `"d60":{"type":"string"}}`, `1`},
		{
			"expressions over names", `"patternProperties":{"(a|aa|aaa){300}x":{},"(a|aa|aaaa){300}x":{}}`,
			`{"` + strings.Repeat("a", 4_000_000) + `":1}`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			set := load(t, "a.json", `{"x-event":{"type":"A","version":1},`+tt.schema+`}`)
			if tt.name != "not" {
				set.work.most /= 10 // the others take seconds
			}
			wants(t, set.Check(Event{"A", 1}, []byte(tt.payload)), "takes too much work to check: ", "")
		})
	}
}

// TestCheck_largestPayloads has as many faults as a payload may have values.
func TestCheck_largestPayloads(t *testing.T) {
	t.Parallel()
	set := load(t, "a.json", `{"x-event":{"type":"A","version":1},"items":{"type":"string"}}`)
	err := set.Check(Event{"A", 1}, []byte(`[`+strings.Repeat("1,", PayloadValuesMax-2)+`1]`))
	wants(t, err, "payload[0]: is a number, not a string; payload[1]: is a number, not a string; payload[2]: "+
		"is a number, not a string; and 49996 more (A version 1)", "")
}
