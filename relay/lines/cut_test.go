package lines

import (
	"os"
	"path/filepath"
	"testing"
)

// TestFile_cutsBeforeTheNextWrite has a part of a line left, since it could not be cut off at once.
func TestFile_cutsBeforeTheNextWrite(t *testing.T) {
	t.Parallel()
	f := &file{path: filepath.Join(t.TempDir(), "out")}
	defer f.close()
	if err := f.begin(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.path, []byte("one\ntw"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.torn, f.size = true, 4
	if err := f.write([]byte("three\n")); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(f.path); err != nil || string(text) != "one\nthree\n" {
		t.Errorf("got %q, %v", text, err)
	}
}
