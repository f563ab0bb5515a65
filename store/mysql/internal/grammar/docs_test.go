package grammar_test

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/store/mysql/internal/grammar"
)

// TestDocs_nameTheFunctions compares the page for authors with the list.
func TestDocs_nameTheFunctions(t *testing.T) {
	t.Parallel()
	want := slices.Sorted(maps.Keys(grammar.Functions()))
	if got := strings.Fields(documented(t, "mariadb functions")); !slices.Equal(got, want) {
		t.Errorf("the page names\n%s\nand the list is\n%s", strings.Join(got, " "), strings.Join(want, " "))
	}
}

// TestDocs_statementsAreTaken reads those of the page.
func TestDocs_statementsAreTaken(t *testing.T) {
	t.Parallel()
	for statement := range strings.SplitSeq(documented(t, "statements of MariaDB"), ";") {
		statement = strings.ReplaceAll(strings.TrimPrefix(strings.TrimSpace(statement), "sql\n"), "{total}", "`p`.`total`")
		if statement == "" {
			continue
		}
		if _, err := grammar.Check(statement, grammar.Tables{Database: "p", Names: []string{"total"}}); err != nil {
			t.Errorf("%s: %v", statement, err)
		}
	}
}

// documented is a block of the page for authors.
func documented(t *testing.T, note string) string {
	t.Helper()
	page, err := os.ReadFile("../../../../docs/sql.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "<!-- "+note+" -->")
	block, _, found := strings.Cut(rest, "<!-- end -->")
	if !found {
		t.Fatalf("the page has no %s between its marks", note)
	}
	return strings.ReplaceAll(block, "```", "")
}
