package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/internal/guestbuild"
	"github.com/pupwasm/pupwasm/internal/testwait"
)

// TestVersions_thePageIsTrue runs the commands of docs/versions.md, one after the other. What changes something prints
// at once what the page has, and what looks does so in the end.
func TestVersions_thePageIsTrue(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(guestbuild.Root(t), "docs", "versions.md"))
	if err != nil {
		t.Fatal(err)
	}
	steps := pageSteps(string(page))
	if len(steps) < 15 {
		t.Fatalf("the page has %d commands", len(steps))
	}
	s := startShell(t, balanceFolder(t))
	for _, step := range steps {
		var got string
		matches := func() bool {
			got = s.run(step.command)
			return step.want.MatchString(plainOutput(got))
		}
		once := strings.HasPrefix(step.command, "pupwasm promote") || strings.HasPrefix(step.command, "pupwasm rollback") ||
			strings.HasPrefix(step.command, "pupwasm append") || strings.HasPrefix(step.command, "pupwasm rebuild")
		if !once {
			testwait.Until(t, "$ "+step.command+" prints what the page has, "+step.text, matches)
		} else if !matches() {
			t.Fatalf("$ %s\nprints\n%s\nthe page has\n%s", step.command, got, step.text)
		}
	}
}

// balanceFolder is where the example is set.
func balanceFolder(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	if err := os.Mkdir(filepath.Join(folder, "modules"), 0o755); err != nil {
		t.Fatal(err)
	}
	var events strings.Builder
	for _, event := range []struct {
		customer, kind string
		cents          int
	}{{"ann", "Paid", 300}, {"bob", "Paid", 500}, {"ann", "Refunded", 100}, {"eve", "Paid", 50}, {"bob", "Paid", 20}} {
		fmt.Fprintf(&events, `{"bounded_context":"Shop","aggregate_type":"Customer","aggregate_id":%q,"event_type":%q,`+
			`"payload":{"cents":%d}}`+"\n", event.customer, event.kind, event.cents)
	}
	files := map[string][]byte{"events.jsonl": []byte(events.String())}
	for version, name := range []string{"modules/balance.wasm", "balance_2.wasm", "balance_3.wasm"} {
		files[name] = guestbuild.Example(t, guestbuild.Auto, fmt.Sprintf("testdata/balance_%d", version+1))
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}
