package host

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/pupwasm/pupwasm/host/compiler"
	"github.com/pupwasm/pupwasm/internal/clock"
)

// checkCache refuses a folder for compiled code that another user could put code into, which would run with
// the rights of the host: one that belongs to another user, or that others may write to, with its subfolders.
// The engine makes missing folders for their owner alone.
func checkCache(folder string) error {
	for _, path := range append([]string{folder}, engineFolders(folder)...) {
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
			return fmt.Errorf("others may write to %s, and so put code into it: run 'chmod go-w' on it, or name "+
				"another folder", path)
		}
	}
	return nil
}

// engineFolders are the folders of the engine, one for each of its versions.
func engineFolders(folder string) []string {
	found, _ := filepath.Glob(filepath.Join(escapeGlob(folder), "wazero-*")) // the pattern is well formed
	return found
}

// escapeGlob makes a name a pattern that matches it alone.
func escapeGlob(name string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(name)
}

// cache is the folder of compiled code. The engine has a file for each module, and the host a note that names
// that file and has its digest. The host checks the note first, because the engine would compile what it does
// not find.
type cache struct {
	folder    string
	engine    string // the engine's folder within it
	temporary bool   // nothing is kept
}

// openCache opens a folder, or makes one for as long as the runtime lives. An error names the folder.
func openCache(folder string) (*cache, error) {
	c := &cache{temporary: folder == ""}
	var err error
	if c.temporary {
		if folder, err = os.MkdirTemp("", fmt.Sprintf("%s%d-", temporaryCache, os.Getpid())); err != nil {
			return nil, fmt.Errorf("making a temporary folder for compiled code in %s (set TMPDIR, or name a "+
				"folder by Options.CacheDir): %w", os.TempDir(), err)
		}
	}
	if c.folder, err = filepath.Abs(folder); err == nil {
		err = c.prepare()
	}
	if err != nil {
		c.close()
		return nil, fmt.Errorf("opening the compilation cache %s: %w", folder, err)
	}
	c.sweep()
	return c, nil
}

// prepare makes the folder where it is missing.
func (c *cache) prepare() error {
	if err := checkCache(c.folder); err != nil {
		return err
	}
	if err := os.MkdirAll(c.folder, 0o700); err != nil {
		return err
	}
	engine, err := compiler.EngineFolder(c.folder)
	if err != nil {
		return err
	}
	c.engine = filepath.Join(c.folder, engine)
	return os.MkdirAll(c.engine, 0o700)
}

// staleAfter is the age at which the files of a killed host are removed.
const staleAfter = time.Hour

// temporaryCache begins the name of a folder for one host. The number of its process follows.
const temporaryCache = "pupwasm-compiled-"

// sweep removes what killed hosts have left.
func (c *cache) sweep() {
	within := func(folder, pattern string) []string {
		found, _ := filepath.Glob(filepath.Join(escapeGlob(folder), pattern)) // the pattern is well formed
		return found
	}
	left := append(within(c.folder, compiler.Temporary), within(c.engine, "*.tmp")...)
	for _, folder := range within(os.TempDir(), temporaryCache+"*") {
		number, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(folder), temporaryCache), "-")
		if pid, err := strconv.Atoi(number); err == nil && hasEnded(pid) {
			left = append(left, folder)
		}
	}
	for _, path := range left {
		if info, err := os.Lstat(path); err == nil && ownedByUs(info) && clock.Since(info.ModTime()) > staleAfter {
			os.RemoveAll(path)
		}
	}
}

func (c *cache) close() {
	if c.temporary {
		os.RemoveAll(c.folder)
	}
}

const moduleSuffix = ".module"

func (c *cache) note(key string) string { return filepath.Join(c.engine, key+moduleSuffix) }

// entry is what a note says of the engine's file for a module.
type entry struct {
	name   string
	digest string // SHA-256 of the file
}

// text is the note of a module's entry. It ends with a sum over all of it, so that one that is damaged or
// another module's is known.
func (e entry) text(key string) string {
	sum := sha256.Sum256([]byte(key + " " + e.name + " " + e.digest))
	return fmt.Sprintf("%s %s %x\n", e.name, e.digest, sum)
}

// entry reads the note of a module.
func (c *cache) entry(key string) (entry, bool) {
	text, err := os.ReadFile(c.note(key))
	fields := strings.Fields(string(text))
	if err != nil || len(fields) != 3 {
		return entry{}, false
	}
	e := entry{fields[0], fields[1]}
	return e, string(text) == e.text(key)
}

// has tells whether a module's code is in the cache, or is damaged. It checks all of the code: the engine
// itself notices some kinds of damage only, and compiles in this process what it takes for outdated.
func (c *cache) has(key string) (has, damaged bool) {
	e, noted := c.entry(key)
	if !noted {
		return false, false
	}
	digest, err := FileDigest(filepath.Join(c.engine, e.name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, false
	}
	return digest == e.digest, digest != e.digest
}

// adopt takes the machine code of a module in.
func (c *cache) adopt(key, code string) error {
	digest, err := FileDigest(code)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.engine, 0o700); err != nil { // it may have been removed meanwhile
		return err
	}
	e := entry{filepath.Base(code), digest}
	if err := os.Rename(code, filepath.Join(c.engine, e.name)); err != nil {
		return err
	}
	return c.remember(key, e)
}

// remember notes which of the engine's files is a module's.
func (c *cache) remember(key string, e entry) error {
	file, err := os.CreateTemp(c.engine, key+".*.tmp")
	if err != nil {
		return err
	}
	_, err = file.WriteString(e.text(key))
	if closing := file.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = os.Rename(file.Name(), c.note(key))
	}
	if err != nil {
		os.Remove(file.Name())
	}
	return err
}

// forget drops what is known of a module.
func (c *cache) forget(key string) {
	if e, noted := c.entry(key); noted {
		os.Remove(filepath.Join(c.engine, e.name))
	}
	os.Remove(c.note(key))
}
