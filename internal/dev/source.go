package dev

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settle is how long files must be quiet before they are built: editors write several at once.
const settle = 100 * time.Millisecond

// sources watches the source files of a folder.
type sources struct {
	changed chan struct{}
	watcher *fsnotify.Watcher
	done    sync.WaitGroup
}

// watchSources watches a folder and those within it, also those that are made later.
func watchSources(folder string) (*sources, error) {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	s := &sources{changed: make(chan struct{}, 1), watcher: watcher}
	if folder, err = filepath.EvalSymlinks(folder); err == nil {
		err = s.add(folder)
	}
	if err != nil {
		watcher.Close()
		return nil, err
	}
	s.done.Go(s.run)
	return s, nil
}

// others are folders of a project in which there is no source.
var others = []string{"modules", "testdata", "cases", "fixtures"}

// add watches a folder with those within it. Hidden ones, and what the build writes, are left out.
func (s *sources) add(folder string) error {
	return filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return nil //nolint:nilerr // what is gone again need not be watched
		}
		if name := entry.Name(); path != folder && (strings.HasPrefix(name, ".") || slices.Contains(others, name)) {
			return filepath.SkipDir
		}
		return s.watcher.Add(path)
	})
}

// isSource reports whether a build may depend on a file: code, what it embeds, go.mod. A build of what has not changed
// takes no time.
func isSource(path string) bool {
	name := filepath.Base(path)
	return !strings.HasPrefix(name, ".") && !strings.HasPrefix(name, "#") && !strings.HasSuffix(name, "~") &&
		!strings.HasSuffix(name, "_test.go") && !strings.HasSuffix(name, ".md")
}

func (s *sources) run() {
	var quiet <-chan time.Time
	for {
		select {
		case event, open := <-s.watcher.Events:
			if !open {
				return
			}
			if info, err := os.Stat(event.Name); err == nil && info.IsDir() && event.Has(fsnotify.Create) {
				_ = s.add(event.Name)
				quiet = time.After(settle) // it may have files already
			}
			if isSource(event.Name) && !event.Has(fsnotify.Chmod) {
				quiet = time.After(settle)
			}
		case _, open := <-s.watcher.Errors:
			if !open {
				return
			}
			quiet = time.After(settle) // changes may have been lost
		case <-quiet:
			quiet = nil
			select {
			case s.changed <- struct{}{}:
			default:
			}
		}
	}
}

func (s *sources) close() {
	s.watcher.Close()
	s.done.Wait()
}
