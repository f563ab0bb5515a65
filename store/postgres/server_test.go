package postgres_test

import (
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/store/postgres"
)

// TestServer_whatIsRefused has what servers say of themselves.
func TestServer_whatIsRefused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		version, cockroach, want string
	}{
		{"15.14 (Debian 15.14-0+deb12u1)", "", ""},
		{"14.0", "", ""},
		{"18beta1", "", ""},
		{"", "", ""}, // a pooler that keeps it to itself
		{"13.20", "", "the server is PostgreSQL 13.20, pupwasm needs 14 or later"},
		{"9.6.24", "", "the server is PostgreSQL 9.6.24, pupwasm needs 14 or later"},
		{"13.0.0", "CockroachDB CCL v24.1.0", "the server is CockroachDB (CockroachDB CCL v24.1.0), whose " +
			"advisory locks hold nothing"},
	} {
		err := postgres.CheckServer(func(name string) string {
			return map[string]string{"server_version": test.version, "crdb_version": test.cockroach}[name]
		})
		if test.want == "" && err != nil || test.want != "" &&
			(err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%q: %v, must say %q", test.version, err, test.want)
		}
	}
}
