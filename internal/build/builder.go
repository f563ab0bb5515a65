package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/internal/oneline"
)

// Builder makes modules of projections, and does nothing twice.
type Builder struct {
	// Compiler is the one to use. Defaults to Auto.
	Compiler Compiler
	// Cache keeps what was built. Defaults to none.
	Cache *Cache
	// Force compiles also what is in the cache.
	Force bool
	// Program is the version of the program that builds. What another one has built is built again.
	Program string
	// Finish tries a module that was compiled, and returns what its file is to have. Its errors are returned as they are.
	Finish func(ctx context.Context, name string, wasm []byte) ([]byte, error)
}

// Outcome says how a module came to its file.
type Outcome string

// The outcomes.
const (
	Compiled  Outcome = "compiled"
	FromCache Outcome = "from the cache" // it was built before
	Unchanged Outcome = "unchanged"      // it was in the file already
)

// Result is a module that was built.
type Result struct {
	Project  Project
	File     string // as it was given
	Compiler Compiler
	Version  string // of the compiler: 0.41.1 or go1.26.8
	Outcome  Outcome
	Wasm     []byte
	Took     time.Duration
	Warnings []Mistake
}

// Build makes the module of a projection, in the file out.
//
// # Errors
//
// [*MistakesError] and [*CompileError] for the source; [ErrNoTinyGo] and [ErrNoGo]; those of Finish and of files.
func (b *Builder) Build(ctx context.Context, project Project, out string) (*Result, error) {
	started := clock.Now()
	compiler := b.Compiler
	if compiler == "" {
		compiler = Auto
	}
	with, err := findCompiler(compiler)
	if err != nil {
		return nil, err
	}
	result := &Result{Project: project, File: out, Compiler: with.kind}
	packages, environment, err := b.read(ctx, project, with)
	if err != nil {
		return nil, err
	}
	mistakes := vet(with.kind, packages)
	if refuses(mistakes) {
		return nil, &MistakesError{Folder: project.Folder, Mistakes: mistakes}
	}
	result.Warnings = mistakes
	said, version, err := with.version(ctx, environment)
	if err != nil {
		return nil, err
	}
	result.Version = version
	cache := b.Cache
	if cache == nil || !cacheable(environment, packages) {
		cache = &Cache{}
	}
	key, err := b.key(with, said, environment, packages)
	if err != nil {
		return nil, err
	}
	unchanged := func() bool {
		packages, environment, err := b.read(ctx, project, with) // files may have come
		if err != nil {
			return false
		}
		now, err := b.key(with, said, environment, packages)
		return err == nil && now == key
	}
	if err := b.make(ctx, with, cache, key, unchanged, result); err != nil {
		return nil, err
	}
	result.Took = clock.Since(started)
	return result, nil
}

// read asks the go command what the module is compiled from.
func (b *Builder) read(ctx context.Context, project Project, with tool) ([]*listedPackage, goEnvironment, error) {
	environment, err := readGoEnvironment(ctx, project.Folder)
	if err != nil {
		return nil, environment, err
	}
	if environment.GOMOD == "" || environment.GOMOD == os.DevNull {
		return nil, environment, &MistakesError{Folder: project.Folder, Mistakes: []Mistake{{
			File: project.Folder, Text: "is in no Go module, there is no go.mod: 'pupwasm new NAME' makes a project, " +
				"'go mod init NAME' in this folder a module of it",
		}}}
	}
	packages, err := listPackages(ctx, with.kind, project.Folder, environment)
	if err != nil {
		return nil, environment, err
	}
	if mistakes := listingMistakes(project, with.kind, packages); len(mistakes) > 0 {
		return nil, environment, &MistakesError{Folder: project.Folder, Mistakes: mistakes}
	}
	return packages, environment, nil
}

// make has the module in its file: the one that is there, or one of the cache, or a new one. A source that changes while
// it is compiled is not kept under the key that it had before.
func (b *Builder) make(
	ctx context.Context, with tool, cache *Cache, key string, unchanged func() bool, r *Result,
) error {
	if wasm := cache.module(key); wasm != nil && !b.Force {
		r.Wasm, r.Outcome = wasm, Unchanged
		if there, err := os.ReadFile(r.File); err == nil && Digest(there) == Digest(wasm) {
			return nil
		}
		r.Outcome = FromCache
		return WriteFile(r.File, wasm)
	}
	wasm, err := with.compile(ctx, r.Project.Folder)
	if err != nil {
		return err
	}
	if b.Finish != nil {
		if wasm, err = b.Finish(ctx, filepath.Base(r.File), wasm); err != nil {
			return err
		}
	}
	r.Wasm, r.Outcome = wasm, Compiled
	if err := WriteFile(r.File, wasm); err != nil {
		return err
	}
	if cache.folder != "" && unchanged() {
		cache.keep(key, wasm)
	}
	return nil
}

// cacheable tells whether a key has all that a module depends on. C and assembler include files that the go command does
// not list, and two flags of Go put other files in the place of those that it lists.
func cacheable(environment goEnvironment, packages []*listedPackage) bool {
	for _, name := range []string{"overlay", "modfile"} {
		if _, is := environment.flag(name); is {
			return false
		}
	}
	return !slices.ContainsFunc(packages, func(p *listedPackage) bool {
		return !p.Standard && len(p.CgoFiles)+len(p.CFiles)+len(p.CXXFiles)+len(p.SFiles) > 0
	})
}

// keyVersion is another one when something changes that is not part of a key.
const keyVersion = "2"

// key is a name for all that a module depends on.
func (b *Builder) key(with tool, version string, environment goEnvironment, packages []*listedPackage) (string, error) {
	texts := []string{
		keyVersion, b.Program, string(with.kind), with.path, version, string(target), strings.Join(goFlags, " "),
		strings.Join(tinyGoFlags, " "), environment.GOVERSION, environment.GOFLAGS, environment.GOEXPERIMENT,
		environment.GOWASM, environment.GOROOT,
	}
	paths := []string{}
	for _, p := range packages {
		if p.Standard {
			continue
		}
		texts = append(texts, p.ImportPath)
		paths = append(paths, p.files()...)
		if p.Module != nil && p.Module.GoMod != "" {
			paths = append(paths, p.Module.GoMod)
		}
	}
	module := environment.GOMOD
	paths = append(paths, module, strings.TrimSuffix(module, ".mod")+".sum")
	if work := environment.GOWORK; work != "" && work != "off" {
		paths = append(paths, work, work+".sum")
	}
	slices.Sort(paths)
	for _, path := range slices.Compact(paths) {
		content, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("reading the source: %w", err)
		}
		texts = append(texts, path, string(content))
	}
	return Key(texts...), nil
}

// version is all that a compiler says of its version, and the number alone.
func (t tool) version(ctx context.Context, environment goEnvironment) (said, number string, err error) {
	if t.kind == Go {
		number, _, _ = strings.Cut(environment.GOVERSION, " ") // experiments follow
		return environment.GOVERSION, number, nil
	}
	out, err := command(ctx, t.path, "version").Output()
	if err != nil {
		return "", "", fmt.Errorf("asking %s for its version: %w", t.path, err)
	}
	said = oneline.Text(string(out))
	if words := strings.Fields(said); len(words) > 2 {
		number = words[2]
	}
	return said, number, nil
}
