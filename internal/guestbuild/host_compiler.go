package guestbuild

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// SharedCache runs the tests of a package with a folder in which their hosts share what they compile
// (host.Options.CacheDir), and removes it. compiler is what compiles for them under the race detector
// (host.Options.Compiler); without it the test binary does, and compiler is empty. It returns the exit code.
func SharedCache(tests func(cache, compiler string) int) int {
	folder, err := os.MkdirTemp("", "pupwasm-compiled-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(folder)
	compiler := ""
	if RaceDetector {
		if compiler, err = hostCompiler(folder); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return tests(filepath.Join(folder, "cache"), compiler)
}

// hostCompiler builds the program that compiles modules for hosts under test, and returns its path.
func hostCompiler(folder string) (string, error) {
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		return "", errors.New("the place of the source is not known")
	}
	path := filepath.Join(folder, "compiler")
	build := exec.Command("go", "test", "-c", "-o", path, "./compiler")
	build.Dir = filepath.Dir(file)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the compiler of tests: %w: %s", err, out)
	}
	return path, nil
}
