//go:build unix

package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestOfOthers_asksForTheOwner gives a file, and a link to one, to another user, which root can do.
func TestOfOthers_asksForTheOwner(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	own, foreign := filepath.Join(t.TempDir(), "own"), filepath.Join(t.TempDir(), "foreign")
	for _, path := range []string{own, foreign} {
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	link := own + ".link"
	if err := os.Symlink(own, link); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(foreign, 4711, 4711); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{own: "", foreign: "belongs to another user", link: ""}
	check := func() {
		t.Helper()
		for path, others := range want {
			info, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			if got := ofOthers(info); got != others {
				t.Errorf("%s %q, want %q", path, got, others)
			}
		}
	}
	check()
	if err := os.Lchown(link, 4711, 4711); err != nil {
		t.Fatal(err)
	}
	want[link] = "belongs to another user"
	check()
}
