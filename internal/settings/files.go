package settings

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/pupwasm/pupwasm/host"
)

// Suffix ends the name of a file of settings, which has NAME.wasm beside it.
const Suffix = ".yaml"

const moduleSuffix = ".wasm"

// beside is the file of settings of a module.
func beside(module string) string { return strings.TrimSuffix(module, moduleSuffix) + Suffix }

// Files are the files of settings beside the modules of a folder. They are safe for concurrent use.
type Files struct {
	folder string

	mu   sync.Mutex
	base Module
}

// Beside returns the files beside the modules of a folder.
func Beside(folder string) *Files { return &Files{folder: folder} }

// SetBase sets what holds for modules where their own files say nothing.
func (f *Files) SetBase(base Module) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.base = base
}

// ForRegistry returns the files as a registry of modules takes them.
func (f *Files) ForRegistry() host.SettingsFiles {
	return host.SettingsFiles{Suffix: Suffix, Read: f.read}
}

// read returns the settings of a module. A module without a file has those for all.
func (f *Files) read(module string) (host.Settings, error) {
	settings, err := ReadModule(filepath.Join(f.folder, beside(module)))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return host.Settings{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return settings.Or(f.base).Host(), nil
}

// ReadModule reads a file of settings of a module.
//
// # Errors
//
// [Faults]; [fs.ErrNotExist].
func ReadModule(path string) (Module, error) {
	return moduleOf(Read(path))
}

// ParseModule reads the text of a file of settings of a module.
//
// # Errors
//
// [Faults].
func ParseModule(path string, text []byte) (Module, error) { return moduleOf(Parse(path, text)) }

// OfModule reads the settings of a module at the top of a file system. A module without a file has none.
//
// # Errors
//
// [Faults].
func OfModule(fsys fs.FS, module string) (Module, error) {
	file, err := readFS(fsys, beside(module))
	if errors.Is(err, fs.ErrNotExist) {
		return Module{}, nil
	}
	return moduleOf(file, err)
}

// Found is a file of settings in a folder.
type Found struct {
	Path     string
	Err      error // [Faults], or nil
	Module   bool  // it has a module beside it
	Misnamed bool  // it ends in .yml, so that nobody reads it
}

// Check reads every file of settings in a folder.
//
// # Errors
//
// Those of listing the folder.
func Check(folder string) ([]Found, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	var found []Found
	for _, name := range names {
		one := Found{Path: filepath.Join(folder, name)}
		switch filepath.Ext(name) {
		case ".yml":
			one.Misnamed = true
			found = append(found, one)
			continue
		case Suffix:
		default:
			continue
		}
		_, one.Err = ReadModule(one.Path)
		one.Module = slices.Contains(names, strings.TrimSuffix(name, Suffix)+moduleSuffix)
		found = append(found, one)
	}
	return found, nil
}
