package host

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tetratelabs/wazero/api"

	"github.com/pupwasm/pupwasm/host/abi"
	"github.com/pupwasm/pupwasm/host/meter"
	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

// Module is a compiled projection module, ready to make guests. It is safe for concurrent use.
type Module struct {
	File        string            // the name that logs and errors show
	Hash        [sha256.Size]byte // of the file
	Bytes       int               // the size of the file
	Imports     []string          // "module.function", in order
	Description *Description      // what it says of itself; it must not be changed
	Settings    Settings          // with which it was loaded
	// StartUp is what the first instance took to start.
	StartUp time.Duration

	described      []byte                 // the description as the module returns it
	read           func() ([]byte, error) // see Read; nil where the module is from no file
	runtime        *Runtime
	code           *compiledCode
	image          sharedImage
	warnings       warnings
	granted        Limits // the host's, with those of Settings
	limits         Limits // what is granted, or less where the module asks for less
	columns        []abi.Column
	storeColumns   store.Columns
	changes        []change // the writes, then the messages
	queryArguments [][]store.Type

	// Whose rows they are: see ownership.go.
	partition   store.Partition
	usesKeys    bool
	collects    bool       // exports how often memory was collected, see checkClock
	writeChecks []rowCheck // per write
	queryChecks []rowCheck // per query
}

// Load compiles a module and reads its description. file is the name for logs and errors.
//
// # Errors
//
// [*LoadError], or the context's.
func (r *Runtime) Load(ctx context.Context, file string, wasm []byte) (*Module, error) {
	return r.LoadWith(ctx, file, wasm, Settings{})
}

// LoadWith is Load with settings of the module.
func (r *Runtime) LoadWith(ctx context.Context, file string, wasm []byte, settings Settings) (*Module, error) {
	if limit := r.options.Limits.ModuleBytesMax; len(wasm) > limit {
		return nil, &LoadError{File: file, Reason: fmt.Sprintf("has %d bytes, the limit is %d: raise Limits.ModuleBytesMax",
			len(wasm), limit)}
	}
	source := &moduleSource{
		file: file, settings: settings, hash: sha256.Sum256(wasm), size: len(wasm),
		read: func() ([]byte, error) { return wasm, nil },
	}
	return r.load(ctx, source)
}

// moduleSource is what a module is loaded from.
type moduleSource struct {
	file     string
	settings Settings
	hash     [sha256.Size]byte
	size     int
	read     func() ([]byte, error) // called when it is its turn
}

// load loads a module.
func (r *Runtime) load(ctx context.Context, from *moduleSource) (*Module, error) {
	file := from.file
	m := &Module{File: file, Hash: from.hash, Settings: from.settings, runtime: r}
	m.granted = from.settings.limits(r.options.Limits)
	m.limits = m.granted
	fault := func(err error) error {
		var passing *transientError
		return &LoadError{File: file, Reason: shorten(err.Error()), Transient: errors.As(err, &passing), cause: err}
	}
	if err := from.settings.Validate(); err != nil {
		return nil, fault(err)
	}
	code, err := r.compile(ctx, m.Hash, from.size, from.read)
	if ctx.Err() != nil && err != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, fault(err)
	}
	m.code, m.Bytes = code, code.bytes
	if err := m.inspect(ctx); err != nil {
		m.Close(ctx)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fault(err)
	}
	return m, nil
}

// Read reads the module again from the file that it is from. The caller owns the result, which is nil for a module that
// is from no file.
//
// # Errors
//
// That the file is another by now, or gone; those of reading it.
func (m *Module) Read() ([]byte, error) {
	if m.read == nil {
		return nil, nil
	}
	return m.read()
}

// Close gives the compiled code back when no other module has the same. Its guests must be closed before.
func (m *Module) Close(ctx context.Context) { m.runtime.release(ctx, m.Hash, m.code) }

// inspect checks imports and exports, starts an instance, and reads the description.
func (m *Module) inspect(ctx context.Context) error {
	if err := m.checkMemory(); err != nil {
		return err
	}
	if err := m.checkImports(); err != nil {
		return err
	}
	if err := m.checkExports(); err != nil {
		return err
	}
	g := m.NewGuest(0)
	defer g.Close(context.WithoutCancel(ctx))
	ctx, g.deadline = startDeadline(ctx, m.limits.StartTimeout)
	defer g.deadline.stop()
	started := clock.Now()
	if err := g.start(ctx); err != nil {
		return m.startTimeoutError(m.explainProgram(err))
	}
	m.StartUp = clock.Since(started)
	text, err := g.describe(ctx)
	if err != nil {
		return m.startTimeoutError(m.explainProgram(err))
	}
	m.described = text
	if err := m.checkEmbedded(); err != nil {
		return err
	}
	if m.Description, err = parseDescription(text); err != nil {
		return err
	}
	if m.limits, err = m.limits.narrowed(m.Description, m.Settings.raiseMemory()); err != nil {
		return err
	}
	m.prepare()
	return nil
}

// buildHint says how a module is built by hand.
const buildHint = "build it with GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared"

// explainProgram adds to an error that the module was built as a program, whose start function no host calls.
func (m *Module) explainProgram(err error) error {
	functions := m.code.ExportedFunctions()
	if functions["_start"] == nil || functions["_initialize"] != nil || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("is built as a program and not as a library: %s (%w)", buildHint, err)
}

// startTimeoutError says what the time was too short for.
func (m *Module) startTimeoutError(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("took longer than %s to start", m.limits.StartTimeout)
	}
	return err
}

// prepare derives from the description what every batch needs.
func (m *Module) prepare() {
	projection := &m.Description.Projection
	m.columns = []abi.Column{abi.GlobalPosition, abi.AggregateVersion}
	for _, name := range m.Description.Columns {
		if column, _ := abi.ColumnByName(name); !slices.Contains(m.columns, column) {
			m.columns = append(m.columns, column)
		}
	}
	for _, column := range m.columns {
		m.storeColumns |= storeColumn[column]
	}
	for i := range projection.Writes {
		w := &projection.Writes[i]
		c := change{write: w, types: projection.Parameters(w)}
		if w.SQL == nil {
			table, _ := projection.Table(w.Table)
			c.keys = len(table.Key)
		}
		m.changes = append(m.changes, c)
	}
	for i := range projection.Messages {
		message := &projection.Messages[i]
		m.changes = append(m.changes, change{message: message, types: message.Params()})
	}
	for i := range projection.Queries {
		arguments, _ := projection.Signature(&projection.Queries[i])
		m.queryArguments = append(m.queryArguments, arguments)
	}
	m.prepareChecks()
}

// Columns are the fields of events that the module reads, and those that the host needs to check what it does.
func (m *Module) Columns() store.Columns { return m.storeColumns }

// checkMemory refuses a module whose memory begins larger than it may be. It is compiled by then: others may share
// its code that are granted more.
func (m *Module) checkMemory() error {
	pages, granted := int64(m.code.metered.Memory.Min), m.granted.MemoryMiB
	if pages <= int64(granted)*pagesPerMiB {
		return nil
	}
	return fmt.Errorf("needs %d MiB of memory, this host grants %d: %s", (pages+pagesPerMiB-1)/pagesPerMiB, granted,
		m.Settings.raiseMemory())
}

func (m *Module) checkImports() error {
	allowed := m.runtime.imports
	for _, imported := range m.code.ImportedFunctions() {
		module, name, _ := imported.Import()
		full := module + "." + name
		at := slices.IndexFunc(allowed, func(h *hostModule) bool { return h.name == module })
		if at < 0 {
			if module == "gojs" { // what Go and TinyGo link for browsers
				return fmt.Errorf("imports %s: it is built for JavaScript, and not for a host: %s", full, buildHint)
			}
			return fmt.Errorf("imports %s: guests may import functions of pup and wasi_snapshot_preview1 only", full)
		}
		function, known := allowed[at].function(name)
		if !known {
			return fmt.Errorf("imports %s, which guests may not use: they have no files, network or processes", full)
		}
		if !slices.Equal(imported.ParamTypes(), function.params) ||
			!slices.Equal(imported.ResultTypes(), function.results) {
			return fmt.Errorf("imports %s with another signature than the host's", full)
		}
		if !slices.Contains(m.Imports, full) {
			m.Imports = append(m.Imports, full)
		}
	}
	return nil
}

var requiredExports = []struct {
	name            string
	params, results []api.ValueType
}{
	{"pup_describe", nil, []api.ValueType{i64}},
	{"pup_reserve", []api.ValueType{i32}, []api.ValueType{i32}},
	{"pup_apply", []api.ValueType{i32, i32}, []api.ValueType{i64}},
}

func (m *Module) checkExports() error {
	if _, ok := m.code.ExportedMemories()["memory"]; !ok {
		return errors.New(`exports no memory called "memory"`)
	}
	functions := m.code.ExportedFunctions()
	const marker = "pup_abi_1"
	if version, ok := functions[marker]; !ok {
		for name := range functions {
			if strings.HasPrefix(name, "pup_abi_") {
				return fmt.Errorf("exports %s: it is built for another version of the ABI, this host speaks "+
					"version %d", name, abi.Version)
			}
		}
		return errors.New("exports no pup_abi_1: it is not a pupwasm module, or not built as one: " + buildHint)
	} else if len(version.ParamTypes()) != 0 || !slices.Equal(version.ResultTypes(), []api.ValueType{i32}) {
		return fmt.Errorf("exports %s with another signature than the ABI's", marker)
	}
	for _, required := range requiredExports {
		function, ok := functions[required.name]
		if !ok {
			return fmt.Errorf("exports no %s", required.name)
		}
		if !slices.Equal(function.ParamTypes(), required.params) ||
			!slices.Equal(function.ResultTypes(), required.results) {
			return fmt.Errorf("exports %s with another signature than the ABI's", required.name)
		}
	}
	own, collects := functions[collectionsExport]
	if collects && (len(own.ParamTypes()) != 0 || !slices.Equal(own.ResultTypes(), []api.ValueType{i32})) {
		return fmt.Errorf("exports %s with another signature than the ABI's", collectionsExport)
	}
	m.collects = collects
	if start, ok := functions["_initialize"]; ok && (len(start.ParamTypes()) != 0 || len(start.ResultTypes()) != 0) {
		return errors.New("exports _initialize with parameters or results")
	}
	if start, ok := functions[meter.Start]; ok && (len(start.ParamTypes()) != 0 || len(start.ResultTypes()) != 0) {
		return errors.New("has a start function with parameters or results")
	}
	return nil
}
