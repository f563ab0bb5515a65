package cases

import (
	"testing"

	"github.com/pupwasm/pupwasm/internal/settings"
	"github.com/pupwasm/pupwasm/store"
)

// TestYAMLValue_isWhatTheValueWas reads values of JSON columns again that have escapes which YAML does not know.
func TestYAMLValue_isWhatTheValueWas(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{"a":1}`, `{"a":"\ud83d\ude00","b\/":"\/"}`, "[\"\u0085\u2028\", \"\ufeff\"]", `"a: b # c"`, `{"":[]}`, `{"a":{"b":[1.50,1e400,-0]}}`,
		`["null",true,"true","1"]`, `{"a":"\u007f\u0000"}`, `"\ud800"`,
	} {
		v := store.BytesOf(store.KindJSON, []byte(text))
		top, err := settings.ParseWithin("f", []byte("rows: [{v: "+yamlValue(v)+", w: 1}]\n"), bounds)
		if err != nil {
			t.Errorf("%s is %s: %v", text, yamlValue(v), err)
			continue
		}
		if got := appendJSON(nil, &top.Members[0].List[0].Map.Members[0]); !sameJSON(got, []byte(text)) {
			t.Errorf("%s is %s, read as %s", text, yamlValue(v), got)
		}
	}
}

func TestWithoutModule_keepsOtherErrors(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"module a b.wasm at event 3 of Shop/User/ann: no": "at event 3 of Shop/User/ann: no",
		"the module fails at event 3":                     "the module fails at event 3",
		"module a.wasm traps":                             "module a.wasm traps",
	} {
		if got := withoutModule(text); got != want {
			t.Errorf("%q is %q", text, got)
		}
	}
}
