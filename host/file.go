package host

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// ReadModule reads the file of a module. A folder of modules may have anything in it: what is no regular file, nor a link to one, is not
// opened, and what is larger than a module may be is not read. It never waits for a writer.
//
// # Errors
//
// Those of opening and reading, fs.ErrNotExist among them, and in one line what else the file is or how large.
func (r *Runtime) ReadModule(path string) ([]byte, error) {
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
	limit := int64(r.options.Limits.ModuleBytesMax)
	if info.Size() > limit {
		return nil, errTooLarge(info.Size(), limit)
	}
	wasm, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(wasm)) > limit { // it grows
		err = errTooLarge(int64(len(wasm)), limit)
	}
	return wasm, err
}

func errTooLarge(size, limit int64) error {
	return fmt.Errorf("has %d bytes, a module has at most %d", size, limit)
}

// checkRegular says what a file is that is none of bytes.
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
