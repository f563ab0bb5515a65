package build

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
)

// Project is a projection in source: a folder with a main package.
type Project struct {
	Name   string // of the folder, and of the module's file
	Folder string // absolute
	Under  string // absolute; the folder that was named, which is Folder or the one that it is in
}

// Projects returns the projections in folders. A folder that has a main package is one; otherwise those of its direct
// subfolders are that have one. Names that begin with "." or "_", testdata and vendor are passed over, as the go command
// does.
//
// # Errors
//
// [*MistakesError] for a folder without projections; a name that two projections have; those of the file system.
func Projects(folders []string) ([]Project, error) {
	var all []Project
	for _, named := range folders {
		folder, err := filepath.Abs(named)
		if err != nil {
			return nil, err
		}
		found, err := projectsIn(folder)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	byName := map[string]string{}
	for _, p := range all {
		if other, taken := byName[p.Name]; taken && other != p.Folder {
			return nil, fmt.Errorf("%s and %s would both be %s.wasm: build them one at a time, with --out for one",
				Relative(other), Relative(p.Folder), p.Name)
		}
		byName[p.Name] = p.Folder
	}
	return all, nil
}

func projectsIn(folder string) ([]Project, error) {
	other, is, err := mainPackage(folder)
	if err != nil {
		return nil, err
	}
	if is {
		return []Project{{Name: filepath.Base(folder), Folder: folder, Under: folder}}, nil
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var found []Project
	for _, entry := range entries {
		name := entry.Name()
		if !entry.IsDir() || name == "testdata" || name == "vendor" || strings.HasPrefix(name, ".") ||
			strings.HasPrefix(name, "_") {
			continue
		}
		within := filepath.Join(folder, name)
		if _, is, err := mainPackage(within); err == nil && is {
			found = append(found, Project{Name: name, Folder: within, Under: folder})
		}
	}
	if len(found) > 0 {
		return found, nil
	}
	if other != nil {
		return nil, &MistakesError{Folder: folder, Mistakes: []Mistake{*other}}
	}
	return nil, &MistakesError{Folder: folder, Mistakes: []Mistake{{File: folder, Text: "has no projection: neither the " +
		"folder nor one in it has a Go package main ('pupwasm new NAME' makes one)"}}}
}

// isTool tells whether a file is a program of its own for 'go run FILE', as generators are.
func isTool(file *ast.File) bool {
	for _, group := range file.Comments {
		for _, comment := range group.List {
			if comment.Text == "//go:build ignore" {
				return true
			}
		}
	}
	return false
}

// mainPackage tells whether a folder has a file of a main package, whatever its build tags. other is the mistake of a
// file of another package, where there are no others.
func mainPackage(folder string) (other *Mistake, is bool, err error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, false, err
	}
	for _, entry := range entries {
		name := entry.Name()
		if entry.IsDir() || filepath.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") ||
			strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") {
			continue
		}
		files := token.NewFileSet()
		path := filepath.Join(folder, name)
		file, _ := parser.ParseFile(files, path, nil, parser.PackageClauseOnly|parser.ParseComments)
		if file == nil || file.Name == nil || isTool(file) {
			continue
		}
		if file.Name.Name == "main" {
			return nil, true, nil
		}
		if other == nil {
			other = &Mistake{
				File: path, Line: files.Position(file.Package).Line,
				Text: fmt.Sprintf("is package %s, and a projection is a program: make it package main", file.Name.Name),
			}
		}
	}
	return other, false, nil
}
