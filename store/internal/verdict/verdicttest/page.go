// Package verdicttest compares the tables of the drivers with docs/errors.md.
package verdicttest

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the tables of docs/errors.md")

// Page compares a table with that of a driver in docs/errors.md, between two marks, or writes it there. The test runs
// in the driver's folder.
func Page(t *testing.T, driver, table string) {
	t.Helper()
	path := filepath.Join("..", "..", "docs", "errors.md")
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	mark := "<!-- " + driver + " -->\n"
	before, rest, found := strings.Cut(string(page), mark)
	written, after, ends := strings.Cut(rest, "<!-- end -->\n")
	switch {
	case !found || !ends:
		t.Fatalf("%s lacks %q, or its end", path, mark)
	case written == table:
	case *update:
		if err := os.WriteFile(path, []byte(before+mark+table+"<!-- end -->\n"+after), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s is not as the code is: go test ./store/%s -run TestVerdicts -update", path, driver)
	}
}
