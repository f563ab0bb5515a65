package build

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTarget_isThatOfTheSDK compares the embedded copy with the file that users of TinyGo name.
func TestTarget_isThatOfTheSDK(t *testing.T) {
	t.Parallel()
	original, err := os.ReadFile("../../guest-sdk/targets/pupwasm.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(target, original) {
		t.Error("internal/build/pupwasm.json is not guest-sdk/targets/pupwasm.json: copy it")
	}
}

// source writes a Go module with a main package.
func source(t *testing.T, text string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	for name, content := range map[string]string{"go.mod": "module example.com/guest\n\ngo 1.24\n", "main.go": text} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// TestModule_replacesTheFileWhenItIsComplete compiles a module, and then a source that is broken, into one file.
func TestModule_replacesTheFileWhenItIsComplete(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "modules", "guest.wasm")
	used, err := Module(t.Context(), Go, source(t, "package main\n\nfunc main() {}\n"), out)
	if err != nil || used != Go {
		t.Fatal(used, err)
	}
	built, err := os.ReadFile(out)
	if err != nil || !bytes.HasPrefix(built, []byte("\x00asm")) {
		t.Fatalf("%d bytes were built, which are no WebAssembly; %v", len(built), err)
	}
	_, err = Module(t.Context(), Go, source(t, "package main\n\nfunc main() { return 1 }\n"), out)
	var wrong *CompileError
	if !errors.As(err, &wrong) || !strings.Contains(wrong.Output, "main.go:3:") {
		t.Errorf("the error is %v", err)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("the error has several lines: %s", err)
	}
	after, err := os.ReadFile(out)
	if err != nil || !bytes.Equal(after, built) {
		t.Errorf("the file has changed; %v", err)
	}
	if files, err := os.ReadDir(filepath.Dir(out)); err != nil || len(files) != 1 {
		t.Errorf("the folder has %v; %v", files, err)
	}
	if info, err := os.Stat(out); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("the file's mode is %v; %v", info.Mode(), err)
	}
}

func TestModule_saysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		compiler Compiler
		folder   string
		want     string
	}{
		"compiler": {"clang", t.TempDir(), `there is no compiler "clang": use "go", "tinygo" or "auto"`},
		"file":     {Go, "build.go", "build.go is not a folder"},
		"missing":  {Go, "nowhere", "nowhere: no such file"},
	} {
		_, err := Module(t.Context(), test.compiler, test.folder, filepath.Join(t.TempDir(), "out.wasm"))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: the error is %v", name, err)
		}
	}
}

// TestTinyGoVersion_takesWhatCanCompileModules asks executables that say they are TinyGo, and others.
func TestTinyGoVersion_takesWhatCanCompileModules(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]int{
		"tinygo version 0.39.1 linux/amd64 (using go version go1.26.8)": 39,
		"tinygo version 0.41.0-dev linux/amd64":                         41,
		"tinygo version 1.2.3 linux/amd64":                              tinyGoMinor,
		"gcc 12":                                                        0,
	} {
		path := filepath.Join(t.TempDir(), "tinygo")
		if err := os.WriteFile(path, []byte("#!/bin/sh\necho '"+said+"'\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		if minor, ok := tinyGoVersion(path); minor != want || ok != (want > 0) {
			t.Errorf("%s: it is 0.%d, %t", said, minor, ok)
		}
	}
	if _, ok := tinyGoVersion(filepath.Join(t.TempDir(), "tinygo")); ok {
		t.Error("a file that is missing is a TinyGo")
	}
}
