package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// writeNewFile writes a file for its owner alone. It is there as a whole or not at all, and takes the place of another
// one only by force.
func writeNewFile(path string, force bool, write func(to io.Writer) error) error {
	if _, err := os.Lstat(path); err == nil && !force {
		return fileExists(path)
	}
	part, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // of mode 0600
	if err != nil {
		return &inputError{where: path, err: unwrapPath(err)}
	}
	defer os.Remove(part.Name())
	defer part.Close()
	if err := write(part); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := part.Sync(); err != nil {
		return fmt.Errorf("writing %s: %w", path, unwrapPath(err))
	}
	if force {
		err = os.Rename(part.Name(), path)
	} else {
		err = os.Link(part.Name(), path) // which does not replace a file, as Rename does
	}
	var link *os.LinkError
	switch {
	case errors.Is(err, fs.ErrExist):
		return fileExists(path)
	case errors.As(err, &link):
		return &inputError{where: path, err: link.Err}
	}
	return err
}

func fileExists(path string) error {
	return usagef("%s exists: --force replaces it, --out names another file", path)
}
