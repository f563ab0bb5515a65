package eventgen

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/tools/go/packages"

	"github.com/pupwasm/pupwasm/internal/build"
	"github.com/pupwasm/pupwasm/internal/oneline"
)

// Go modules whose packages generated code imports.
const (
	program  = "github.com/pupwasm/pupwasm"
	guestSDK = program + "/guest-sdk"
)

// versionFolder is the name of a folder with the events of a version.
var versionFolder = regexp.MustCompile(`^v([1-9][0-9]{0,8})$`)

// version is the package of one version of the schemas.
type version struct {
	number int
	path   string // folder
	pkg    *packages.Package
}

// source is what was read of a folder of events.
type source struct {
	folder   string
	versions []*version // ascending
	fset     *token.FileSet
	marks    map[*types.TypeName]mark
	fields   map[*types.Named][]field

	module                     string // path of go.mod
	forGuests, forApplications bool   // its Go module can import what the generated code needs

	mistakes []build.Mistake
}

// mistake notes what is wrong at a place.
func (s *source) mistake(at token.Pos, format string, args ...any) {
	place := s.fset.Position(at)
	s.mistakes = append(s.mistakes, build.Mistake{File: place.Filename, Line: place.Line, Text: fmt.Sprintf(format, args...)})
}

// err is what was wrong so far, or nil.
func (s *source) err() error {
	if len(s.mistakes) == 0 {
		return nil
	}
	slices.SortStableFunc(s.mistakes, func(a, b build.Mistake) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	return &build.MistakesError{Folder: s.folder, Mistakes: slices.Compact(s.mistakes)}
}

// load reads the packages of all versions. What was generated in them earlier is left out, since it may not fit.
func load(ctx context.Context, folder string) (*source, error) {
	s := &source{
		folder: folder, fset: token.NewFileSet(), marks: map[*types.TypeName]mark{},
		fields: map[*types.Named][]field{},
	}
	if err := s.findVersions(); err != nil {
		return nil, err
	}
	config := &packages.Config{
		Context: ctx, Dir: folder, Fset: s.fset, Overlay: map[string][]byte{},
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedImports | packages.NeedSyntax | packages.NeedTypes |
			packages.NeedTypesInfo | packages.NeedModule,
	}
	var patterns []string
	for _, v := range s.versions {
		patterns = append(patterns, "./"+filepath.Base(v.path))
		if stubs := decimalStubs(v.path); stubs != nil {
			config.Overlay[filepath.Join(v.path, decimalsFile)] = stubs
		}
	}
	if registry := filepath.Join(folder, registryFile); exists(registry) { // it imports what may be gone
		config.Overlay[registry] = []byte("package " + packageName(folder, registryFile) + "\n")
	}
	loaded, err := packages.Load(config, patterns...)
	if err != nil {
		return nil, fmt.Errorf("reading the Go packages in %s: %w", folder, err)
	}
	for _, p := range loaded {
		s.take(p)
	}
	for _, v := range s.versions {
		if v.pkg == nil {
			s.mistakes = append(s.mistakes, build.Mistake{File: v.path, Text: "has no Go package: put structs into it"})
		}
	}
	if err := s.err(); err != nil {
		return nil, err
	}
	if err := s.readRequirements(); err != nil {
		return nil, err
	}
	s.checkImports()
	return s, s.err()
}

// checkImports refuses versions that import what is generated of them.
func (s *source) checkImports() {
	parent := path.Dir(s.versions[0].pkg.PkgPath)
	for _, v := range s.versions {
		for _, file := range v.pkg.Syntax {
			for _, imported := range file.Imports {
				name, err := strconv.Unquote(imported.Path.Value)
				switch {
				case err != nil:
				case name == parent && s.forApplications:
					s.mistake(imported.Pos(), "imports %s, whose %s imports this package: move what it needs to a package of its own",
						name, registryFile)
				case name == parent+"/"+guestPackage:
					s.mistake(imported.Pos(), "imports %s, which imports this package", name)
				}
			}
		}
	}
}

// packageName is the name of the package in a folder by its files, without one of them. It is that of the folder where
// there are no others.
func packageName(folder, without string) string {
	for _, file := range sourcesOf(folder, without) {
		if parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.PackageClauseOnly); err == nil {
			return parsed.Name.Name
		}
	}
	return filepath.Base(folder)
}

// sourcesOf are the Go files of a folder, without tests and one other file. A folder that cannot be read has none: the go
// command says why.
func sourcesOf(folder, without string) []string {
	files, _ := filepath.Glob(filepath.Join(folder, "*.go"))
	return slices.DeleteFunc(files, func(file string) bool {
		return filepath.Base(file) == without || strings.HasSuffix(file, "_test.go")
	})
}

// readRequirements finds out what the Go module of the folder requires: in a workspace it could import more.
func (s *source) readRequirements() error {
	module := s.versions[0].pkg.Module
	if module == nil || module.GoMod == "" {
		return fmt.Errorf("%s is in no Go module: 'go mod init' makes one", build.Relative(s.folder))
	}
	text, err := os.ReadFile(module.GoMod)
	if err != nil {
		return err
	}
	file, err := modfile.ParseLax(module.GoMod, text, nil)
	if err != nil {
		return err
	}
	s.module = module.GoMod
	s.forGuests, s.forApplications = module.Path == guestSDK, module.Path == program
	for _, required := range file.Require {
		s.forGuests = s.forGuests || required.Mod.Path == guestSDK
		s.forApplications = s.forApplications || required.Mod.Path == program
	}
	return nil
}

// findVersions finds the folders v1, v2 and so on.
func (s *source) findVersions() error {
	entries, err := os.ReadDir(s.folder)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := versionFolder.FindStringSubmatch(entry.Name())
		if name == nil || !entry.IsDir() {
			continue
		}
		number, err := strconv.ParseInt(name[1], 10, 32)
		if err != nil {
			return err
		}
		s.versions = append(s.versions, &version{number: int(number), path: filepath.Join(s.folder, entry.Name())})
	}
	if len(s.versions) == 0 {
		return &NoVersionsError{Folder: s.folder}
	}
	slices.SortFunc(s.versions, func(a, b *version) int { return cmp.Compare(a.number, b.number) })
	return nil
}

// NoVersionsError says that a folder has no events.
type NoVersionsError struct{ Folder string }

// Error is the line for the user.
func (e *NoVersionsError) Error() string {
	return fmt.Sprintf("%s has no folder v1: put the structs of your events into a Go package there",
		build.Relative(e.Folder))
}

// take sorts a loaded package to its version, and notes its errors.
func (s *source) take(p *packages.Package) {
	// What a compiler prints of a package is in its other errors as well, and what cannot be listed or parsed has errors of
	// types that say it again.
	said := slices.DeleteFunc(p.Errors, func(wrong packages.Error) bool { return strings.HasPrefix(wrong.Msg, "# ") })
	for _, wrong := range said {
		if wrong.Kind == said[0].Kind {
			s.mistakes = append(s.mistakes, listMistake(s.folder, wrong))
		}
	}
	for _, v := range s.versions {
		if len(p.GoFiles) > 0 && filepath.Dir(p.GoFiles[0]) == v.path {
			v.pkg = p
			s.readMarks(p)
		}
	}
}

// place is FILE:LINE:COLUMN, as the go command writes it.
var place = regexp.MustCompile(`^(.+?):(\d+)(?::\d+)?$`)

func listMistake(folder string, wrong packages.Error) build.Mistake {
	m := build.Mistake{File: folder, Text: oneline.Text(wrong.Msg)}
	if at := place.FindStringSubmatch(wrong.Pos); at != nil {
		m.File = at[1]
		m.Line, _ = strconv.Atoi(at[2])
	}
	return m
}

func exists(file string) bool {
	_, err := os.Lstat(file)
	return !errors.Is(err, os.ErrNotExist)
}
