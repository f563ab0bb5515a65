package host

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/pupwasm/pupwasm/internal/plainfile"
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
	wasm, err := plainfile.ReadInto(path, int64(r.options.Limits.ModuleBytesMax), into)
	var large *plainfile.TooLargeError
	if errors.As(err, &large) {
		return nil, fmt.Errorf("has %d bytes, a module has at most %d: raise Limits.ModuleBytesMax", large.Size, large.Limit)
	}
	if err != nil {
		return nil, err
	}
	return wasm, r.options.Trust.Check(path, wasm)
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
