package host

import (
	"strings"
	"testing"
)

// TestParseDescription_namesWhatReplacesDDL has a module of before, whose tables brought their own CREATE TABLE.
func TestParseDescription_namesWhatReplacesDDL(t *testing.T) {
	t.Parallel()
	_, err := parseDescription([]byte(`{"name":"old","version":1,"tables":[{"name":"t","columns":[{"name":"id","type":"i64"}],"ddl":"CREATE TABLE {t} (id bigint)"}]}`))
	if err == nil || strings.Contains(err.Error(), "\n") {
		t.Fatalf("%v, want one line", err)
	}
	for _, word := range []string{`"ddl"`, `"generated"`, `"checks"`, `"views"`, "docs/sql.md"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %s", err, word)
		}
	}
}
