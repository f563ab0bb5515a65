package settings

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestReadTrusted_asksOfTheFileThatIsRead has another file come under the name after trust was asked.
func TestReadTrusted_asksOfTheFileThatIsRead(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path, other := filepath.Join(folder, "own.yaml"), filepath.Join(folder, "other.yaml")
	for name, text := range map[string]string{path: "own: 1\n", other: "foreign: with much more text\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file, err := ReadTrusted(path, func(info fs.FileInfo) error {
		if info.Size() != int64(len("own: 1\n")) {
			t.Errorf("asked of a file of %d bytes", info.Size())
		}
		return os.Rename(other, path)
	})
	if err != nil || len(file.Members) != 1 || file.Members[0].Name != "own" {
		t.Errorf("got %+v, %v", file, err)
	}
	_, err = ReadTrusted(path, func(fs.FileInfo) error { return errors.New("is not trusted") })
	var faults Faults
	if !errors.As(err, &faults) || err.Error() != path+": is not trusted" {
		t.Errorf("got %v", err)
	}
}
