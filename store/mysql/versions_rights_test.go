package mysql_test

import (
	"testing"

	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
)

// TestVersions_ofAUserOfItsOwn has a host with no rights but those of GrantSQL, and an administrator promote in between.
func TestVersions_ofAUserOfItsOwn(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	db, admin := at.Connect(t), open(t, at.URL, mysql.Options{})
	reader(t, at, db, "hosts_versions")
	execute(t, db, mysql.GrantSQL(at.Name, store.DefaultSchema, "sums", "hosts_versions"))
	s := open(t, at.Server.URLAs("hosts_versions", "", at.Name), mysql.Options{})
	versions(t, db, at, s, 1, 2)
	for _, host := range []mysql.Backend{s, admin, s} {
		for _, version := range []int{2, 1} {
			promote(t, host, version)
			if got := wantOneVersion(t, db, at); got != version {
				t.Errorf("version %d is live, want %d", got, version)
			}
			if _, err := host.Install(t.Context(), shown(1), 2); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Retire(t.Context(), sumsOf(2)); err != nil {
		t.Fatal(err)
	}
	wantPlaces(t, db, at, "sums; sums__v1")
	if err := s.Reset(t.Context(), "sums"); err != nil {
		t.Fatal(err)
	}
	wantPlaces(t, db, at, "")
}
