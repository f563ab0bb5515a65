package build

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestInstallTinyGo_takesWhatIsThere runs the script outside of a checkout, where another TinyGo is on PATH.
func TestInstallTinyGo_takesWhatIsThere(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the script is for Debian")
	}
	folder := t.TempDir()
	t.Chdir(folder)
	path := filepath.Join(folder, "tinygo")
	said := "tinygo version 0.99.1 linux/amd64 (using go version go1.26.8 and LLVM version 19)"
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho '"+said+"'\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", folder+string(filepath.ListSeparator)+os.Getenv("PATH"))
	t.Setenv("PUPWASM_CACHE", filepath.Join(folder, "cache"))
	var out, errs bytes.Buffer
	if err := InstallTinyGo(t.Context(), nil, &out, &errs); err != nil {
		t.Fatal(err, errs.String())
	}
	if want := "using " + path + ", version 0.99.1"; !strings.Contains(out.String(), want) {
		t.Errorf("the script says %q, must say %q", out.String(), want)
	}
	found := Toolchain(t.Context())
	if found.TinyGo != "0.99.1" || found.TinyGoPath != path || !strings.HasPrefix(found.Go, "go1.") || found.GoPath == "" {
		t.Errorf("the compilers are %+v", found)
	}
	t.Setenv("PATH", folder)
	if found := Toolchain(t.Context()); found.Go != "" || found.TinyGo == "" {
		t.Errorf("without Go the compilers are %+v", found)
	}
}
