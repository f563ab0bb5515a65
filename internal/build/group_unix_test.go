//go:build unix

package build

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestCompile_endsWithItsChildren stops a compiler that has a child and temporary files.
func TestCompile_endsWithItsChildren(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	pipe, path := filepath.Join(folder, "pipe"), filepath.Join(folder, "tinygo")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\nexec 3>'" + pipe + "'\n(sleep 30; echo alive >&3) &\nmkdir \"$TMPDIR/left\"\n" +
		"echo \"$TMPDIR/left\" >&3\nwait\n"
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error)
	go func() {
		_, err := tool{kind: TinyGo, path: path}.compile(ctx, folder)
		ended <- err
	}()
	said, err := os.Open(pipe)
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	reader := bufio.NewReader(said)
	left, err := reader.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
	if rest, err := io.ReadAll(reader); err != nil || len(rest) > 0 { // until nothing has the pipe open
		t.Errorf("the child says %q; %v", rest, err)
	}
	if _, err := os.Stat(strings.TrimSpace(left)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is left: %v", left, err)
	}
}
