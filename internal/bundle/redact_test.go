package bundle_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/internal/bundle"
	"github.com/pupwasm/pupwasm/store"
)

// people declares a table with a column of every type.
func people(t testing.TB) *store.Projection {
	t.Helper()
	column := func(name, of string) store.Column {
		parsed, err := store.ParseType(of)
		if err != nil {
			t.Fatal(err)
		}
		return store.Column{Name: name, Type: parsed}
	}
	id, place := column("id", "text"), column("place", "i64")
	id.Partition = true
	return &store.Projection{
		Name: "people", Version: 1, Partition: &store.Partition{By: store.PartitionMetadata, Path: []string{"person", "id"}},
		Tables: []store.Table{{
			Name: "people", Key: []string{"id", "place"}, Columns: []store.Column{
				id, place, column("name", "text"), column("born", "i64"), column("owes", "numeric"), column("ok", "bool"),
				column("person_card", "uuid"), column("photo", "bytes"), column("mails", "text[]"), column("person", "json"),
				column("notes", "json[]"), column("town", "text"),
			},
		}},
	}
}

func TestRedact_valuesOfEveryType(t *testing.T) {
	t.Parallel()
	b := sample()
	b.Events[0].Payload = []byte(`{"person": {"name" : "Änne \"B\"", "born":1999.50, "ok":true, "owes":null}, "n\u0061me":"x", "town":"Ulm"}`)
	b.Events[0].Metadata = []byte(`{"person":[{"name":["Änne \"B\"",{"a":"b","c":[1]}]},{"name":2}],"name":{}}`)
	b.Rows = []bundle.Row{{Table: "people", Values: []byte(`{"id":"name","place":1,"name":"Anne","born":1999,"owes":"12.50","ok":true,` +
		`"person_card":"01000000-0000-0000-0000-000000000000","photo":"AP8=","mails":["a@b",null],"person":"{\"name\":\"Anne\",\"age\":7}",` +
		`"notes":["{\"person\":{\"name\":\"Anne\"}}",null],"town":"Ulm"}`)}}
	b.Fault.Error = `no place for Anne (person 01000000-0000-0000-0000-000000000000, 1999, Annette) in Ulm`
	fields := []string{"person.name", "born", "owes", "ok", "person.card", "photo", "mails", "person.born"}
	if err := b.Redact(fields, people(t)); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][2]string{
		{string(b.Events[0].Payload), `{"person": {"name" : "redacted", "born":0, "ok":true, "owes":null}, "n\u0061me":"x", "town":"Ulm"}`},
		{string(b.Events[0].Metadata), `{"person":[{"name":["redacted",{"a":"redacted","c":[0]}]},{"name":0}],"name":{}}`},
		{string(b.Rows[0].Values), `{"id":"name","place":1,"name":"redacted","born":0,"owes":"0","ok":false,` +
			`"person_card":"00000000-0000-0000-0000-000000000000","photo":"","mails":["redacted",null],"person":"{\"name\":\"redacted\",\"age\":7}",` +
			`"notes":["{\"person\":{\"name\":\"redacted\"}}",null],"town":"Ulm"}`},
		{b.Fault.Error, `no place for redacted (person 00000000-0000-0000-0000-000000000000, 0, Annette) in Ulm`},
		{strings.Join(b.Redacted, " "), strings.Join(fields, " ")},
	} {
		if c[0] != c[1] {
			t.Errorf("redacted is\n%s\nwant\n%s", c[0], c[1])
		}
	}
	if err := b.Redact([]string{"name"}, people(t)); err != nil || !strings.Contains(string(b.Events[0].Payload), `"n\u0061me":"redacted"`) {
		t.Errorf("an escaped name: %s, %v", b.Events[0].Payload, err)
	}
}

// TestRedact_valuesThatTheErrorHasCutOff has an error name values as a rejected row does.
func TestRedact_valuesThatTheErrorHasCutOff(t *testing.T) {
	t.Parallel()
	name := `Anne Marie "B" ` + strings.Repeat("x", 100)
	for text, want := range map[string]string{
		`column name is Anne Marie… (115 bytes)`:             `column name is redacted… (115 bytes)`,
		`column name is "Anne Marie \"B\" xx"… (115 bytes)`:  `column name is "redacted"… (115 bytes)`,
		`name "Anne Marie"… and again 'Anne Mar'…, Ulm`:      `name "redacted"… and again 'redacted'…, Ulm`,
		`Key (name)=(` + name[:40] + `…`:                     `Key (name)=(redacted…`,
		`name "` + strings.ReplaceAll(name, `"`, `\"`) + `"`: `name "redacted"`,
		`Joanne…, An…, Marie…, …`:                            `Joanne…, An…, Marie…, …`,
	} {
		b := sample()
		b.Events[0].Payload, _ = json.Marshal(map[string]string{"name": name})
		b.Rows, b.Fault.Error = nil, text
		if err := b.Redact([]string{"name"}, people(t)); err != nil || b.Fault.Error != want {
			t.Errorf("%v, the error is\n%s\nwant\n%s", err, b.Fault.Error, want)
		}
	}
}

func TestRedact_refuses(t *testing.T) {
	t.Parallel()
	for field, want := range map[string]string{
		"person.id":         "is or has the partition key (metadata",
		"person":            "is or has the partition key",
		"person.id.country": "is or has the partition key",
		"id":                "is column id of table people, which holds the partition key",
		"home.place":        "is key column place of table people",
		"":                  "is no path",
		"a.":                "is no path",
		"nowhere":           "is in no event and in no row",
	} {
		b := sample()
		b.Rows = nil
		if err := b.Redact([]string{field}, people(t)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("field %q: error is %v, want %q", field, err, want)
		}
	}
	b := sample()
	b.Rows, b.Events[1].Payload = nil, []byte("{")
	if err := b.Redact([]string{"cents"}, people(t)); err == nil || !strings.Contains(err.Error(), "event 9007199254740993: its payload is no JSON") {
		t.Errorf("a payload that is no JSON: %v", err)
	}
}

// FuzzRedact has payloads in which a field is replaced: what comes of it is JSON with the same members, and without
// the field's texts.
func FuzzRedact(f *testing.F) {
	f.Add(`{"a":{"b":"secret","c":1},"b":[{"b":"secret"}]}`, "a.b")
	f.Add(` [ { "a" : [ [ ] , -1e5 , "\"" , true , null ] } , "a" ] `, "a")
	f.Add(`"secret"`, "a")
	f.Fuzz(func(t *testing.T, payload, field string) {
		if !json.Valid([]byte(payload)) {
			return
		}
		b := sample()
		b.Rows, b.Events[0].Payload = nil, []byte(payload)
		if b.Redact([]string{field}, &store.Projection{Name: "any", Version: 1}) != nil {
			return
		}
		var before, after any
		if err := json.Unmarshal(b.Events[0].Payload, &after); err != nil {
			t.Fatalf("%s becomes %s: %v", payload, b.Events[0].Payload, err)
		}
		if json.Unmarshal([]byte(payload), &before) == nil && shape(before) != shape(after) {
			t.Errorf("%s becomes %s", payload, b.Events[0].Payload)
		}
	})
}

// shape is a value of JSON without its texts, numbers and booleans.
func shape(v any) string {
	blank := func(v any) any {
		switch v.(type) {
		case string:
			return ""
		case float64:
			return 0
		case bool:
			return false
		}
		return nil
	}
	var walk func(v any) any
	walk = func(v any) any {
		switch v := v.(type) {
		case map[string]any:
			for name := range v {
				v[name] = walk(v[name])
			}
			return v
		case []any:
			for i := range v {
				v[i] = walk(v[i])
			}
			return v
		}
		return blank(v)
	}
	text, _ := json.Marshal(walk(v))
	return string(text)
}
