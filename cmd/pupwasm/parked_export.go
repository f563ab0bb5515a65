package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/bundle"
	"github.com/pupwasm/pupwasm/internal/bundle/replay"
	"github.com/pupwasm/pupwasm/internal/status"
	"github.com/pupwasm/pupwasm/store"
)

type exportOptions struct {
	*globalOptions

	events  logOptions
	module  string
	modules string
	file    string
	force   bool
	limit   int
	redact  []string
	runtime runtimeOptions
}

const exportHelp = `Write a bundle: one file with all that it takes to try a parked key again elsewhere. It has the module, the events
that wait, the rows of the key as they were before the event that failed, and the error. 'pupwasm replay' runs it without
a database. The format is in docs/bundles.md.

The database does not have the module: name its file, or the folder that the host runs. The command says so when the key
was not tried with this file. It also tries whether a replay of the bundle brings about the fault, and warns when it does
not.

A bundle has the payloads of events. --redact replaces values of fields in payloads, metadata and rows by values of the
same type: texts by "redacted", numbers by 0. Names, types and times of events and streams stay, and so does the key.`

func newParkedExportCommand(globals *globalOptions) *cobra.Command {
	opts := &exportOptions{globalOptions: globals}
	cmd := &cobra.Command{
		Use:   "export PROJECTION KEY (--module FILE | --modules DIR)",
		Short: "Write a parked key to a file that 'pupwasm replay' runs",
		Long:  exportHelp,
		Example: `  pupwasm parked export fines A100 --modules bin/modules
  pupwasm parked export fines A100 --module fines.wasm --out fines.tar.gz --redact customer.email,name`,
		Args: wantArgs(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runParkedExport(cmd.Context(), opts, args[0], args[1])
		},
		ValidArgsFunction: completeVersioned(globals, keyOf),
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.module, "module", "", "`file` of the module")
	flagFiles(flags, "module", moduleFiles)
	flags.StringVar(&opts.modules, "modules", "", "`folder` that has the file of the module")
	flags.StringVar(&opts.file, "out", "", "`file` to write (default: PROJECTION-POSITION.bundle.tar.gz)")
	flags.BoolVar(&opts.force, "force", false, "replace a file that exists")
	flags.IntVar(&opts.limit, "limit", 1000, "maximum number of events in the bundle")
	flags.StringSliceVar(&opts.redact, "redact", nil,
		"`fields` whose values are replaced, such as customer.email; separated by commas")
	opts.addJSON(flags, printsJSON)
	opts.events.addFlags(flags)
	opts.runtime.addFlags(flags)
	return cmd
}

func runParkedExport(ctx context.Context, opts *exportOptions, projection, keyArgument string) error {
	switch {
	case (opts.module == "") == (opts.modules == ""):
		return usagef("name the file of the module with --module, or the folder that has it with --modules")
	case opts.limit < 1 || opts.limit > bundle.EventsMax:
		return usagef("--limit must be between 1 and %d, it is %d", bundle.EventsMax, opts.limit)
	}
	key, err := parseKey(keyArgument)
	if err != nil {
		return err
	}
	from, err := opts.events.open(ctx, opts.globalOptions)
	if err != nil {
		return err
	}
	defer from.Close()
	of, err := known(ctx, from.tables, projection)
	if err != nil {
		return err
	}
	found, err := from.tables.Parked(ctx, parkedRequest(of.ProjectionID, key))
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return notParked(projection, keyArgument)
	}
	quiet := *opts.globalOptions
	quiet.log = opts.log.Level(max(opts.log.GetLevel(), zerolog.WarnLevel)) // messages of the start are not wanted here
	runtime, err := opts.runtime.start(ctx, &quiet)
	if err != nil {
		return err
	}
	defer runtime.Close(context.WithoutCancel(ctx))
	module, wasm, err := opts.findModule(ctx, runtime, &found[0])
	if err != nil {
		return err
	}
	defer module.Close(context.WithoutCancel(ctx))
	b, err := opts.collect(ctx, from, &found[0], module)
	if err != nil {
		return err
	}
	b.Wasm = wasm
	return opts.write(ctx, runtime, b)
}

// collect makes the bundle, without the bytes of the module.
func (o *exportOptions) collect(
	ctx context.Context, from databases, key *store.ParkedKey, module *host.Module,
) (*bundle.Bundle, error) {
	d := module.Description
	if d.Name != key.Projection.Name || d.Version != key.Projection.Version {
		return nil, usagef("module %s is version %d of projection %s, the key is parked by version %d of %s: name another "+
			"file with --module", module.File, d.Version, d.Name, key.Projection.Version, key.Projection.Name)
	}
	b, err := bundle.Collect(ctx, bundle.Source{
		Log: from.log, Tables: from.tables, Key: *key, Projection: &d.Projection, EventsMax: o.limit,
	})
	if err != nil {
		return nil, err
	}
	if len(o.redact) > 0 {
		if err := b.Redact(o.redact, &d.Projection); err != nil {
			return nil, usagef("--redact: %v", err)
		}
	}
	at, err := o.target()
	if err != nil {
		return nil, err
	}
	b.Pupwasm, b.Key, b.Database = readBuild().Version, status.KeyText(key.Key), at.statements
	b.Module = bundle.Module{
		File: module.File, Tried: slices.Contains(key.Tried, hex.EncodeToString(module.Hash[:])),
	}
	b.Description, err = json.Marshal(d)
	return b, err
}

// findModule loads the module that the flags name. In a folder it is the file that the key was tried with, or else
// that of the projection.
func (o *exportOptions) findModule(
	ctx context.Context, runtime *host.Runtime, key *store.ParkedKey,
) (*host.Module, []byte, error) {
	if o.module != "" {
		return loadModule(ctx, runtime, o.module)
	}
	files, err := filepath.Glob(filepath.Join(globEscape(o.modules), "*.wasm"))
	if err != nil {
		return nil, nil, err
	}
	if info, err := os.Stat(o.modules); err != nil || !info.IsDir() {
		return nil, nil, usagef("--modules %s: is no folder that can be read", o.modules)
	}
	isTried := func(file string) bool {
		digest, err := host.FileDigest(file)
		return err == nil && slices.Contains(key.Tried, digest)
	}
	if at := slices.IndexFunc(files, isTried); at > 0 {
		files[0], files[at] = files[at], files[0]
	}
	var failures []error
	for _, file := range files {
		module, wasm, err := loadModule(ctx, runtime, file)
		switch {
		case ctx.Err() != nil:
			return nil, nil, ctx.Err()
		case err != nil:
			failures = append(failures, err)
		case module.Description.ID() == key.Projection.InVersion():
			return module, wasm, nil
		default:
			module.Close(ctx)
		}
	}
	none := usagef("--modules %s: none of its files is version %d of projection %s", o.modules, key.Projection.Version,
		key.Projection.Name)
	return nil, nil, errors.Join(append([]error{none}, failures...)...)
}

// globEscape has a folder's name stand for itself in a pattern.
func globEscape(folder string) string {
	escaped := []rune{}
	for _, r := range folder {
		if slices.Contains([]rune{'*', '?', '[', '\\'}, r) {
			escaped = append(escaped, '\\')
		}
		escaped = append(escaped, r)
	}
	return string(escaped)
}

// write writes the file, says what the bundle does not have, and tries it.
func (o *exportOptions) write(ctx context.Context, runtime *host.Runtime, b *bundle.Bundle) error {
	file := o.file
	if file == "" {
		file = fmt.Sprintf("%s-%d.bundle.tar.gz", b.Projection.Name, b.Fault.Position)
	}
	if err := writeNewFile(file, o.force, func(to io.Writer) error { return b.Write(to) }); err != nil {
		return err
	}
	if err := o.say("%s: %s, %s, %s", file, count(int64(len(b.Events)), "event"), count(int64(len(b.Rows)), "row"),
		b.Module.File); err != nil {
		return err
	}
	if b.Cut() {
		o.log.Warn().Int("events", len(b.Events)).Int64("waiting", b.Waiting).
			Msg("the bundle has the first events only: --limit takes more")
	}
	if !b.Module.Tried {
		o.log.Warn().Str("module", b.Module.File).Str("sha256", b.Module.SHA256).
			Msg("the key was not tried with this module, but with one of other bytes")
	}
	written := exportReport{
		File: file, Projection: b.Projection.Name, Key: b.Key, Position: b.Fault.Position, Events: len(b.Events),
		Waiting: b.Waiting, Rows: len(b.Rows), Module: b.Module.File, Tried: b.Module.Tried,
	}
	report, err := replay.Run(ctx, b, replay.Options{Runtime: runtime})
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		o.log.Warn().Str("reason", errorText(err)).Msg("the bundle cannot be replayed")
	case report.Outcome == replay.Reproduced:
		written.Outcome = report.Outcome
		if err := o.say("a replay brings about the same fault"); err != nil {
			return err
		}
	default:
		written.Outcome = report.Outcome
		warn := o.log.Warn().Str("outcome", string(report.Outcome))
		if report.Fault != nil {
			warn = warn.Int64("event", report.Fault.Position).Str("reason", report.Fault.Error)
		}
		warn.Strs("notes", report.Notes).Msg("a replay of the bundle does not bring about the same fault")
	}
	return o.result(written)
}

// exportReport is the JSON form of a bundle that was written.
type exportReport struct {
	File       string         `json:"file"`
	Projection string         `json:"projection"`
	Key        string         `json:"key"`
	Position   int64          `json:"position"` // of the event that failed
	Events     int            `json:"events"`
	Waiting    int64          `json:"waiting"` // events of the key, of which the bundle may have the first only
	Rows       int            `json:"rows"`
	Module     string         `json:"module"`
	Tried      bool           `json:"tried"`             // the key was tried with this module
	Outcome    replay.Outcome `json:"outcome,omitempty"` // of a replay; none where the bundle cannot be replayed
}
