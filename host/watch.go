package host

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/pupwasm/pupwasm/internal/clock"
)

// debounce is how long a folder must be quiet before its files are checked: a compiler writes a file in
// pieces, an editor replaces it, a deployment changes several. A file that keeps changing is checked after
// debounceMax all the same.
const (
	debounce    = 150 * time.Millisecond
	debounceMax = 2 * time.Second
	// rescanInterval finds what notifications missed: network file systems, a folder that was replaced.
	rescanInterval = 5 * time.Second
)

// Watch calls changed once when it watches, and then whenever the folder may have changed, until ctx ends. It
// returns an error only when the folder cannot be watched at all.
func (r *Registry) Watch(ctx context.Context, changed func()) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watching %s: %w", r.folder, err)
	}
	defer watcher.Close()
	if err := watcher.Add(r.folder); err != nil {
		return fmt.Errorf("watching %s: %w", r.folder, err)
	}
	w := &debouncer{
		folder: r.folder, digests: r.runtime.options.Trust.Digests, settings: r.settings.Suffix, changed: changed,
		quiet: time.NewTimer(time.Hour),
	}
	w.quiet.Stop()
	w.seen = w.fingerprint()
	changed() // for changes since the caller's last Sync
	tick := time.NewTicker(rescanInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case event, open := <-watcher.Events:
			if !open {
				return nil
			}
			if w.concerns(event.Name) {
				w.trigger()
			}
		case <-w.quiet.C:
			w.fire()
		case <-r.arrived:
			changed()
		case <-r.recheck:
			changed()
		case <-tick.C:
			// A folder that was removed and made again is another one to the kernel.
			_ = watcher.Add(r.folder)
			if w.fingerprint() != w.seen {
				w.trigger()
			}
			if r.anyRetryDue() {
				changed()
			}
		case err := <-watcher.Errors:
			if err != nil {
				w.trigger() // notifications were lost
			}
		}
	}
}

// debouncer collects notifications until the folder is quiet.
type debouncer struct {
	folder   string
	digests  string // the list of digests, or ""
	settings string // the suffix of files with settings, or ""
	changed  func()
	quiet    *time.Timer
	since    time.Time // of the first notification that is not handled yet
	seen     string
}

// concerns reports that a file of the folder, or the folder itself, decides what is loaded.
func (w *debouncer) concerns(path string) bool {
	ext := filepath.Ext(path)
	return ext == ".wasm" || ext == SignatureSuffix || ext == w.settings && ext != "" || path == w.folder
}

func (w *debouncer) trigger() {
	if w.since.IsZero() {
		w.since = clock.Now()
	}
	w.quiet.Reset(max(0, min(debounce, debounceMax-clock.Since(w.since))))
}

// fire reports the change, unless a file is still growing.
func (w *debouncer) fire() {
	now := w.fingerprint()
	if now != w.seen && clock.Since(w.since) < debounceMax {
		w.seen = now
		w.quiet.Reset(debounce)
		return
	}
	w.seen, w.since = now, time.Time{}
	w.changed()
}

// fingerprint tells whether names, sizes or times of the modules, of what is beside them, or of the list of digests
// have changed.
func (w *debouncer) fingerprint() string {
	names, _ := listModules(w.folder) // a folder that is away for a moment is like an empty one here
	text := ""
	note := func(path string) {
		if info, err := os.Stat(path); err == nil {
			text += fmt.Sprintf("%s %d %d\n", path, info.Size(), info.ModTime().UnixNano())
		}
	}
	for _, name := range names {
		note(filepath.Join(w.folder, name))
		note(filepath.Join(w.folder, name+SignatureSuffix))
		if w.settings != "" {
			note(filepath.Join(w.folder, strings.TrimSuffix(name, ".wasm")+w.settings))
		}
	}
	if w.digests != "" {
		note(w.digests)
	}
	return text
}
