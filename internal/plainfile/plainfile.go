// Package plainfile reads files that others may have put in place: it opens nothing but regular files and links to
// them, never waits for a writer, and reads no more than a limit.
package plainfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// Read returns the bytes of a file, which has at most limit of them.
//
// # Errors
//
// [*TooLargeError]; those of opening and reading, fs.ErrNotExist among them; or what else than a file it is, in words
// that go on from its name.
func Read(path string, limit int64) ([]byte, error) { return ReadInto(path, limit, &bytes.Buffer{}) }

// ReadInto is Read with a buffer, whose bytes it returns.
func ReadInto(path string, limit int64, into *bytes.Buffer) ([]byte, error) {
	return read(path, limit, into, checkRegular)
}

// ReadTrusted is Read for a file that must also pass trust, which is asked of the very file that is read, whatever has
// its name by then. Its error is returned.
func ReadTrusted(path string, limit int64, trust func(fs.FileInfo) error) ([]byte, error) {
	return read(path, limit, &bytes.Buffer{}, func(info fs.FileInfo) error {
		if err := checkRegular(info); err != nil {
			return err
		}
		return trust(info)
	})
}

func read(path string, limit int64, into *bytes.Buffer, check func(fs.FileInfo) error) ([]byte, error) {
	info, err := os.Stat(path) // opening a device may have effects
	if _, there := os.Lstat(path); errors.Is(err, fs.ErrNotExist) && there == nil {
		return nil, errors.New("is a link to a file that does not exist")
	}
	if err != nil {
		return nil, err
	}
	if err := checkRegular(info); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if info, err = file.Stat(); err == nil { // it may be another by now
		err = check(info)
	}
	if err != nil {
		return nil, err
	}
	if info.Size() > limit {
		return nil, &TooLargeError{info.Size(), limit}
	}
	into.Reset()
	into.Grow(int(info.Size()) + bytes.MinRead)
	size, err := into.ReadFrom(io.LimitReader(file, limit+1))
	if err == nil && size > limit { // it grows
		err = &TooLargeError{size, limit}
	}
	return into.Bytes(), err
}

// TooLargeError says that a file is larger than the limit.
type TooLargeError struct{ Size, Limit int64 }

// Error has both sizes in bytes.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf("has %d bytes, it may have at most %d", e.Size, e.Limit)
}

// checkRegular refuses what is not a regular file, and says what it is.
func checkRegular(info fs.FileInfo) error {
	mode := info.Mode()
	what := "something else"
	switch {
	case mode.IsRegular():
		return nil
	case mode.IsDir():
		what = "a folder"
	case mode&fs.ModeNamedPipe != 0:
		what = "a pipe"
	case mode&fs.ModeSocket != 0:
		what = "a socket"
	case mode&fs.ModeDevice != 0:
		what = "a device"
	}
	return fmt.Errorf("is %s, not a file", what)
}
