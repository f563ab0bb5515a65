package sqlite_test

import (
	"os"
	"testing"

	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// TestFiles_areTheirOwnersAlone looks at the modes of the file and of those beside it while events are appended: a
// log is nobody else's to read unless its owner says so.
func TestFiles_areTheirOwnersAlone(t *testing.T) {
	t.Parallel()
	for _, mode := range []os.FileMode{0o600, 0o640} {
		path := migrated(t)
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("a new file has mode %v, error %v", info.Mode(), err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		s := open(t, path, sqlite.Options{})
		stream := store.StreamAppend{
			Stream: store.Stream{BoundedContext: "a", AggregateType: "b", AggregateID: "c"},
			Events: []store.Event{{Type: "T"}},
		}
		if _, err := s.Append(t.Context(), store.AppendOptions{}, stream); err != nil {
			t.Fatal(err)
		}
		for _, suffix := range []string{"", "-wal", "-shm"} {
			info, err := os.Stat(path + suffix)
			if err != nil {
				t.Fatal(err)
			}
			if got := info.Mode().Perm(); got&^mode != 0 {
				t.Errorf("%s of a file of mode %v has mode %v", suffix, mode, got)
			}
		}
	}
}
