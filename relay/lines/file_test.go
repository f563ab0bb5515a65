//go:build unix

package lines_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"github.com/pupwasm/pupwasm/relay/lines"
)

func openFile(t testing.TB, path string) *lines.Sink {
	t.Helper()
	sink, err := lines.OpenFile(path, lines.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return sink
}

func send(t testing.TB, sink *lines.Sink, position int64) {
	t.Helper()
	if err := sink.Send(t.Context(), message(position)); err != nil {
		t.Fatal(err)
	}
}

func TestFile_isAppendedTo(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "out.jsonl")
	for position := range int64(3) {
		sink := openFile(t, path)
		send(t, sink, position)
		if got, want := read(t, path), lineOf(position); !strings.HasSuffix(got, want) {
			t.Errorf("got %s, want %s", got, want)
		}
		if sink.Target() != path {
			t.Errorf("the target is %s", sink.Target())
		}
		if err := sink.Close(); err != nil {
			t.Error(err)
		}
	}
	if got := positions(t, read(t, path)); !slices.Equal(got, []int64{0, 1, 2}) {
		t.Errorf("got %v", got)
	}
}

func TestFile_isItsOwners(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path := filepath.Join(folder, "new")
	openFile(t, path).Close()
	there := filepath.Join(folder, "there")
	if err := os.WriteFile(there, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	openFile(t, there).Close()
	for path, want := range map[string]fs.FileMode{path: 0o600, there: 0o644} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
}

// TestFile_manyAtOnce has each line there when Send returns, whole and once.
func TestFile_manyAtOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "out")
	sink := openFile(t, path)
	defer sink.Close()
	var all sync.WaitGroup
	const senders, each = 50, 20
	for i := range int64(senders) {
		all.Go(func() {
			for j := range int64(each) {
				if err := sink.Send(t.Context(), message(1+i*each+j)); err != nil {
					t.Error(err)
					return
				}
				if j == each-1 && !strings.Contains(read(t, path), lineOf(1+i*each+j)) {
					t.Error("a line that was sent is not there")
				}
			}
		})
	}
	all.Wait()
	got := positions(t, read(t, path))
	for i := range int64(senders) { // in order, of each sender
		of := slices.DeleteFunc(slices.Clone(got), func(p int64) bool { return (p-1)/each != i })
		if len(of) != each || !slices.IsSorted(of) {
			t.Errorf("got %v", of)
		}
	}
}

// TestFile_afterACrash has what is left of a line at the end.
func TestFile_afterACrash(t *testing.T) {
	t.Parallel()
	whole := lineOf(1)
	long := strings.Repeat("a", 200_000)
	// It is no line of ours, though its last bytes, as many as one may have, begin like one.
	huge := "a" + lineOf(2)[:100] + strings.Repeat("a", 8<<20+64<<10-100)
	for before, want := range map[string]string{
		"":                                   "",
		whole:                                whole,
		whole + lineOf(2)[:100]:              whole,
		lineOf(2)[:1]:                        "",
		lineOf(2)[:100] + long:               "",
		whole + lineOf(2)[:100] + long:       whole,
		whole + strings.TrimSpace(lineOf(2)): whole + lineOf(2), // somebody has edited the file
		"note":                               "note\n",
		whole + "{}":                         whole + "{}\n",
		whole + "\x00\x00":                   whole + "\x00\x00\n",
		huge:                                 huge + "\n",
	} {
		path := filepath.Join(t.TempDir(), "out")
		if err := os.WriteFile(path, []byte(before), 0o600); err != nil {
			t.Fatal(err)
		}
		sink := openFile(t, path)
		send(t, sink, 3)
		sink.Close()
		if got := read(t, path); got != want+lineOf(3) {
			t.Errorf("%.300q becomes %.1000q", before, got)
		}
	}
}

// TestFile_crashes has a file end anywhere behind what was sent, any number of times.
func TestFile_crashes(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "out")
	rapid.Check(t, func(rt *rapid.T) {
		os.Remove(path)
		next := int64(1)
		for range rapid.IntRange(1, 4).Draw(rt, "crashes") {
			sink := openFile(t, path)
			for range rapid.IntRange(0, 3).Draw(rt, "messages") {
				send(t, sink, next)
				next++
			}
			sink.Close()
			cut := lineOf(next)[:rapid.IntRange(0, len(lineOf(next))-2).Draw(rt, "bytes")]
			if err := os.WriteFile(path, []byte(read(t, path)+cut), 0o600); err != nil {
				rt.Fatal(err)
			}
		}
		openFile(t, path).Close()
		got := positions(rt, read(t, path))
		for i, position := range got {
			if position != int64(i+1) {
				rt.Fatalf("got %v", got)
			}
		}
		if len(got) != int(next-1) {
			rt.Fatalf("got %v, sent were %d", got, next-1)
		}
	})
}

// TestFile_rotation has the file moved, deleted and emptied while the sink is open.
func TestFile_rotation(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "out")
	sink := openFile(t, path)
	defer sink.Close()
	for i, rotate := range []func() error{
		func() error { return os.Rename(path, path+".1") },
		func() error { return os.Remove(path) },
		func() error { return os.Truncate(path, 0) },
		func() error {
			if err := os.Remove(path); err != nil {
				return err
			}
			return os.WriteFile(path, []byte(lineOf(9)[:50]), 0o600)
		},
	} {
		send(t, sink, int64(i))
		if err := rotate(); err != nil {
			t.Fatal(err)
		}
		send(t, sink, int64(i+10))
		if got := read(t, path); got != lineOf(int64(i+10)) {
			t.Errorf("rotation %d: got %q", i, got)
		}
		if _, err := lines.OpenFile(path, lines.Options{}); err == nil {
			t.Errorf("rotation %d: another can write", i)
		}
	}
	if got := read(t, path+".1"); got != lineOf(0) {
		t.Errorf("got %q", got)
	}

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := sink.Send(t.Context(), message(1)); err == nil || err.Error() != path+": is a directory" {
		t.Errorf("got %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	send(t, sink, 2)
}

func TestFile_refused(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	pipe := filepath.Join(folder, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"":                             ": no such file or directory",
		folder:                         ": is a directory",
		pipe:                           ": is not a file",
		"/dev/null":                    "/dev/null: is not a file",
		filepath.Join(pipe, "out"):     ": not a directory",
		filepath.Join(folder, "a\n/b"): "/a /b: no such file or directory",
	} {
		if _, err := lines.OpenFile(path, lines.Options{}); err == nil || !strings.Contains(err.Error(), want) ||
			strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, want %s", path, err, want)
		}
	}
}

// limitedFile is the variable by which this program is run again, with a limit on the size of files.
const limitedFile = "PUPWASM_TEST_LIMITED_FILE"

func TestFile_diskIsFull(t *testing.T) {
	t.Parallel()
	command := exec.CommandContext(t.Context(), os.Args[0])
	path := filepath.Join(t.TempDir(), "out")
	command.Env = append(os.Environ(), limitedFile+"="+path)
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	if got := positions(t, read(t, path)); len(got) < 10 || !slices.IsSorted(got) || got[len(got)-1] != 1000 {
		t.Errorf("got %v", got)
	}
}

func writeLimited(path string) int {
	if err := fill(path); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// fill writes until the file may not grow, and goes on when it may. Nothing is left of a line that has failed.
func fill(path string) error {
	signal.Ignore(syscall.SIGXFSZ)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	room := limit
	room.Cur = 5000
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &room); err != nil {
		return err
	}
	sink, err := lines.OpenFile(path, lines.Options{})
	if err != nil {
		return err
	}
	defer sink.Close()
	var sent string
	for position := int64(1); ; position++ {
		if err = sink.Send(context.Background(), message(position)); err != nil {
			break
		}
		sent += lineOf(position)
	}
	if err.Error() != path+": file too large" {
		return err
	}
	for range 2 {
		if text, err := os.ReadFile(path); err != nil || string(text) != sent {
			return fmt.Errorf("got %s, %w, want %s", text, err, sent)
		}
		if err := sink.Send(context.Background(), message(1000)); err == nil {
			return errors.New("it was sent")
		}
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	return sink.Send(context.Background(), message(1000))
}
