package build

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// verdict says what becomes of a use of the standard library in a module.
type verdict struct {
	text  string // goes on from the name that is used
	fails []Compiler
}

var (
	always   = []Compiler{Go, TinyGo}
	inTinyGo = []Compiler{TinyGo}
)

const (
	theTime   = "the time of an event is e.CreatedTime()"
	noFiles   = "cannot work, a module has no files: put what it reads into the source ('//go:embed') or into events"
	noStrings = "is empty, a module has no environment and no arguments: make it a constant, or put it into events"
	noZones   = "cannot work, a module has no zone files: "
	embedZone = "embed one ('//go:embed') and use time.LoadLocationFromTZData"
	sameRand  = "gives the same numbers again in every instance, so rows depend on where batches begin: derive them from the " +
		"event, or seed rand.New by it"
)

// verdicts are for names of packages. "" is the package itself, whatever is used of it.
var verdicts = map[string]map[string]verdict{
	"time": {
		"Now":   {"is 1970-01-01, a module has no clock: " + theTime, nil},
		"Since": {"counts from 1970-01-01, a module has no clock: " + theTime, nil},
		"Until": {"counts from 1970-01-01, a module has no clock: " + theTime, nil},
		"Sleep": {"does not wait, a module has no clock: remove it", nil},
		"After": noWaiting, "Tick": noWaiting, "NewTimer": noWaiting, "NewTicker": noWaiting, "AfterFunc": noWaiting,
		"LoadLocation": {noZones + embedZone, always}, // see vetZones
	},
	"encoding/json": {"*": {"works by reflection, which takes many times the fuel of e.JSON(): read payloads by e.JSON()", nil}},
	"os": {
		"Getenv": {noStrings, nil}, "LookupEnv": {noStrings, nil}, "Environ": {noStrings, nil},
		"ExpandEnv": {noStrings, nil}, "Args": {noStrings, nil},
		"Exit": {"ends the module, and the batch fails: return an error from Handle", nil},
		"Open": {noFiles, always}, "OpenFile": {noFiles, always}, "OpenRoot": {noFiles, always},
		"Create": {noFiles, always}, "CreateTemp": {noFiles, always}, "ReadFile": {noFiles, always},
		"WriteFile": {noFiles, always}, "ReadDir": {noFiles, always}, "DirFS": {noFiles, always},
		"Mkdir": {noFiles, always}, "MkdirAll": {noFiles, always}, "MkdirTemp": {noFiles, always},
		"Remove": {noFiles, always}, "RemoveAll": {noFiles, always}, "Rename": {noFiles, always},
		"Stat": {noFiles, always}, "Lstat": {noFiles, always},
	},
	"os/exec":      {"": {"cannot work, a module starts no processes: remove it", always}},
	"crypto/rand":  {"": {"has no random bytes in a module: derive them from the event", inTinyGo}},
	"math/rand":    {"*": {sameRand, nil}},
	"math/rand/v2": {"*": {sameRand, nil}},
}

var noWaiting = verdict{"does not wait, and blocks a module of TinyGo: a module has no clock, " + theTime, inTinyGo}

// harmless are names of packages of which "*" is judged: generators of a seed, and types that do nothing by themselves.
var harmless = []string{
	"New", "NewSource", "NewPCG", "NewChaCha8", "NewZipf", "Rand", "Source", "Source64", "PCG", "ChaCha8", "Zipf",
	"RawMessage", "Number", "Marshaler", "Unmarshaler",
}

// importsC is for Go, which leaves out files that import "C", or stops at them.
const importsC = `import "C" cannot work with Go: remove it, or build with TinyGo (--compiler tinygo)`

// vetImport judges the import of a package.
func (v *vetter) vetImport(spec *ast.ImportSpec, path string) {
	if path == "C" && v.compiler == Go {
		v.report(spec.Pos(), false, importsC)
		return
	}
	if path == "net" || strings.HasPrefix(path, "net/") && path != "net/url" && path != "net/netip" {
		v.report(spec.Pos(), false, "package %s cannot work, a module has no network: remove it (net/netip and net/url "+
			"work)", path)
		return
	}
	if judged, is := verdicts[path][""]; is {
		v.report(spec.Pos(), !slices.Contains(judged.fails, v.compiler), "package %s %s", path, judged.text)
	}
}

// vetUse judges the use of a name of an imported package.
func (v *vetter) vetUse(at token.Pos, path, name, inside string) {
	if path == sdkPath {
		if name == "Register" {
			v.registers = append(v.registers, registration{at: at, inside: inside})
		}
		return
	}
	if v.compiler == TinyGo && path == "time" && name == "LoadLocation" {
		v.vetZones(at)
		return
	}
	judged, is := verdicts[path][name]
	if all, has := verdicts[path]["*"]; has && !is && ast.IsExported(name) && !slices.Contains(harmless, name) {
		judged, is = all, true
	}
	if is {
		v.report(at, !slices.Contains(judged.fails, v.compiler), "%s.%s %s", v.nameOf(path), name, judged.text)
	}
}

// vetZones judges time.LoadLocation with TinyGo, where the zones of time/tzdata do. Go's needs files all the same, which
// hosts refuse.
func (v *vetter) vetZones(at token.Pos) {
	if v.names["time/tzdata"] == "" {
		v.report(at, false, `time.LoadLocation %simport _ "time/tzdata", or %s`, noZones, embedZone)
	}
}

// vetGo judges a goroutine.
func (v *vetter) vetGo(statement *ast.GoStmt) {
	if v.compiler == TinyGo {
		v.report(statement.Pos(), false, "TinyGo's modules have no goroutines: do the work in Handle itself, or build "+
			"with Go (--compiler go)")
		return
	}
	v.report(statement.Pos(), true, "a goroutine must end before Handle returns, and its rows fail the batch; TinyGo "+
		"refuses it: do the work in Handle itself")
}
