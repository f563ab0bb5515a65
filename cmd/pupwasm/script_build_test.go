package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	sandbox "github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/host/meter"
	"github.com/pupwasm/pupwasm/internal/build"
	"github.com/pupwasm/pupwasm/internal/guestbuild"
)

// buildEnvironment lets scripts build modules: it has the SDK, the compilers, and what Go has compiled before.
func buildEnvironment(t *testing.T, env *testscript.Env) error {
	t.Helper()
	goCache, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		return err
	}
	env.Setenv("GOCACHE", strings.TrimSpace(string(goCache)))
	env.Setenv("SDK", filepath.Join(guestbuild.Root(t), "guest-sdk"))
	if tinygo, err := build.FindTinyGo(); err == nil {
		env.Setenv("PATH", env.Getenv("PATH")+string(filepath.ListSeparator)+filepath.Dir(tinygo))
	}
	return nil
}

// scriptCondition tells whether TinyGo may be used: see [guestbuild.Example].
func scriptCondition(condition string) (bool, error) {
	if condition != "tinygo" {
		return false, os.ErrInvalid
	}
	_, err := build.FindTinyGo()
	if testing.Short() {
		return false, nil
	}
	return err == nil || os.Getenv("PUPWASM_REQUIRE_TINYGO") != "", nil
}

// scriptSection appends a section with a description to a module.
func scriptSection(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[1])
	content := append([]byte{1, 0, 0, 0}, args[0]...) // version 1 of the interface
	wasm, err := os.ReadFile(path)
	ts.Check(err)
	ts.Check(os.WriteFile(path, meter.AppendCustomSection(wasm, sandbox.DescriptionSection, content), 0o644))
}
