package grammar_test

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/store/postgres/internal/grammar"
)

// TestDocs_nameTheFunctions compares the page for authors with the list.
func TestDocs_nameTheFunctions(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../../docs/sql.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "<!-- functions -->")
	block, _, found := strings.Cut(rest, "<!-- end -->")
	if !found {
		t.Fatal("the page has no list between its marks")
	}
	want := slices.Sorted(maps.Keys(grammar.Functions()))
	if got := strings.Fields(strings.ReplaceAll(block, "```", "")); !slices.Equal(got, want) {
		t.Errorf("the page names\n%s\nand the list is\n%s", strings.Join(got, " "), strings.Join(want, " "))
	}
}
