package host

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/pupwasm/pupwasm/internal/clock"
)

// Registry loads the modules of a folder: every file that ends in .wasm. One goroutine uses it. Modules load
// concurrently; a slow one holds up neither the others nor the caller.
type Registry struct {
	runtime *Runtime
	folder  string
	files   map[string]*moduleFile
	// rescan makes Sync check the folder again: a version of a projection became free, or a file has changed while
	// it was loading
	rescan   bool
	arrived  chan struct{}
	recheck  chan struct{} // see Recheck
	settings SettingsFiles
	syncWait time.Duration // for modules that load, in Sync
	loads    sync.WaitGroup
}

// moduleFile is what the registry knows of a file.
type moduleFile struct {
	hash   [sha256.Size]byte // of the bytes that were checked last
	module *Module           // the last that loaded, which goes on when a newer one does not
	load   *load             // of those bytes, while it is under way
	// refused says that another module has the same projection in the same version.
	refused bool
	// The settings with which it was loaded, whether there were any that were not refused, why those that the
	// operator wrote are refused, and whether this was not told yet.
	settings    Settings
	accepted    bool
	settingsErr error
	untold      bool
	// For bytes that failed to load for a reason of this machine: when to retry, the pause after that, and
	// the last error.
	retry     time.Time
	pause     time.Duration
	lastError string
}

// The pauses between retries of a load that failed for a reason of this machine.
const (
	retryPause    = 5 * time.Second
	retryPauseMax = 5 * time.Minute
)

// Change is what happened to a file of the folder.
type Change struct {
	File     string
	Previous *Module // what the file was before, or nil; also for a file that is gone whose settings were refused
	Module   *Module // what it is now; nil when the file is gone or does not load
	Err      error   // why it does not load, or a [*SettingsError]; then Previous goes on
}

// NewRegistry makes a registry of a folder, which must exist.
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
	return &Registry{
		runtime: runtime, folder: folder, files: map[string]*moduleFile{},
		arrived: make(chan struct{}, 1), recheck: make(chan struct{}, 1), syncWait: syncWait,
	}, nil
}

// UseSettings makes the registry load modules with the settings of files beside them. It must be called before Sync.
func (r *Registry) UseSettings(files SettingsFiles) { r.settings = files }

// syncWait is how long Sync waits for modules that load.
const syncWait = 3 * time.Second

// Sync compares the folder with what is loaded and returns what changed: first the files that are gone, then
// the others in order. A file that does not load is reported once per content, and retried if the reason was
// this machine ([LoadError].Transient). The caller closes the module in Previous when Module replaces it or
// the file is gone.
//
// Modules that need more than some seconds go on loading until ctx ends. Arrived signals when to call
// [Registry.Collect].
func (r *Registry) Sync(ctx context.Context) ([]Change, error) {
	names, err := listModules(r.folder)
	if err != nil {
		return nil, fmt.Errorf("listing the modules folder: %w", err) // which says nothing about the modules
	}
	// Files that are gone come first: a module may have moved to another name.
	changes := r.dropMissing(names)
	for {
		r.rescan = false
		r.checkAll(ctx, names)
		r.awaitQuick(ctx)
		changes = append(changes, r.Collect(ctx)...)
		if ctx.Err() != nil {
			return changes, ctx.Err()
		}
		if !r.rescan {
			return changes, nil
		}
	}
}

// Await passes on the changes of modules that are still loading, until the receiver has enough or none is left.
//
// # Errors
//
// ctx's.
func (r *Registry) Await(ctx context.Context, take func([]Change) (enough bool)) error {
	for r.Loading() > 0 {
		select {
		case <-r.Arrived():
			if take(r.Collect(ctx)) {
				return nil
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Collect returns the changes by modules that finished loading since Sync.
func (r *Registry) Collect(ctx context.Context) (changes []Change) {
	for _, file := range slices.Sorted(maps.Keys(r.files)) {
		known := r.files[file]
		if change, told := r.collectLoad(ctx, file, known); told {
			changes = append(changes, change)
		}
		if refused := known.refusedSettings(file); refused != nil {
			changes = append(changes, *refused)
		}
	}
	return changes
}

func (r *Registry) collectLoad(ctx context.Context, file string, known *moduleFile) (change Change, told bool) {
	if known.load == nil {
		return Change{}, false
	}
	select {
	case <-known.load.done:
		ended := known.load
		known.load = nil
		return r.finishLoad(ctx, file, known, ended)
	default:
		return Change{}, false
	}
}

// Loading returns how many modules are loading.
func (r *Registry) Loading() (count int) {
	for _, known := range r.files {
		if known.load != nil {
			count++
		}
	}
	return count
}

// Arrived receives a value when a module has finished loading.
func (r *Registry) Arrived() <-chan struct{} { return r.arrived }

// awaitQuick waits up to syncWait for modules that are loading, which is enough for most.
func (r *Registry) awaitQuick(ctx context.Context) {
	timer := time.NewTimer(r.syncWait)
	defer timer.Stop()
	for _, known := range r.files {
		if known.load == nil {
			continue
		}
		select {
		case <-known.load.done:
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

func (r *Registry) checkAll(ctx context.Context, names []string) {
	var buffer bytes.Buffer
	for _, name := range names {
		r.checkFile(ctx, name, &buffer)
	}
}

// checkFile reads a file into a buffer and loads it if it is new.
func (r *Registry) checkFile(ctx context.Context, file string, buffer *bytes.Buffer) {
	wasm, err := r.runtime.readModule(filepath.Join(r.folder, file), buffer)
	if !errors.Is(err, fs.ErrNotExist) { // gone since the listing: the next Sync finds out
		r.startLoad(ctx, file, wasm, err)
	}
}

// dropMissing drops files that are gone. Modules that were refused because of them may load now.
func (r *Registry) dropMissing(names []string) []Change {
	var changes []Change
	for file, known := range r.files {
		if !slices.Contains(names, file) {
			delete(r.files, file)
			r.cancelLoad(known)
			if known.module != nil || !known.accepted {
				changes = append(changes, Change{File: file, Previous: known.module})
			}
		}
	}
	sort.Slice(changes, func(i, j int) bool { return changes[i].File < changes[j].File })
	if len(changes) > 0 {
		r.retryRefused()
	}
	return changes
}

// Close ends the loads that are under way. Modules that were returned belong to the caller.
func (r *Registry) Close() {
	for _, known := range r.files {
		r.cancelLoad(known)
	}
	r.loads.Wait()
}

// retryRefused makes Sync check every refused file again: a version of a projection has become free.
func (r *Registry) retryRefused() {
	r.rescan = true
	for _, known := range r.files {
		if known.refused {
			known.hash = [sha256.Size]byte{}
		}
	}
}

// startLoad begins to load a file when its content is new.
func (r *Registry) startLoad(ctx context.Context, file string, wasm []byte, readErr error) {
	known, seen := r.files[file]
	if !seen {
		known = &moduleFile{}
		r.files[file] = known
	}
	hash := sha256.Sum256(wasm)
	if readErr != nil {
		hash = sha256.Sum256([]byte(readErr.Error()))
	}
	changed := r.readSettings(file, known)
	if seen && hash == known.hash && !changed && !known.retryDue() {
		return
	}
	if hash != known.hash || changed {
		known.pause, known.lastError = 0, ""
	}
	r.cancelLoad(known)
	known.hash, known.retry = hash, time.Time{}
	if readErr != nil {
		known.load = unreadable(file, readErr)
		return
	}
	known.load = r.load(ctx, &moduleSource{file: file, settings: known.settings, hash: hash, size: len(wasm)})
}

// finishLoad handles a load that has ended, and tells whether there is a change to report.
func (r *Registry) finishLoad(ctx context.Context, file string, known *moduleFile, ended *load) (
	change Change, told bool,
) {
	change = Change{File: file, Previous: known.module}
	module, err := ended.module, ended.err
	known.refused = false
	if !known.accepted {
		refused := &SettingsError{File: file, Err: known.settingsErr}
		if err == nil {
			refused.Projection = module.Description.ID()
			module.Close(ctx)
		}
		err = refused
	}
	if err == nil {
		if err = r.checkID(module); err != nil {
			known.refused = true
			module.Close(ctx)
		}
	}
	var fault *LoadError
	if errors.As(err, &fault) && fault.Transient {
		if errors.Is(fault.cause, errChanged) {
			known.hash, r.rescan = [sha256.Size]byte{}, true
			r.checkFile(ctx, file, &bytes.Buffer{})
			return change, false
		}
		known.pause = min(max(2*known.pause, retryPause), retryPauseMax)
		known.retry = clock.Now().Add(known.pause)
	}
	if err != nil {
		change.Err = err
		again := known.lastError == err.Error()
		known.lastError = err.Error()
		return change, !again
	}
	known.pause, known.lastError = 0, ""
	if previous := known.module; previous != nil && previous.Description.ID() != module.Description.ID() {
		r.retryRefused()
	}
	known.module, change.Module = module, module
	return change, true
}

// retryDue tells whether it is time to retry.
func (k *moduleFile) retryDue() bool { return !k.retry.IsZero() && !clock.Now().Before(k.retry) }

// anyRetryDue tells whether a file is due for a retry, which the next Sync does.
func (r *Registry) anyRetryDue() bool {
	for _, known := range r.files {
		if known.retryDue() {
			return true
		}
	}
	return false
}

// checkID refuses a second module for one version of a projection: both would write the same tables.
func (r *Registry) checkID(module *Module) error {
	id := module.Description.ID()
	for file, other := range r.files {
		if file != module.File && other.module != nil && other.module.Description.ID() == id {
			return &LoadError{File: module.File, Reason: fmt.Sprintf(
				"implements version %d of projection %q as %s does: remove one of the two, or give it another version",
				id.Version, id.Name, file)}
		}
	}
	return nil
}

// listModules returns the names of a folder's modules in order.
func listModules(folder string) ([]string, error) {
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
