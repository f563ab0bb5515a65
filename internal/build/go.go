package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// ErrNoGo says that there is no go command, which both compilers need.
var ErrNoGo = errors.New("there is no go command on PATH: install Go (https://go.dev/doc/install)")

// environmentOf is that of the go command for what a compiler compiles. The go command then chooses the files that the
// compiler chooses.
func environmentOf(compiler Compiler) []string {
	if compiler == Go {
		return append(environment(), "GOOS=wasip1", "GOARCH=wasm")
	}
	return append(environment(), "GOOS="+tinyGoTarget.System, "GOARCH="+tinyGoTarget.Architecture, "CGO_ENABLED=1")
}

// tagsOf are the build tags that a compiler sets, besides those of its system and architecture.
func tagsOf(compiler Compiler) []string {
	if compiler == Go {
		return nil
	}
	return append([]string{
		"tinygo", "purego", "osusergo", "math_big_pure_go", "gc." + tinyGoTarget.Collector,
		"scheduler." + tinyGoTarget.Scheduler, "serial.none",
	}, tinyGoTarget.Tags...)
}

// tinyGoTarget is what the target of TinyGo says of the choice of files.
var tinyGoTarget = func() (t struct {
	System       string   `json:"goos"`
	Architecture string   `json:"goarch"`
	Tags         []string `json:"build-tags"`
	Collector    string   `json:"gc"`
	Scheduler    string   `json:"scheduler"`
},
) {
	if err := json.Unmarshal(target, &t); err != nil {
		panic("pupwasm.json: " + err.Error())
	}
	return t
}()

// goEnvironment is what the go command says of a folder.
type goEnvironment struct {
	GOMOD, GOWORK, GOVERSION, GOFLAGS, GOEXPERIMENT, GOWASM, GOROOT string
}

// flag returns the value of a flag in GOFLAGS, where the last one counts, and whether it is there.
func (e goEnvironment) flag(name string) (value string, is bool) {
	for left := strings.TrimSpace(e.GOFLAGS); left != ""; left = strings.TrimSpace(left) {
		before, flag := left, ""
		if quote := left[:1]; quote == "'" || quote == `"` {
			flag, left, _ = strings.Cut(before[1:], quote)
		} else {
			flag = strings.Fields(before)[0]
			left = before[len(flag):]
		}
		if key, text, _ := strings.Cut(strings.TrimLeft(flag, "-"), "="); key == name {
			value, is = text, true
		}
	}
	return value, is
}

// tags are those of GOFLAGS, which TinyGo does not read.
func (e goEnvironment) tags() []string {
	value, _ := e.flag("tags")
	return strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' })
}

// readGoEnvironment asks the go command about a folder.
func readGoEnvironment(ctx context.Context, folder string) (e goEnvironment, err error) {
	out, err := runGo(ctx, folder, environment(), "env", "-json", "GOMOD", "GOWORK", "GOVERSION", "GOFLAGS",
		"GOEXPERIMENT", "GOWASM", "GOROOT")
	if err != nil {
		return e, err
	}
	return e, json.Unmarshal(out, &e)
}

// listedPackage is what the go command says of a package that a module is compiled from.
type listedPackage struct {
	Dir, ImportPath, Name string
	Standard              bool
	Module                *struct {
		Path, Version, GoMod string
	}
	GoFiles, CgoFiles, CFiles, CXXFiles, HFiles, SFiles, SysoFiles, EmbedFiles []string
	IgnoredGoFiles                                                             []string

	Error *struct{ Pos, Err string }
}

// fields are those of listedPackage.
const fields = "Dir,ImportPath,Name,Standard,Module,GoFiles,CgoFiles,CFiles,CXXFiles,HFiles,SFiles,SysoFiles," +
	"EmbedFiles,IgnoredGoFiles,Error"

// listPackages returns the packages that the main package in a folder is compiled from by a compiler. The main package
// is the last one.
func listPackages(
	ctx context.Context, compiler Compiler, folder string, environment goEnvironment,
) ([]*listedPackage, error) {
	arguments := []string{"list", "-e", "-deps", "-json=" + fields}
	if tags := tagsOf(compiler); len(tags) > 0 { // they undo those of GOFLAGS
		arguments = append(arguments, "-tags="+strings.Join(append(tags, environment.tags()...), ","))
	}
	out, err := runGo(ctx, folder, environmentOf(compiler), append(arguments, ".")...)
	if err != nil {
		return nil, err
	}
	var packages []*listedPackage
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		p := &listedPackage{}
		if err := decoder.Decode(p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("reading what 'go list' says: %w", err)
		}
		packages = append(packages, p)
	}
	if len(packages) == 0 {
		return nil, fmt.Errorf("'go list' finds no package in %s", Relative(folder))
	}
	return packages, nil
}

// files are the paths of all that the package is compiled from.
func (p *listedPackage) files() []string {
	var paths []string
	for _, names := range [][]string{
		p.GoFiles, p.CgoFiles, p.CFiles, p.CXXFiles, p.HFiles, p.SFiles, p.SysoFiles, p.EmbedFiles,
	} {
		for _, name := range names {
			paths = append(paths, filepath.Join(p.Dir, name))
		}
	}
	return paths
}

// runGo runs the go command in a folder and returns what it writes. What it complains of is a [*CompileError].
func runGo(ctx context.Context, folder string, environment []string, arguments ...string) ([]byte, error) {
	cmd := command(ctx, "go", arguments...)
	cmd.Dir, cmd.Env = folder, environment
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, exec.ErrNotFound):
		return nil, ErrNoGo
	case err != nil:
		return nil, &CompileError{Folder: folder, Compiler: Go, Output: complaint.String(), err: err}
	}
	return out, nil
}

// Relative returns a path as it is from the current folder, or as it was given if the two have little in common.
func Relative(path string) string {
	here, err := os.Getwd()
	if err != nil || !filepath.IsAbs(path) {
		return path
	}
	short, err := filepath.Rel(here, path)
	if err != nil || strings.HasPrefix(short, filepath.Join("..", "..", "..")) {
		return path
	}
	return short
}
