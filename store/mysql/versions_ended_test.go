package mysql_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
)

// dying runs what a host does, until that has no statement more at which it could end. Each time check comes after it.
func dying(t *testing.T, at mariadbtest.Database, do func(s mysql.Backend) error, check func()) {
	t.Helper()
	for _, after := range []bool{false, true} {
		for n := 1; ; n++ {
			host := &mysql.Dying{At: n, After: after}
			s, err := mysql.OpenDying(at.URL, mysql.Options{}, host)
			if err != nil {
				t.Fatal(err)
			}
			err = do(s)
			s.Close()
			if died := host.Died(); !died && err != nil {
				t.Fatalf("the host that does not end: %v", err)
			} else if died && err == nil && n == 1 {
				t.Errorf("it ended at its first statement, and succeeds")
			}
			check()
			if t.Failed() {
				t.Fatalf("after the host ended at statement %d (%t)", n, after)
			}
			if !host.Died() {
				t.Logf("it ended at each of %d statements", n-1)
				break
			}
		}
	}
}

// TestPromote_aHostThatEnds ends a host at each statement of a promotion. What readers see is of one version, and
// whoever comes next says the same.
func TestPromote_aHostThatEnds(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	db, s := at.Connect(t), open(t, at.URL, mysql.Options{})
	versions(t, db, at, s, 1, 2)
	live := 1
	place := at.Name + "__sums"
	dying(t, at, func(host mysql.Backend) error {
		_, err := host.Promote(t.Context(), sumsOf(3-live))
		return err
	}, func() {
		seen := text(t, db, fmt.Sprintf("SELECT t.name, s.name FROM %[1]s.total AS t, %[1]s.seen AS s", place))
		if seen != "v1 v1" && seen != "v2 v2" {
			t.Errorf("readers see %q", seen)
		}
		if _, err := s.Install(t.Context(), shown(1), 2); err != nil {
			t.Error(err)
		}
		live = wantOneVersion(t, db, at)
		if want := fmt.Sprintf("v%[1]d v%[1]d", live); seen != want {
			t.Errorf("version %d is live, readers have seen %q", live, seen)
		}
		promote(t, s, 3-live)
		live = wantOneVersion(t, db, at)
		wantPlaces(t, db, at, "sums; sums__v1; sums__v2")
	})
}

// TestReset_aHostThatEnds ends a host at each statement of a reset. Another reset ends it.
func TestReset_aHostThatEnds(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	db, s := at.Connect(t), open(t, at.URL, mysql.Options{})
	versions(t, db, at, s, 1, 2)
	dying(t, at, func(host mysql.Backend) error { return host.Reset(t.Context(), "sums") }, func() {
		err := s.Reset(t.Context(), "sums")
		var input *store.InputError
		if err != nil && !errors.As(err, &input) {
			t.Error(err)
		}
		wantPlaces(t, db, at, "")
		wantText(t, db, "SELECT count(*) FROM pupwasm__projections", "0")
		versions(t, db, at, s, 1, 2)
		wantOneVersion(t, db, at)
	})
}

// TestRetire_aHostThatEnds ends a host at each statement of a retirement. Another one ends it, or an install.
func TestRetire_aHostThatEnds(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	db, s := at.Connect(t), open(t, at.URL, mysql.Options{})
	versions(t, db, at, s, 1, 2)
	dying(t, at, func(host mysql.Backend) error { return host.Retire(t.Context(), sumsOf(2)) }, func() {
		wantOneVersion(t, db, at)
		_, err := s.Install(t.Context(), shown(1), 2)
		if err != nil {
			t.Error(err)
		}
		if left := text(t, db, "SELECT count(*) FROM pupwasm__projections"); left == "1" {
			wantPlaces(t, db, at, "sums; sums__v1")
			versions(t, db, at, s, 2)
		}
		wantPlaces(t, db, at, "sums; sums__v1; sums__v2")
	})
}
