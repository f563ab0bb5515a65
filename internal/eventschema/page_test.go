package eventschema_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/internal/eventschema"
	"github.com/pupwasm/pupwasm/internal/guestbuild"
	"github.com/pupwasm/pupwasm/internal/pages"
)

// TestPage_schemaRefuses checks payloads by the schema of docs/running.md, and compares the errors with those that it shows.
func TestPage_schemaRefuses(t *testing.T) {
	t.Parallel()
	page, err := pages.Read(guestbuild.Root(t), "docs/running.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := map[string]string{}
	for _, block := range page.Blocks {
		blocks[block.Note] = block.Text
	}
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "order.json"), []byte(blocks["schema"]), 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := eventschema.Load(folder)
	if err != nil {
		t.Fatal(err)
	}
	placed := eventschema.Event{Type: "OrderPlaced", Version: 2}
	if err := set.Check(placed, []byte(`{"order_id":"o1","total":9007199254740993,"lines":[{"price":12.5}]}`)); err != nil {
		t.Error(err)
	}
	shown := strings.Split(strings.TrimSpace(blocks["refused by the schema"]), "\n")
	for i, payload := range []string{
		`{"order_id":"o1","total":1,"lines":[{},{},{"price":"1"}]}`, `{"order_id":"o1","totl":1}`,
	} {
		err := set.Check(placed, []byte(payload))
		if err == nil || len(shown) != 2 || !strings.HasSuffix(shown[i], ": "+err.Error()) {
			t.Errorf("%s: %v, the page has %q", payload, err, shown)
		}
	}
}
