package build

import (
	"cmp"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"sync"
)

// ErrNoTinyGo says that there is no TinyGo that can compile modules.
var ErrNoTinyGo = errors.New("there is no TinyGo 0.40 or later on PATH: install it " +
	"(https://tinygo.org/getting-started/install), or compile with Go")

// tinyGoMinor is the oldest release, 0.40.
const tinyGoMinor = 40

var findTinyGo = sync.OnceValue(lookForTinyGo)

// lookForTinyGo returns the path of the first TinyGo that can compile modules, or "".
func lookForTinyGo() string {
	candidates := []string{}
	for _, folder := range filepath.SplitList(os.Getenv("PATH")) {
		if filepath.IsAbs(folder) {
			candidates = append(candidates, filepath.Join(folder, tinyGoProgram()))
		}
	}
	// scripts/tinygo.sh installs it here.
	cached, _ := filepath.Glob(filepath.Join(cacheFolder(), "tinygo-*", "bin", "tinygo"))
	slices.Reverse(cached)
	for _, path := range append(candidates, cached...) {
		if minor, ok := tinyGoVersion(path); ok && minor >= tinyGoMinor {
			return path
		}
	}
	return ""
}

// tinyGoProgram is the name of its file.
func tinyGoProgram() string {
	if runtime.GOOS == "windows" {
		return "tinygo.exe"
	}
	return "tinygo"
}

// FindTinyGo returns the path of the first TinyGo that can compile modules: on PATH, then where scripts/tinygo.sh
// installs it. It looks once a process.
//
// # Errors
//
// [ErrNoTinyGo].
func FindTinyGo() (string, error) {
	if path := findTinyGo(); path != "" {
		return path, nil
	}
	return "", ErrNoTinyGo
}

// cacheFolder is that of scripts/tinygo.sh.
func cacheFolder() string {
	if folder := os.Getenv("PUPWASM_CACHE"); folder != "" {
		absolute, err := filepath.Abs(folder)
		if err != nil {
			return folder
		}
		return absolute
	}
	home, _ := os.UserHomeDir()
	return filepath.Join(cmp.Or(os.Getenv("XDG_CACHE_HOME"), filepath.Join(home, ".cache")), "pupwasm")
}

var tinyGoRelease = regexp.MustCompile(`^tinygo version (\d+)\.(\d+)\.`)

// tinyGoVersion is the second part of the version that an executable says it has. One that does not run is none.
func tinyGoVersion(path string) (minor int, ok bool) {
	if info, err := os.Stat(path); err != nil || info.IsDir() {
		return 0, false
	}
	said, err := exec.Command(path, "version").Output()
	if err != nil {
		return 0, false
	}
	parts := tinyGoRelease.FindSubmatch(said)
	if parts == nil {
		return 0, false
	}
	if string(parts[1]) != "0" {
		return tinyGoMinor, true // later than any 0.x
	}
	minor, err = strconv.Atoi(string(parts[2]))
	return minor, err == nil
}
