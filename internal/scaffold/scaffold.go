// Package scaffold writes the folder of a new projection, from the templates beside it.
package scaffold

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/pupwasm/pupwasm/store"
)

//go:embed templates
var templates embed.FS

// Templates are the names of the templates, and what their projections are.
var Templates = []struct{ Name, What string }{
	{"counter", "orders and total of every customer"},
	{"state", "the state of every order"},
	{"log", "every event as a row"},
	{"totals", "orders and payments by article"},
	{"messages", "a message for every order that is paid"},
}

// Project is what a new projection is made of.
type Project struct {
	Name       string // of the projection and of its Go module
	Template   string // one of Templates
	SDKVersion string // of the SDK's Go module, such as v1.2.3; v0.0.0 where SDKPath or a workspace has it
	SDKPath    string // folder of the SDK, for a replace directive; empty for none
	Go         string // release that go.mod asks for; defaults to that of the SDK
}

// What is what the projection is, in a few words.
func (p *Project) What() string {
	for _, t := range Templates {
		if t.Name == p.Template {
			return t.What
		}
	}
	return ""
}

// CheckName refuses what no projection can be called.
func CheckName(name string) error {
	projection := store.Projection{Name: name, Version: 1} // what else it lacks is not of its name
	var wrong *store.CatalogueError
	if errors.As(projection.Validate(), &wrong) && strings.HasPrefix(wrong.Item, "projection ") {
		return wrong
	}
	return nil
}

// goRelease is that of the SDK.
const goRelease = "1.24"

// Write writes the files into a folder that does not exist yet. It is there as a whole or not at all.
//
// # Errors
//
// [fs.ErrExist] where something has the folder's name; those of [CheckName] and of files.
func Write(p Project, folder string) (err error) {
	if err := CheckName(p.Name); err != nil {
		return err
	}
	if p.What() == "" {
		return fmt.Errorf("there is no template %q", p.Template)
	}
	if p.Go == "" {
		p.Go = goRelease
	}
	if err := os.MkdirAll(filepath.Dir(folder), 0o777); err != nil {
		return err
	}
	if err := os.Mkdir(folder, 0o777); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.RemoveAll(folder)
		}
	}()
	for _, part := range []string{"common", p.Template} {
		if err := p.write(path.Join("templates", part), folder); err != nil {
			return err
		}
	}
	return nil
}

// write writes the files of one template.
func (p *Project) write(from, folder string) error {
	return fs.WalkDir(templates, from, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(folder, filepath.FromSlash(strings.TrimPrefix(name, from)))
		if entry.IsDir() {
			return os.MkdirAll(to, 0o777)
		}
		made, err := template.ParseFS(templates, name)
		if err != nil {
			return err
		}
		to = strings.TrimSuffix(to, ".tmpl")
		if filepath.Base(to) == "gitignore" {
			to = filepath.Join(filepath.Dir(to), ".gitignore")
		}
		file, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
		if err != nil {
			return err
		}
		return errors.Join(made.Execute(file, p), file.Close())
	})
}

// Names are the names of the templates.
func Names() []string {
	var names []string
	for _, t := range Templates {
		names = append(names, t.Name)
	}
	return names
}
