package plan

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/settings"
)

// Loaded is the file of a module: the module, or why there is none.
type Loaded struct {
	File   string // without its folder
	Module *host.Module
	Err    error
}

// Close closes modules that nobody else closes.
func Close(modules []Loaded) {
	for _, loaded := range modules {
		if loaded.Module != nil {
			loaded.Module.Close(context.Background())
		}
	}
}

// Load loads the modules of a folder as a host does, or that of a file, with the settings beside them. It waits for
// slow ones. The caller closes them.
//
// # Errors
//
// Those of the folder or file itself, fs.ErrNotExist among them, and ctx's.
func Load(ctx context.Context, runtime *host.Runtime, path string) ([]Loaded, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		loaded := loadFile(ctx, runtime, path)
		return []Loaded{loaded}, ctx.Err()
	}
	registry, err := host.NewRegistry(runtime, path)
	if err != nil {
		return nil, err
	}
	defer registry.Close()
	registry.UseSettings(settings.Beside(path).ForRegistry())
	var all []Loaded
	take := func(changes []host.Change) bool {
		for _, change := range changes {
			all = append(all, Loaded{File: change.File, Module: change.Module, Err: change.Err})
		}
		return false
	}
	changes, err := registry.Sync(ctx)
	take(changes)
	if err == nil {
		err = registry.Await(ctx, take)
	}
	if err != nil {
		Close(all)
		return nil, err
	}
	slices.SortStableFunc(all, func(a, b Loaded) int { return strings.Compare(a.File, b.File) })
	return all, nil
}

func loadFile(ctx context.Context, runtime *host.Runtime, path string) Loaded {
	folder, file := filepath.Split(path)
	loaded := Loaded{File: file}
	wasm, err := runtime.ReadModule(path)
	if err != nil {
		loaded.Err = &host.LoadError{File: file, Reason: "cannot be read: " + err.Error()}
		return loaded
	}
	beside, err := settings.Beside(folder).ForRegistry().Read(file)
	if err != nil {
		loaded.Err = &host.SettingsError{File: file, Err: err}
		return loaded
	}
	loaded.Module, loaded.Err = runtime.LoadWith(ctx, file, wasm, beside)
	return loaded
}
