package eventschema_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/internal/eventschema"
	"github.com/pupwasm/pupwasm/internal/guestbuild"
)

// TestCheck_generatedSchemas checks what encoding/json writes of structs by the schemas that 'pupwasm gen events' writes of
// them.
func TestCheck_generatedSchemas(t *testing.T) {
	t.Parallel()
	typed := filepath.Join(guestbuild.Root(t), "guest-sdk", "typed")
	set, err := eventschema.Load(filepath.Join(typed, "internal", "sample", "schema"))
	if err != nil {
		t.Fatal(err)
	}
	everything, err := os.ReadFile(filepath.Join(typed, "testdata", "everything.json"))
	if err != nil {
		t.Fatal(err)
	}
	changed := func(old, with string) string {
		text := strings.Replace(string(everything), old, with, 1)
		if text == string(everything) {
			t.Fatalf("everything.json has no %s", old)
		}
		return text
	}
	for _, c := range []struct {
		eventschema.Event
		payload, want string // part of the error, or nothing
	}{
		{eventschema.Event{Type: "Everything", Version: 1}, string(everything), ""},
		{eventschema.Event{Type: "Everything", Version: 1}, changed(`"int8":-128`, `"int8":-129`), "payload.int8"},
		{eventschema.Event{Type: "Everything", Version: 1}, changed(`18446744073709551615`, `18446744073709551616`), "payload.uint64"},
		{eventschema.Event{Type: "Everything", Version: 1}, changed(`"price":12.50`, `"price":12.505`), "payload.price"},
		{eventschema.Event{Type: "Everything", Version: 1}, changed(`"bytes":"AAH/"`, `"bytes":"%"`), "payload.bytes"},
		{eventschema.Event{Type: "Everything", Version: 1}, changed(`"bytes":"AAH/"`, `"bytes":null`), ""},
		{eventschema.Event{Type: "Everything", Version: 1}, changed(`"at":"2026`, `"at":"26`), "payload.at"},
		{eventschema.Event{Type: "Everything", Version: 1}, changed(`"text":`, `"txt":`), "payload.txt"},
		{eventschema.Event{Type: "Placed", Version: 2}, `{"customer":{"name":"ann"},"lines":[{"article":"tea","price":-0.29,"note":null}]}`, ""},
		{eventschema.Event{Type: "Placed", Version: 2}, `{"customer":{"name":"ann"},"lines":null}`, ""},
		{eventschema.Event{Type: "Placed", Version: 2}, `{"customer":{"name":1}}`, "payload.customer.name"},
		{eventschema.Event{Type: "Noted", Version: 2}, `"a b"`, ""},
		{eventschema.Event{Type: "Placed", Version: 3}, `{}`, "1 and 2"},
	} {
		err := set.Check(c.Event, []byte(c.payload))
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %.300s: %v, want %q", c.Event, c.payload, err, c.want)
		}
	}
}
