package build

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// guest is the source of a projection, with more imports, and with code for its Handle.
func guest(imports, handle string) string {
	return `package main

import (
	pup "github.com/pupwasm/pupwasm/guest-sdk"
	` + imports + `
)

func init() {
	pup.Register(pup.Projection{Name: "guest", Version: 1, Handle: handle})
}

func handle(b *pup.Batch, out *pup.Mutations) error {
	` + handle + `
	return nil
}

func main() {}
`
}

// guestProject writes a Go module with these files, that finds the SDK.
func guestProject(t *testing.T, files map[string]string) Project {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "guest")
	sdk, err := filepath.Abs("../../guest-sdk")
	if err != nil {
		t.Fatal(err)
	}
	files = maps.Clone(files)
	if files["go.mod"] == "" {
		files["go.mod"] = "module example.com/guest\n\ngo 1.24\n\nrequire " + sdkPath + " v0.0.0\n\nreplace " + sdkPath + " => " +
			sdk + "\n"
	}
	for name, content := range files {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return Project{Name: "guest", Folder: folder, Under: folder}
}

// mistakesOf are those of a project, with paths from its folder.
func mistakesOf(t *testing.T, compiler Compiler, files map[string]string) []string {
	t.Helper()
	project := guestProject(t, files)
	packages, _, err := (&Builder{}).read(t.Context(), project, tool{kind: compiler})
	var wrong *MistakesError
	var mistakes []Mistake
	switch {
	case errors.As(err, &wrong):
		mistakes = wrong.Mistakes
	case err != nil:
		t.Fatal(err)
	default:
		mistakes = vet(compiler, packages)
	}
	lines := []string{}
	for _, m := range mistakes {
		lines = append(lines, strings.ReplaceAll(m.String(), project.Folder+string(filepath.Separator), ""))
	}
	return lines
}

// TestVet_findsMistakes has the beginnings of the lines that each compiler's modules get.
func TestVet_findsMistakes(t *testing.T) {
	t.Parallel()
	one := func(imports, handle string) map[string]string {
		return map[string]string{"main.go": guest(imports, handle)}
	}
	for name, test := range map[string]struct {
		files        map[string]string
		inGo, inTiny []string
	}{
		"nothing": {one("", ""), nil, nil},
		"goroutine": {
			one("", "go func() {}()"),
			[]string{"main.go:13: warning: a goroutine must end"},
			[]string{"main.go:13: TinyGo's modules have no goroutines"},
		},
		"time": {
			one(`"time"`, "_ = time.Now()"),
			[]string{"main.go:13: warning: time.Now is 1970-01-01"},
			[]string{"main.go:13: warning: time.Now is 1970-01-01"},
		},
		"time by another name": {
			one(`clock "time"`, "clock.Sleep(clock.Second)"),
			[]string{"main.go:13: warning: time.Sleep does not wait"},
			[]string{"main.go:13: warning: time.Sleep does not wait"},
		},
		"time without a name": {
			one(`. "time"`, "<-After(Second)"),
			[]string{"main.go:13: warning: time.After does not wait"},
			[]string{"main.go:13: time.After does not wait, and blocks"},
		},
		"time that is none":     {one("", "time := struct{ Now func() }{}\n\t_ = time.Now"), nil, nil},
		"time that is harmless": {one(`"time"`, "_ = time.UnixMicro(1)"), nil, nil},
		"zones": {
			one(`clock "time"`, `_, _ = clock.LoadLocation("Europe/Berlin")`),
			[]string{"main.go:13: time.LoadLocation cannot work, a module has no zone files: embed one ('//go:embed') and"},
			[]string{`main.go:13: time.LoadLocation cannot work, a module has no zone files: import _ "time/tzdata", or embed`},
		},
		"zones that are there": {
			map[string]string{
				"main.go":        guest("\"time\"\n\t_ \"example.com/guest/zones\"", "load := time.LoadLocation\n\t_ = load"),
				"zones/zones.go": "package zones\n\nimport _ \"time/tzdata\"\n",
			}, []string{"main.go:14: time.LoadLocation cannot work"}, nil,
		},
		"a zone in the source": {one(`"time"`, `_, _ = time.LoadLocationFromTZData("Europe/Berlin", nil)`), nil, nil},
		"a value, not a call":  {one(`"time"`, "now := time.Now\n\t_ = now"), []string{"main.go:13: warning: time.Now"}, []string{"main.go:13: warning: time.Now"}},
		"reflection": {
			one(`"encoding/json"`, "_ = json.Valid(nil)"),
			[]string{"main.go:13: warning: json.Valid works by reflection"},
			[]string{"main.go:13: warning: json.Valid works by reflection"},
		},
		"types of encoding/json": {one(`"encoding/json"`, "_ = struct{ A json.RawMessage; B json.Number }{}"), nil, nil},
		"files": {
			one(`"os"`, `_, _ = os.ReadFile("x")`),
			[]string{"main.go:13: os.ReadFile cannot work"},
			[]string{"main.go:13: os.ReadFile cannot work"},
		},
		"environment": {
			one(`"os"`, `_ = os.Getenv("x")`),
			[]string{"main.go:13: warning: os.Getenv is empty"},
			[]string{"main.go:13: warning: os.Getenv is empty"},
		},
		"output": {one(`"os"`, `os.Stderr.WriteString("x")`), nil, nil},
		"network": {
			one(`"net/http"`, `_ = http.StatusOK`),
			[]string{"main.go:5: package net/http cannot work"},
			[]string{"main.go:5: package net/http cannot work"},
		},
		"addresses": {one(`"net/netip"`, `_, _ = netip.ParseAddr("x")`), nil, nil},
		"random numbers": {
			one(`"math/rand/v2"`, `_ = rand.IntN(5)`),
			[]string{"main.go:13: warning: rand.IntN gives the same"},
			[]string{"main.go:13: warning: rand.IntN gives the same"},
		},
		"seeded numbers": {one(`"math/rand/v2"`, `_ = rand.New(rand.NewPCG(1, 2)).IntN(5)`), nil, nil},
		"random bytes": {
			one(`"crypto/rand"`, `_, _ = rand.Read(nil)`),
			[]string{"main.go:5: warning: package crypto/rand has no"},
			[]string{"main.go:5: package crypto/rand has no random bytes"},
		},
		"tests are left out": {
			map[string]string{"main.go": guest("", ""), "main_test.go": "package main\n\nimport _ \"net\"\n"}, nil, nil,
		},
		"in a package of its own": {
			map[string]string{
				"main.go":       guest(`"example.com/guest/parts"`, "parts.Now()"),
				"parts/time.go": "package parts\n\nimport \"time\"\n\nfunc Now() time.Time { return time.Now() }\n",
			}, []string{"parts/time.go:5: warning: time.Now is"}, []string{"parts/time.go:5: warning: time.Now is"},
		},
		"in a file for one compiler": {
			map[string]string{
				"main.go": guest("", ""),
				"tiny.go": "//go:build tinygo\n\npackage main\n\nfunc f() { go f() }\n",
			}, nil, []string{"tiny.go:5: TinyGo's modules have no goroutines"},
		},
		"nothing is registered": {
			map[string]string{"main.go": "package main\n\nfunc main() {}\n"},
			[]string{"main.go:3: the program registers no projection"},
			[]string{"main.go:3: the program registers"},
		},
		"registered in main": {
			map[string]string{"main.go": strings.ReplaceAll(strings.Replace(guest("", ""), "\nfunc main() {}\n", "", 1), "init()", "main()")},
			[]string{"main.go:9: pup.Register is called in main"},
			[]string{"main.go:9: pup.Register is called in main"},
		},
		"registered by what main calls": {
			map[string]string{"main.go": strings.NewReplacer("init()", "set()", "main() {}", "main() { set() }").Replace(guest("", ""))},
			[]string{"main.go:9: pup.Register is called in main"},
			[]string{"main.go:9: pup.Register is called in main"},
		},
		"registered by what nothing calls": {
			map[string]string{"main.go": strings.Replace(guest("", ""), "init()", "set()", 1)},
			[]string{"main.go:9: pup.Register is called in set, which nothing calls"},
			[]string{"main.go:9: pup.Register"},
		},
		"registered by what init calls": {
			map[string]string{"main.go": strings.Replace(guest("", ""), "init() {", "init() { set() }\n\nfunc set() {", 1)}, nil, nil,
		},
		"registered in a method that is called main": {
			map[string]string{"main.go": strings.Replace(guest("", ""), "init() {",
				"init() { x{}.main() }\n\ntype x struct{}\n\nfunc (x) main() {", 1)}, nil, nil,
		},
		"registered elsewhere": {
			map[string]string{
				"main.go":    "package main\n\nimport _ \"example.com/guest/set\"\n\nfunc main() {}\n",
				"set/set.go": strings.NewReplacer("package main", "package set", "func main() {}", "").Replace(guest("", "")),
			}, nil, nil,
		},
		"no main": {
			map[string]string{"main.go": strings.Replace(guest("", ""), "func main() {}", "", 1)},
			[]string{"main.go:1: the package has no func main"},
			[]string{"main.go:1: the package has no func main"},
		},
		"build tags": {
			map[string]string{"main.go": "// Package.\n\n//go:build amd64 && !tinygo\n\n" + guest("", "")},
			[]string{"main.go:3: '//go:build amd64 && !tinygo' excludes the file from modules, which Go builds with GOOS=wasip1"},
			[]string{"main.go:3: '//go:build amd64 && !tinygo' excludes the file from modules, which TinyGo builds with GOOS=linux"},
		},
		"the name of the file": {
			map[string]string{"main_windows.go": guest("", "")},
			[]string{"main_windows.go:1: the name of the file excludes it"},
			[]string{"main_windows.go:1: the name"},
		},
		"C": {
			map[string]string{"main.go": strings.Replace(guest("", ""), "import (", "import \"C\"\n\nimport (", 1)},
			[]string{"main.go:3: import \"C\" cannot work with Go: "},
			nil,
		},
		"C under another name": {
			map[string]string{"main_windows.go": "package main\n\nimport \"C\"\n"},
			[]string{"main_windows.go:1: the name of the file excludes it"},
			[]string{"main_windows.go:1: the name of the file excludes it"},
		},
		"a package that is missing": {
			one(`_ "example.org/nowhere"`, ""),
			[]string{"main.go:5: no required module provides package example.org/nowhere: 'go get example.org/nowhere' adds it"},
			[]string{"main.go:5: no required module provides package"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for compiler, want := range map[Compiler][]string{Go: test.inGo, TinyGo: test.inTiny} {
				got := mistakesOf(t, compiler, test.files)
				if !slices.EqualFunc(got, want, strings.HasPrefix) {
					t.Errorf("%s: the mistakes are %q, must begin with %q", compiler, got, want)
				}
				for _, line := range got {
					if strings.Contains(line, "\n") {
						t.Errorf("%q is not one line", line)
					}
				}
			}
		})
	}
}

func TestBuild_needsAGoModule(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "main.go"), []byte(guest("", "")), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := (&Builder{Compiler: Go}).Build(t.Context(), Project{Name: "a", Folder: folder}, filepath.Join(folder, "a.wasm"))
	var wrong *MistakesError
	if !errors.As(err, &wrong) || !strings.Contains(err.Error(), "go mod init") {
		t.Errorf("the error is %v", err)
	}
}
