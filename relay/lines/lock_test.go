//go:build unix

package lines_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/pupwasm/pupwasm/relay/lines"
)

func TestFile_isOneProcess(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path, link := filepath.Join(folder, "out"), filepath.Join(folder, "link")
	if err := os.Symlink("out", link); err != nil {
		t.Fatal(err)
	}
	sink := openFile(t, link)
	send(t, sink, 1)
	for _, name := range []string{path, link} {
		if _, err := lines.OpenFile(name, lines.Options{}); err == nil || err.Error() != name+": another process writes to it: give each a file of its own" {
			t.Errorf("%s: %v", name, err)
		}
	}
	sink.Close()
	openFile(t, path).Close()
	if got := read(t, path); got != lineOf(1) {
		t.Errorf("got %s", got)
	}
}

// TestFile_lockIsGone has the lock taken away from a sink, which writes again when it has a new one.
func TestFile_lockIsGone(t *testing.T) {
	t.Parallel()
	for name, take := range map[string]func(folder, path string) error{
		"deleted": func(_, path string) error { return os.Remove(path + ".lock") },
		"rotated": func(_, path string) error {
			return errors.Join(os.Rename(path, path+".1"), os.Rename(path+".lock", path+".lock.1"))
		},
		"folder": func(folder, _ string) error {
			return errors.Join(os.Rename(folder, folder+".old"), os.Mkdir(folder, 0o700))
		},
		"link": func(folder, path string) error {
			other := filepath.Join(folder, "other")
			return errors.Join(os.Rename(path, other+".1"), os.Symlink(other, path))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := filepath.Join(t.TempDir(), "folder")
			if err := os.Mkdir(folder, 0o700); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(folder, "out")
			first := openFile(t, path)
			defer first.Close()
			send(t, first, 1)
			if err := take(folder, path); err != nil {
				t.Fatal(err)
			}
			second := openFile(t, path)
			send(t, second, 2)
			before := read(t, path)
			want := path + ": another process writes to it: give each a file of its own"
			for range 2 {
				if err := first.Send(t.Context(), message(3)); err == nil || err.Error() != want {
					t.Errorf("got %v", err)
				}
			}
			send(t, second, 4)
			second.Close()
			send(t, first, 5)
			if got := read(t, path); got != before+lineOf(4)+lineOf(5) {
				t.Errorf("got %s", got)
			}
			if _, err := lines.OpenFile(path, lines.Options{}); err == nil || err.Error() != want {
				t.Errorf("another can write: %v", err)
			}
		})
	}
}

// TestFile_twoFightForIt has the lock deleted again and again while two write. What one of them has sent is there.
func TestFile_twoFightForIt(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "out")
	var all, writing sync.WaitGroup
	var mu sync.Mutex
	sent := map[int64]bool{}
	done := make(chan struct{})
	for i := range int64(2) {
		writing.Go(func() {
			for position := i * 1000; position < i*1000+900; {
				sink, err := lines.OpenFile(path, lines.Options{})
				if err != nil {
					continue
				}
				for range 100 {
					if sink.Send(t.Context(), message(position)) == nil {
						mu.Lock()
						sent[position] = true
						mu.Unlock()
					}
					position++
				}
				sink.Close()
			}
		})
	}
	all.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				os.Remove(path + ".lock")
			}
		}
	})
	writing.Wait()
	close(done)
	all.Wait()
	text := read(t, path)
	for position := range sent {
		if !strings.Contains(text, lineOf(position)) {
			t.Errorf("message %d is not there", position)
		}
	}
}
