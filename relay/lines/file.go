package lines

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/gofrs/flock"

	"github.com/pupwasm/pupwasm/internal/oneline"
)

const (
	// fileMode is that of a file that a sink makes: messages may be about people. A file that is there keeps its own.
	fileMode = 0o600
	// lineBytesMax is more than a message has as a line. Each of its bytes may become six.
	lineBytesMax = 8 << 20
	chunkBytes   = 64 << 10
)

// lineStart is what lines begin with.
var lineStart = []byte(`{"specversion":"1.0","id":"`)

// OpenFile returns a sink that appends to a file, and makes it when it is not there, for its owner only. A message is
// sent when the file is on disk (fsync); messages that come at the same time share that. A file with ".lock" behind its
// name keeps a second process away, and stays. When that one is deleted, or the folder is another one, the next message
// takes the lock again; it is not sent while another process has it.
//
// A file that is moved away or deleted is followed by a new one with the next message. A line that is not whole, as
// after a crash, is cut off when the file is opened, since its message was not sent. What else is without a line break
// at the end gets one.
//
// # Errors
//
// When it is not a file or cannot be opened, and when another process writes to it.
func OpenFile(path string, options Options) (*Sink, error) {
	if err := options.validate(); err != nil {
		return nil, err
	}
	to := &file{path: path}
	s := &Sink{options: options, target: oneline.Text(path), isFile: true}
	if err := to.begin(); err != nil {
		to.close()
		return nil, fmt.Errorf("%s: %w", s.target, oneline.Error(withoutPath(err)))
	}
	return s.start(to), nil
}

// file is a file that one process writes to.
type file struct {
	path string
	lock *flock.Flock
	file *os.File
	ends bool // where lines end, see repair
	// Of a write that failed: the file may have a part of it behind size.
	torn bool
	size int64
}

// begin opens the file, in place of the one that was open, for this process alone, and has it end where lines end.
func (f *file) begin() error {
	if err := f.open(); err != nil {
		return err
	}
	if err := f.takeAlone(); err != nil {
		return err
	}
	if err := f.repair(); err != nil {
		return err
	}
	f.ends = true
	return nil
}

// open opens the file and has its name on disk.
func (f *file) open() error {
	const flags = os.O_RDWR | os.O_APPEND | os.O_CREATE | syscall.O_NONBLOCK // a pipe would wait
	opened, err := os.OpenFile(f.path, flags, fileMode)
	if err != nil {
		return err
	}
	info, err := opened.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("is not a file: to write to anything else, use the standard output")
	}
	if err == nil {
		err = syncFolder(filepath.Dir(f.path))
	}
	if err != nil {
		opened.Close()
		return err
	}
	if f.file != nil {
		f.file.Close()
	}
	f.file, f.ends, f.torn = opened, false, false
	return nil
}

// syncFolder has the names in a folder on disk, where folders can be written to disk.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	defer folder.Close()
	if err := folder.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}

// lockPath is the path of the lock, which is of the name that links lead to.
func (f *file) lockPath() (string, error) {
	path, err := filepath.EvalSymlinks(f.path)
	return path + ".lock", err
}

// takeAlone takes the lock, unless it is held.
func (f *file) takeAlone() error {
	if f.isAlone() {
		return nil
	}
	path, err := f.lockPath()
	if err != nil {
		return err
	}
	lock := flock.New(path)
	alone, err := lock.TryLock()
	if err != nil {
		return fmt.Errorf("its lock %s: %w", path, withoutPath(err))
	}
	if !alone {
		return errors.New("another process writes to it: give each a file of its own")
	}
	if f.lock != nil {
		_ = f.lock.Close()
	}
	f.lock = lock
	if !f.isAlone() {
		return errLockGone
	}
	return nil
}

var errLockGone = errors.New("its lock was taken away: leave the file with .lock behind its name where it is")

// isAlone reports that the lock is held, and is the file of its name: others can take one that was deleted or moved.
func (f *file) isAlone() bool {
	if f.lock == nil {
		return false
	}
	path, err := f.lockPath()
	switch {
	case errors.Is(err, fs.ErrNotExist): // the file itself is not there
		path = f.lock.Path()
	case err != nil:
		return false
	}
	named, err := os.Stat(path)
	if err != nil {
		return false
	}
	held, err := f.lock.Stat()
	return err == nil && os.SameFile(named, held)
}

// repair has the file end with a line break.
func (f *file) repair() error {
	info, err := f.file.Stat()
	if err != nil {
		return err
	}
	size := info.Size()
	start, err := f.lastLine(size)
	if err != nil || start == size {
		return err
	}
	if tail := size - start; tail <= lineBytesMax {
		text := make([]byte, tail)
		if _, err := f.file.ReadAt(text, start); err != nil {
			return err
		}
		begins := bytes.HasPrefix(text, lineStart) || bytes.HasPrefix(lineStart, text)
		if begins && !json.Valid(text) {
			if err := f.file.Truncate(start); err != nil {
				return err
			}
			return f.file.Sync()
		}
	}
	if _, err := f.file.Write([]byte{'\n'}); err != nil {
		return err
	}
	return f.file.Sync()
}

// lastLine returns where the text behind the last line break begins, or a place in a text that is too long for a line.
func (f *file) lastLine(size int64) (int64, error) {
	chunk := make([]byte, chunkBytes)
	start := size
	for start > 0 && size-start <= lineBytesMax {
		part := chunk[:min(start, chunkBytes)]
		if _, err := f.file.ReadAt(part, start-int64(len(part))); err != nil {
			return 0, err
		}
		start -= int64(len(part))
		if i := bytes.LastIndexByte(part, '\n'); i >= 0 {
			return start + int64(i) + 1, nil
		}
	}
	return start, nil
}

func (f *file) write(lines []byte) error {
	err := f.ready()
	if err == nil {
		err = f.append(lines)
	}
	return withoutPath(err)
}

// ready has the file be the one of this name, held alone, and end where lines end.
func (f *file) ready() error {
	alone := f.isAlone()
	if alone {
		if err := f.cut(); err != nil {
			return err
		}
	}
	named, err := os.Stat(f.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	opened, statErr := f.file.Stat()
	if alone && f.ends && err == nil && statErr == nil && os.SameFile(named, opened) {
		return nil
	}
	return f.begin()
}

func (f *file) append(lines []byte) error {
	info, err := f.file.Stat() // others may have emptied it
	if err != nil {
		return err
	}
	f.size = info.Size()
	if _, err = f.file.Write(lines); err == nil {
		err = f.file.Sync()
	}
	alone := f.isAlone()
	switch {
	case err != nil:
		f.torn = true
		if alone {
			_ = f.cut() // else before the next write
		}
	case !alone: // another process may have cut off what it has found of them; from here on it finds them whole
		err = errLockGone
	}
	return err
}

// cut takes away what a write that failed has left.
func (f *file) cut() error {
	if !f.torn {
		return nil
	}
	info, err := f.file.Stat()
	if err == nil && info.Size() > f.size {
		err = f.file.Truncate(f.size)
	}
	f.torn = err != nil
	return err
}

func (f *file) close() {
	if f.file != nil {
		f.file.Close()
	}
	if f.lock != nil {
		_ = f.lock.Close()
	}
}

// withoutPath returns what went wrong without the path, which the sink tells.
func withoutPath(err error) error {
	var of *fs.PathError
	if errors.As(err, &of) {
		return of.Err
	}
	return err
}
