package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/build"
	"github.com/pupwasm/pupwasm/internal/oneline"
	"github.com/pupwasm/pupwasm/store"
)

// workshop builds modules one after the other, and has the host that tries them.
type workshop struct {
	compiler compilerFlag
	force    bool // compile also what is in the cache
	cache    *build.Cache
	runtime  *host.Runtime // from the first module on that is tried
	module   *host.Module  // the one that was tried last
}

// build makes the module of a project in the file out.
func (w *workshop) build(ctx context.Context, project build.Project, out string) (*builtModule, error) {
	defer w.closeModule(context.WithoutCancel(ctx))
	builder := &build.Builder{
		Compiler: build.Compiler(w.compiler), Cache: w.cache, Force: w.force, Program: readBuild().String(),
		Finish: w.finish,
	}
	result, err := builder.Build(ctx, project, out)
	if err != nil {
		return nil, err
	}
	embedded, err := host.ReadEmbedded(filepath.Base(result.File), result.Wasm)
	if err != nil {
		return nil, err
	}
	fixtures, err := w.measureFixtures(ctx, result)
	if err != nil {
		return nil, err
	}
	refusal, err := trySQL(ctx, &embedded.Description.Projection)
	if err != nil {
		return nil, err
	}
	warnings := []build.Mistake{}
	for _, warning := range result.Warnings {
		warning.File = build.Relative(warning.File)
		warnings = append(warnings, warning)
	}
	if refusal != "" {
		warnings = append(warnings, build.Mistake{
			File: build.Relative(project.Folder), Warning: true,
			Text: "SQLite does not accept its SQL: " + refusal + ": mend it, or give it as SQL for other databases alone",
		})
	}
	return &builtModule{
		File: result.File, Folder: build.Relative(project.Folder),
		Projection: embedded.Description.Name, Version: embedded.Description.Version,
		Compiler: result.Compiler, CompilerIs: result.Version,
		Bytes: len(result.Wasm), SHA256: build.Digest(result.Wasm), Outcome: result.Outcome,
		Nanoseconds: result.Took.Nanoseconds(), Fixtures: fixtures, Warnings: warnings, wasm: result.Wasm,
	}, nil
}

// finish loads a module as hosts do, and writes its description into it.
func (w *workshop) finish(ctx context.Context, name string, wasm []byte) ([]byte, error) {
	if err := w.load(ctx, name, wasm); err != nil {
		return nil, err
	}
	return w.module.Embed(wasm)
}

// load loads a module. What is compiled for that is not kept: a module that gets a description is another one.
func (w *workshop) load(ctx context.Context, name string, wasm []byte) (err error) {
	if w.runtime == nil {
		if w.runtime, err = host.NewRuntime(ctx, host.Options{}); err != nil {
			return fmt.Errorf("starting a host for the module: %w", err)
		}
	}
	w.closeModule(ctx)
	w.module, err = w.runtime.Load(ctx, name, wasm)
	return err
}

func (w *workshop) closeModule(ctx context.Context) {
	if w.module != nil {
		w.module.Close(ctx)
		w.module = nil
	}
}

func (w *workshop) close(ctx context.Context) {
	w.closeModule(ctx)
	if w.runtime != nil {
		_ = w.runtime.Close(ctx)
	}
}

// measuredFixture is what the module takes for the events of a file.
type measuredFixture struct {
	File         string `json:"file"`
	Events       int64  `json:"events"`
	FuelPerEvent int64  `json:"fuel_per_event"`  // the median of batches
	Error        string `json:"error,omitempty"` // why it was not measured
}

// String is the measurement in one line.
func (m measuredFixture) String() string {
	switch {
	case m.Error != "":
		return fmt.Sprintf("not measured: %s", printable(m.Error))
	case m.Events == 0:
		return fmt.Sprintf("no fuel measured: %s has no event that the projection subscribes to", printable(m.File))
	}
	return fmt.Sprintf("%d units of fuel per event (%s, %s)", m.FuelPerEvent, printable(m.File),
		oneline.Count(m.Events, "event"))
}

// measureFixtures measures a module with the fixtures of its project. What was measured before is taken from the cache.
func (w *workshop) measureFixtures(ctx context.Context, result *build.Result) ([]measuredFixture, error) {
	all := []measuredFixture{}
	for _, pattern := range []string{"testdata", "fixtures"} {
		folder := filepath.Join(result.Project.Folder, pattern)
		entries, err := os.ReadDir(folder)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, entry := range entries {
			file := filepath.Join(folder, entry.Name())
			if info, err := os.Stat(file); filepath.Ext(file) != ".jsonl" || err != nil || !info.Mode().IsRegular() {
				continue
			}
			measured, err := w.measureFixture(ctx, result, file)
			if err != nil {
				return nil, err
			}
			all = append(all, measured)
		}
	}
	return all, nil
}

func (w *workshop) measureFixture(
	ctx context.Context, result *build.Result, file string,
) (m measuredFixture, err error) {
	digest, err := host.FileDigest(file)
	if err != nil {
		return m, err
	}
	name := build.Relative(file)
	key := build.Key("fuel", readBuild().String(), build.Digest(result.Wasm), name, digest)
	if note := w.cache.Note(key); json.Unmarshal(note, &m) == nil && !w.force {
		return m, nil
	}
	if w.module == nil {
		if err := w.load(ctx, filepath.Base(result.File), result.Wasm); err != nil {
			return m, err
		}
	}
	m = measuredFixture{File: name}
	measured, err := measure(ctx, w.module, name, store.PayloadBytesMax)
	switch {
	case ctx.Err() != nil:
		return m, ctx.Err()
	case err != nil:
		m.Error = errorText(err)
	default:
		m.Events, m.FuelPerEvent = measured.Events, measured.FuelByEvent.Median
	}
	if note, err := json.Marshal(m); err == nil {
		w.cache.KeepNote(key, note)
	}
	return m, nil
}
