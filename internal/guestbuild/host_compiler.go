package guestbuild

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// HostCompiler builds the program that compiles modules for hosts under test (see host.Options.Compiler) into a folder
// of its own, which the caller removes, and returns its path.
func HostCompiler(folder string) (string, error) {
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		return "", fmt.Errorf("the place of the source is not known")
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
