package build

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/pupwasm/pupwasm/internal/clock"
)

// Cache keeps modules by what they are built from, and notes of them by any key. It is bounded: what was not used for
// longest goes. Nothing depends on it: what cannot be read or written is as if it was not there. Its zero value keeps
// nothing.
type Cache struct {
	folder     string
	filesMax   int
	bytesMax   int64
	bytesValue int64 // the most of one entry
}

// The bounds of the user's cache. A module has 50 KB from TinyGo, and 2.5 MB from Go.
const (
	cacheFilesMax = 400
	cacheBytesMax = 256 << 20
	cacheValueMax = 64 << 20
)

// UserCache is the cache in the user's cache folder, beside the TinyGo of scripts/tinygo.sh.
func UserCache() *Cache {
	folder := filepath.Join(cacheFolder(), "built")
	if !filepath.IsAbs(folder) || !isPrivate(folder) {
		return &Cache{} // without a home there is none
	}
	return &Cache{folder: folder, filesMax: cacheFilesMax, bytesMax: cacheBytesMax, bytesValue: cacheValueMax}
}

// isPrivate tells whether others cannot write to a folder, if it is there: what it has is given out as built from source.
func isPrivate(folder string) bool {
	info, err := os.Lstat(folder)
	return err != nil || runtime.GOOS == "windows" || info.IsDir() && info.Mode().Perm()&0o022 == 0
}

const (
	moduleSuffix = ".wasm"
	noteSuffix   = ".json"
)

// digest returns the SHA-256 of the module of a key in hex, or "".
func (c *Cache) digest(key string) string {
	if c.folder == "" {
		return ""
	}
	found, err := filepath.Glob(filepath.Join(c.folder, key+".*"+moduleSuffix))
	if err != nil || len(found) != 1 {
		return ""
	}
	return strings.TrimSuffix(strings.TrimPrefix(filepath.Base(found[0]), key+"."), moduleSuffix)
}

// module returns the module of a key, or nil. It is the one that was kept.
func (c *Cache) module(key string) []byte {
	digest := c.digest(key)
	if digest == "" {
		return nil
	}
	path := filepath.Join(c.folder, key+"."+digest+moduleSuffix)
	wasm, err := os.ReadFile(path)
	if err != nil || Digest(wasm) != digest {
		os.Remove(path)
		return nil
	}
	c.touch(path)
	return wasm
}

// keep keeps the module of a key, in place of another.
func (c *Cache) keep(key string, wasm []byte) {
	if c.folder == "" || int64(len(wasm)) > c.bytesValue {
		return
	}
	name := key + "." + Digest(wasm) + moduleSuffix
	old, _ := filepath.Glob(filepath.Join(c.folder, key+".*"+moduleSuffix))
	for _, path := range old {
		if filepath.Base(path) != name {
			os.Remove(path)
		}
	}
	c.write(name, wasm)
}

// Note returns the note of a key, or nil.
func (c *Cache) Note(key string) []byte {
	if c.folder == "" {
		return nil
	}
	path := filepath.Join(c.folder, key+noteSuffix)
	note, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	c.touch(path)
	return note
}

// KeepNote keeps a note. key is what [Key] returns.
func (c *Cache) KeepNote(key string, note []byte) {
	if c.folder != "" && int64(len(note)) <= c.bytesValue {
		c.write(key+noteSuffix, note)
	}
}

func (c *Cache) write(name string, content []byte) {
	if err := os.MkdirAll(c.folder, 0o700); err != nil {
		return
	}
	if err := WriteFile(filepath.Join(c.folder, name), content); err == nil {
		c.evict()
	}
}

func (c *Cache) touch(path string) { _ = os.Chtimes(path, time.Time{}, clock.Now()) }

// evict removes what was not used for longest, until the rest is within the bounds.
func (c *Cache) evict() {
	entries, err := os.ReadDir(c.folder)
	if err != nil {
		return
	}
	var files []fs.FileInfo
	total := int64(0)
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			files = append(files, info)
			total += info.Size()
		}
	}
	slices.SortFunc(files, func(a, b fs.FileInfo) int {
		return cmp.Or(a.ModTime().Compare(b.ModTime()), cmp.Compare(a.Name(), b.Name()))
	})
	for left := len(files); left > 1 && (left > c.filesMax || total > c.bytesMax); left-- {
		oldest := files[len(files)-left]
		os.Remove(filepath.Join(c.folder, oldest.Name()))
		total -= oldest.Size()
	}
}

// Key is a name for a list of texts, in hex: that of another list is another.
func Key(texts ...string) string {
	sum := sha256.New()
	for _, text := range texts {
		one := sha256.Sum256([]byte(text))
		sum.Write(one[:])
	}
	return hex.EncodeToString(sum.Sum(nil)[:16])
}

// Digest is the SHA-256 of a module in hex.
func Digest(wasm []byte) string {
	sum := sha256.Sum256(wasm)
	return hex.EncodeToString(sum[:])
}
