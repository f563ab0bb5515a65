package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// checkCache refuses a folder for compiled code that somebody else could put code into, which would run with the rights of the host: it
// belongs to another user, or others may write to it or to what is in it. The engine makes folders that are missing, for their owner alone.
func checkCache(folder string) error {
	for _, path := range append([]string{folder}, enginesIn(folder)...) {
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if !info.IsDir() {
			return fmt.Errorf("%s is no folder", path)
		}
		if !ownedByUs(info) {
			return fmt.Errorf("%s belongs to another user, who could put code into it: name a folder of your own", path)
		}
		if mode := info.Mode().Perm(); mode&0o022 != 0 {
			return fmt.Errorf("others may write to %s, and so put code into it: run 'chmod go-w' on it, or name another folder", path)
		}
	}
	return nil
}

// enginesIn are the folders of the engine, one for each of its versions.
func enginesIn(folder string) []string {
	found, _ := filepath.Glob(filepath.Join(escapeGlob(folder), "wazero-*")) // the pattern is well formed
	return found
}

// escapeGlob makes a name a pattern that matches it alone.
func escapeGlob(name string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(name)
}

// damaged tells whether a module did not compile because of what the cache had of it.
func damaged(err error) bool { return strings.HasPrefix(err.Error(), "compilationcache: ") }

// emptyCache drops what was compiled before. It is made again as it is needed.
func (r *Runtime) emptyCache() {
	for _, folder := range enginesIn(r.options.CacheDir) {
		entries, err := os.ReadDir(folder)
		if err != nil {
			continue // the engine's own error tells
		}
		for _, entry := range entries {
			_ = os.Remove(filepath.Join(folder, entry.Name()))
		}
	}
}
