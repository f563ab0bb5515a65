package host

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// ReadModule reads the file of a module. A folder of modules may have anything in it: what is no regular
// file, nor a link to one, is not opened, and what is larger than a module may be is not read. It never waits
// for a writer.
//
// # Errors
//
// Those of opening and reading, fs.ErrNotExist among them, and in one line what else the file is or how large.
// [*TrustError] where [Options.Trust] does not hold.
func (r *Runtime) ReadModule(path string) ([]byte, error) { return r.readModule(path, &bytes.Buffer{}) }

// readModule reads a module into a buffer, whose bytes it returns.
func (r *Runtime) readModule(path string, into *bytes.Buffer) ([]byte, error) {
	wasm, err := readInto(path, int64(r.options.Limits.ModuleBytesMax), into)
	var large *tooLargeError
	if errors.As(err, &large) {
		return nil, fmt.Errorf("has %d bytes, a module has at most %d: raise Limits.ModuleBytesMax", large.size, large.limit)
	}
	if err != nil {
		return nil, err
	}
	return wasm, r.options.Trust.Check(path, wasm)
}

// readRegular reads a regular file up to a limit of bytes, also through a link. It never waits for a writer.
func readRegular(path string, limit int64) ([]byte, error) {
	return readInto(path, limit, &bytes.Buffer{})
}

func readInto(path string, limit int64, into *bytes.Buffer) ([]byte, error) {
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
		err = checkRegular(info)
	}
	if err != nil {
		return nil, err
	}
	if info.Size() > limit {
		return nil, &tooLargeError{info.Size(), limit}
	}
	into.Reset()
	into.Grow(int(info.Size()) + bytes.MinRead)
	size, err := into.ReadFrom(io.LimitReader(file, limit+1))
	if err == nil && size > limit { // it grows
		err = &tooLargeError{size, limit}
	}
	return into.Bytes(), err
}

type tooLargeError struct{ size, limit int64 }

// Error has both sizes in bytes.
func (e *tooLargeError) Error() string {
	return fmt.Sprintf("has %d bytes, it may have at most %d", e.size, e.limit)
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

// FileDigest returns the SHA-256 of a file in hex, as lists of digests have it.
func FileDigest(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
