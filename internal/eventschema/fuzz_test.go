package eventschema

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzCheck loads any schema and checks any payload by it. Both end in a bounded time, without a panic, with one line.
func FuzzCheck(f *testing.F) {
	const head = `{"x-event":{"type":"A","version":1},`
	for _, schema := range []string{
		order,
		head + `"$ref":"#"}`,
		head + `"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}},"allOf":[{"$ref":"#/$defs/a"}]}`,
		head + `"$dynamicAnchor":"n","items":{"$dynamicRef":"#n"},"unevaluatedItems":false}`,
		head + `"$id":"https://example.com/","$anchor":"a","properties":{"x":{"$id":"b","$ref":"/#a"}}}`,
		head + `"if":{"const":1e1000},"then":{"multipleOf":1e-1000},"else":{"dependentSchemas":{"a":false}}}`,
		head + `"allOf":[{"properties":{"x":{"$ref":"#"}}},{"properties":{"x":{"$ref":"#"}}}]}`,
		head + `"contentMediaType":"application/json","contentSchema":{"$ref":"#"},"format":"regex"}`,
		head + `"contentEncoding":"base64","contains":{"type":["null"]},"minContains":2,"propertyNames":{"pattern":"^(a*)*$"}}`,
		head + `"dependencies":{"a":["b"],"c":{"$ref":"#/$defs/"}},"$defs":{"":{"$schema":"https://json-schema.org/draft/2020-12/schema"}}}`,
	} {
		for _, payload := range []string{
			`{"order_id":"a1","total":12.50,"lines":[{"price":"1"}],"next":{"next":7},"pay":{"kind":"cash"}}`,
			`1e1000`, `9007199254740993`, `[[[1]],null]`, `"\"{\\\"a\\\":1}\""`, `{"a":1,"x":{"x":{"x":1}},"c":{}}`,
			strings.Repeat("[", 400) + strings.Repeat("]", 400),
		} {
			f.Add([]byte(schema), []byte(payload))
		}
	}
	f.Fuzz(func(t *testing.T, schema, payload []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "a.json"), schema, 0o600); err != nil {
			t.Fatal(err)
		}
		set, err := Load(dir)
		if err != nil {
			if err.Error() == "" || strings.Contains(err.Error(), base) {
				t.Errorf("error is %q", err)
			}
			return
		}
		for event := range set.schemas {
			if err := set.Check(event, payload); err != nil && (err.Error() == "" || len(err.Error()) > 200_000) {
				t.Errorf("error is %q", err)
			}
		}
	})
}
