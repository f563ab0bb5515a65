package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestBuilder_doesNothingTwice builds a source, another one, and the first one again.
func TestBuilder_doesNothingTwice(t *testing.T) {
	t.Parallel()
	first := guest("", "")
	project := guestProject(t, map[string]string{"main.go": first, "data.txt": "a"})
	out := filepath.Join(t.TempDir(), "modules", "guest.wasm")
	b := &Builder{Compiler: Go, Cache: testCache(t), Program: "test"}
	finished := 0
	b.Finish = func(_ context.Context, name string, wasm []byte) ([]byte, error) {
		if finished++; name != "guest.wasm" {
			t.Errorf("the module is called %s", name)
		}
		return fmt.Append(wasm, finished), nil
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(project.Folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	step := func(what string, want Outcome, compilations int) {
		t.Helper()
		r, err := b.Build(t.Context(), project, out)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		file, err := os.ReadFile(out)
		if err != nil || Digest(file) != Digest(r.Wasm) {
			t.Errorf("%s: the file is another module than the result; %v", what, err)
		}
		if r.Outcome != want || finished != compilations {
			t.Errorf("%s: %s after %d compilations, must be %s after %d", what, r.Outcome, finished, want, compilations)
		}
		if r.Compiler != Go || !strings.HasPrefix(r.Version, "go1.") || r.Took <= 0 {
			t.Errorf("%s: built by %s %s in %s", what, r.Compiler, r.Version, r.Took)
		}
	}
	step("first", Compiled, 1)
	step("again", Unchanged, 1)
	write("data.txt", "b")
	step("a file that is no source", Unchanged, 1)
	write("main.go", first+"\n// another\n")
	step("another source", Compiled, 2)
	write("main.go", first)
	step("back", FromCache, 2)
	if err := os.Remove(out); err != nil {
		t.Fatal(err)
	}
	step("a file that is gone", FromCache, 2)
	if err := os.WriteFile(out, []byte("something else"), 0o600); err != nil {
		t.Fatal(err)
	}
	step("a file that was changed", FromCache, 2)
	b.Force = true
	step("force", Compiled, 3)
	b.Force, b.Program = false, "another"
	step("another program", Compiled, 4)
	write("go.mod", mustRead(t, filepath.Join(project.Folder, "go.mod"))+"\n// another\n")
	step("another go.mod", Compiled, 5)
}

// TestBuilder_keepsNothingThatMayBeStale adds a file while the module is built: the next build finds nothing of this one.
func TestBuilder_keepsNothingThatMayBeStale(t *testing.T) {
	t.Parallel()
	project := guestProject(t, map[string]string{"main.go": guest("", "")})
	b := &Builder{Compiler: Go, Cache: testCache(t)}
	b.Finish = func(_ context.Context, _ string, wasm []byte) ([]byte, error) {
		return wasm, os.WriteFile(filepath.Join(project.Folder, "more.go"), []byte("package main\n"), 0o600)
	}
	if _, err := b.Build(t.Context(), project, filepath.Join(t.TempDir(), "guest.wasm")); err != nil {
		t.Fatal(err)
	}
	if kept, _ := os.ReadDir(b.Cache.folder); len(kept) > 0 {
		t.Errorf("the cache has %v", kept)
	}
}

func TestCacheable_needsAllInTheKey(t *testing.T) {
	t.Parallel()
	for flags, want := range map[string]bool{
		"": true, "-mod=mod -trimpath": true, "-overlay=x.json": false, "-v --modfile=x.mod": false, "'-overlay=a b'": false,
	} {
		if got := cacheable(goEnvironment{GOFLAGS: flags}, nil); got != want {
			t.Errorf("%s: %t", flags, got)
		}
	}
	names := []string{"x"}
	for want, packages := range map[bool][]*listedPackage{
		true:  {{Standard: true, SFiles: names, CgoFiles: names}, {GoFiles: names, EmbedFiles: names}},
		false: {{CgoFiles: names}, {CFiles: names}, {CXXFiles: names}, {SFiles: names}},
	} {
		for _, p := range packages {
			if got := cacheable(goEnvironment{}, []*listedPackage{p, {GoFiles: names}}); got != want {
				t.Errorf("%+v: %t", p, got)
			}
		}
	}
}

// TestBuilder_obeysTagsOfGOFLAGS has a source that compiles with a tag alone.
func TestBuilder_obeysTagsOfGOFLAGS(t *testing.T) {
	t.Setenv("GOFLAGS", "-mod=mod '-tags=other some'")
	for _, compiler := range []Compiler{Go, TinyGo} {
		if _, err := FindTinyGo(); compiler == TinyGo && (err != nil || testing.Short()) {
			continue
		}
		project := guestProject(t, map[string]string{
			"main.go": guest("", "some()"), "some.go": "//go:build some && other\n\npackage main\n\nfunc some() {}\n",
		})
		b := &Builder{Compiler: compiler}
		if _, err := b.Build(t.Context(), project, filepath.Join(t.TempDir(), "guest.wasm")); err != nil {
			t.Errorf("%s: %v", compiler, err)
		}
	}
}

func TestGoEnvironment_hasTags(t *testing.T) {
	t.Parallel()
	for flags, want := range map[string]string{
		"": "", "-mod=mod": "", "-tags=a": "a", "-v --tags=a,b -x": "a b", `'-tags=a b' "-ldflags=-s -tags=c"`: "a b",
		"-tags=a -tags=b": "b", "'-tags=a": "a",
	} {
		if got := strings.Join((goEnvironment{GOFLAGS: flags}).tags(), " "); got != want {
			t.Errorf("%s: the tags are %q, must be %q", flags, got, want)
		}
	}
}

func mustRead(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func testCache(t *testing.T) *Cache {
	t.Helper()
	return &Cache{folder: filepath.Join(t.TempDir(), "built"), filesMax: 10, bytesMax: 1 << 30, bytesValue: 1 << 30}
}

// TestBuilder_leavesTheFile builds what is wrong in several ways: the module of before stays.
func TestBuilder_leavesTheFile(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "guest.wasm")
	if err := os.WriteFile(out, []byte("before"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused := errors.New("refused")
	for name, test := range map[string]struct {
		source string
		want   func(error) bool
	}{
		"mistake": {guest(`_ "net"`, ""), func(err error) bool { return errors.As(err, new(*MistakesError)) }},
		"does not compile": {guest("", "return 1"), func(err error) bool {
			var wrong *CompileError
			return errors.As(err, &wrong) && len(wrong.Lines()) > 0 &&
				strings.Contains(wrong.Lines()[0], filepath.Join("guest", "main.go:13:"))
		}},
		"does not load": {guest("", ""), func(err error) bool { return errors.Is(err, refused) }},
	} {
		b := &Builder{Compiler: Go, Cache: testCache(t)}
		b.Finish = func(context.Context, string, []byte) ([]byte, error) { return nil, refused }
		_, err := b.Build(t.Context(), guestProject(t, map[string]string{"main.go": test.source}), out)
		if !test.want(err) {
			t.Errorf("%s: the error is %v", name, err)
		}
		if mustRead(t, out) != "before" {
			t.Errorf("%s: the file has changed", name)
		}
		if left, _ := os.ReadDir(b.Cache.folder); len(left) > 0 {
			t.Errorf("%s: the cache has %v", name, left)
		}
	}
}

func TestProjects(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for name, content := range map[string]string{
		"many/one/main.go": "package main", "many/two/x.go": "package main", "many/lib/lib.go": "package lib",
		"many/testdata/main.go": "package main", "many/.hidden/main.go": "package main", "many/deep/er/main.go": "package main",
		"many/modules/one.wasm": "", "many/tests/a_test.go": "package main",
		"lib/lib.go": "// Package lib.\n\npackage lib\n", "lib/gen.go": "//go:build ignore\n\npackage main\n",
		"tagged/main_windows.go": "//go:build windows\n\npackage main\n", "empty/README.md": "", "other/one/main.go": "package main",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for folders, want := range map[string]string{
		"many":          "one in many, two in many",
		"many/one":      "one in many/one",
		"many/one many": "one in many/one, one in many, two in many",
		"tagged":        "tagged in tagged",
		"lib":           "lib.go:3: is package lib, and a projection is a program: make it package main",
		"empty":         "has no projection",
		"many other":    "would both be one.wasm",
		"nowhere":       "no such file",
	} {
		var paths []string
		for _, folder := range strings.Fields(folders) {
			paths = append(paths, filepath.Join(root, folder))
		}
		projects, err := Projects(paths)
		got := fmt.Sprint(err)
		if err == nil {
			var names []string
			for _, p := range projects {
				under, _ := filepath.Rel(root, p.Under)
				names = append(names, p.Name+" in "+filepath.ToSlash(under))
			}
			got = strings.Join(names, ", ")
		}
		if err == nil && got != want || !strings.Contains(got, want) {
			t.Errorf("%s: %s, must be %s", folders, got, want)
		}
	}
}

// TestCache_isBounded keeps more than there is room for: what was used last stays.
func TestCache_isBounded(t *testing.T) {
	t.Parallel()
	c := testCache(t)
	c.filesMax, c.bytesMax, c.bytesValue = 4, 100, 50
	at := time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)
	keep := func(name string, size int) {
		t.Helper()
		c.keep(Key(name), []byte(strings.Repeat(name, size)))
		at = at.Add(time.Minute)
		if digest := c.digest(Key(name)); digest != "" {
			path := filepath.Join(c.folder, Key(name)+"."+digest+moduleSuffix)
			if err := os.Chtimes(path, at, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	left := func() (names string) {
		for _, name := range []string{"a", "b", "c", "d", "e", "f", "g"} {
			if c.digest(Key(name)) != "" {
				names += name
			}
		}
		return names
	}
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		keep(name, 10)
	}
	if got := left(); got != "bcde" {
		t.Errorf("of five modules the cache has %s", got)
	}
	if c.module(Key("b")) == nil { // it is used now
		t.Fatal("b is gone")
	}
	keep("f", 50)
	if got := left(); got != "bdef" {
		t.Errorf("the cache has %s", got)
	}
	keep("g", 51)
	if got := left(); got != "bdef" {
		t.Errorf("a module that is too large is kept: %s", got)
	}
	keep("f", 20)
	if wasm := c.module(Key("f")); string(wasm) != strings.Repeat("f", 20) {
		t.Errorf("a module that is kept again is %q", wasm)
	}
	damaged := filepath.Join(c.folder, Key("d")+"."+c.digest(Key("d"))+moduleSuffix)
	if err := os.WriteFile(damaged, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if wasm := c.module(Key("d")); wasm != nil {
		t.Errorf("a damaged module is %q", wasm)
	}
	c.KeepNote(Key("note"), []byte("text"))
	if note := c.Note(Key("note")); string(note) != "text" {
		t.Errorf("the note is %q", note)
	}
	none := &Cache{}
	none.keep("a", nil)
	if none.module("a") != nil || none.Note("a") != nil {
		t.Error("a cache without a folder keeps something")
	}
}

func TestUserCache_isOfTheUserAlone(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("PUPWASM_CACHE", folder)
	UserCache().KeepNote("a", []byte("text"))
	if note := UserCache().Note("a"); string(note) != "text" {
		t.Errorf("the note is %q", note)
	}
	if runtime.GOOS == "windows" {
		return
	}
	if err := os.Chmod(filepath.Join(folder, "built"), 0o777); err != nil {
		t.Fatal(err)
	}
	if note := UserCache().Note("a"); note != nil {
		t.Errorf("a folder that all may write to has the note %q", note)
	}
}

func TestCompileError_hasLines(t *testing.T) {
	t.Parallel()
	e := &CompileError{Folder: "guest", Compiler: TinyGo, Output: "# example.com/guest\n./main.go:3:1: a\n\nsub/x.go:4:2: b\r\n" +
		"/elsewhere/y.go:5:6: c\nclang: error: d\n"}
	want := []string{"guest/main.go:3:1: a", "guest/sub/x.go:4:2: b", "/elsewhere/y.go:5:6: c", "clang: error: d"}
	if got := e.Lines(); !slices.Equal(got, want) {
		t.Errorf("the lines are %q", got)
	}
}
