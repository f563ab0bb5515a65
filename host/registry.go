package host

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
)

// Registry is a folder of modules: every file that ends in .wasm. It is used by one goroutine.
type Registry struct {
	runtime *Runtime
	folder  string
	files   map[string]*registered
	freed   bool // a projection's name became free since Sync began
}

// registered is what the registry knows of a file.
type registered struct {
	hash   [sha256.Size]byte // of the bytes that were last looked at
	module *Module           // the last that loaded, which goes on when a newer one does not
	// refused says that the last look found a module that may not run beside another one.
	refused bool
}

// Change is what happened to a file of the folder.
type Change struct {
	File     string
	Previous *Module // what the file was before, or nil
	Module   *Module // what it is now; nil when the file is gone or does not load
	Err      error   // why it does not load; then Previous goes on
}

// NewRegistry watches over a folder, which has to exist.
func NewRegistry(runtime *Runtime, folder string) (*Registry, error) {
	info, err := os.Stat(folder)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("the modules folder %s does not exist", folder)
	case err != nil:
		return nil, fmt.Errorf("opening the modules folder: %w", err)
	case !info.IsDir():
		return nil, fmt.Errorf("%s is not a folder: name the folder that holds the .wasm files", folder)
	}
	return &Registry{runtime: runtime, folder: folder, files: map[string]*registered{}}, nil
}

// Sync compares the folder with what is loaded and returns what changed: first the files that are gone, then the others
// in order. Every file that does not load is reported once for each content. The caller closes modules that it no longer uses: those named by Previous once a
// Module stands in their place or the file is gone.
func (r *Registry) Sync(ctx context.Context) ([]Change, error) {
	names, err := moduleFiles(r.folder)
	if err != nil {
		return nil, fmt.Errorf("listing the modules folder: %w", err) // which says nothing about the modules
	}
	// Files that are gone come first: a module may have moved to another name.
	changes := r.forget(names)
	looked, err := r.lookAll(ctx, names)
	changes = append(changes, looked...)
	if err == nil && r.freed {
		looked, err = r.lookAll(ctx, names)
		changes = append(changes, looked...)
	}
	r.freed = false
	return changes, err
}

func (r *Registry) lookAll(ctx context.Context, names []string) (changes []Change, err error) {
	for _, name := range names {
		wasm, err := r.runtime.ReadModule(filepath.Join(r.folder, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // gone since the listing: the next call finds out
		}
		change, changed := r.look(ctx, name, wasm, err)
		if ctx.Err() != nil {
			return changes, ctx.Err()
		}
		if changed {
			changes = append(changes, change)
		}
	}
	return changes, nil
}

// forget drops the files that are no longer there. With a module gone, another that was refused for its sake may load.
func (r *Registry) forget(names []string) []Change {
	var changes []Change
	for file, known := range r.files {
		if !slices.Contains(names, file) {
			delete(r.files, file)
			if known.module != nil {
				changes = append(changes, Change{File: file, Previous: known.module})
			}
		}
	}
	sort.Slice(changes, func(i, j int) bool { return changes[i].File < changes[j].File })
	if len(changes) > 0 {
		r.lookAgain()
	}
	return changes
}

// lookAgain has every file that was refused for another's sake looked at again: a name has become free.
func (r *Registry) lookAgain() {
	r.freed = true
	for _, known := range r.files {
		if known.refused {
			known.hash = [sha256.Size]byte{}
		}
	}
}

// look loads a file when its content is new.
func (r *Registry) look(ctx context.Context, file string, wasm []byte, readErr error) (Change, bool) {
	known, seen := r.files[file]
	if !seen {
		known = &registered{}
		r.files[file] = known
	}
	change := Change{File: file, Previous: known.module}
	hash := sha256.Sum256(wasm)
	if readErr != nil {
		hash = sha256.Sum256([]byte(readErr.Error()))
	}
	if seen && hash == known.hash {
		return change, false
	}
	known.hash = hash
	if readErr != nil {
		reason := fmt.Sprintf("cannot be read: %v", readErr)
		var distrust *TrustError
		if errors.As(readErr, &distrust) {
			reason = distrust.Reason
		}
		change.Err = &LoadError{File: file, Reason: reason}
		return change, true
	}
	module, err := r.runtime.Load(ctx, file, wasm)
	known.refused = false
	if err == nil {
		if err = r.checkName(module); err != nil {
			known.refused = true
			module.Close(ctx)
		}
	}
	if err != nil {
		change.Err = err
		return change, true
	}
	if previous := known.module; previous != nil && previous.Description.Name != module.Description.Name {
		r.lookAgain()
	}
	known.module, change.Module = module, module
	return change, true
}

// checkName refuses a second module for one projection: both would write the same tables.
func (r *Registry) checkName(module *Module) error {
	for file, other := range r.files {
		if file != module.File && other.module != nil && other.module.Description.Name == module.Description.Name {
			return &LoadError{File: module.File, Reason: fmt.Sprintf(
				"implements projection %q as %s does: remove one of the two", module.Description.Name, file)}
		}
	}
	return nil
}

// moduleFiles returns the names of a folder's modules in order.
func moduleFiles(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, entry := range entries {
		if filepath.Ext(entry.Name()) == ".wasm" {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}
