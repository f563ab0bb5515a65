package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/settings"
	"github.com/pupwasm/pupwasm/store"
)

// configPoll is the interval at which the file of flags is checked for changes. One counts when the file stays as it is
// until the next check: an editor may write it in pieces.
const configPoll = 500 * time.Millisecond

// configFollower applies changes of the file of flags while 'run' works.
type configFollower struct {
	opts    *runOptions           // as they were when the command began
	values  map[string]string     // of flags, as they are now
	apply   func(settings.Module) // sets what holds for modules in place of opts
	refused string                // why the file is refused, as it was told last
}

func newConfigFollower(opts *runOptions, apply func(settings.Module)) *configFollower {
	return &configFollower{opts: opts, values: valuesOf(opts.flags), apply: apply}
}

func valuesOf(flags *pflag.FlagSet) map[string]string {
	values := map[string]string{}
	flags.VisitAll(func(flag *pflag.Flag) { values[flag.Name] = flag.Value.String() })
	return values
}

// run follows the file until ctx ends. Without a file at the start there is none to follow.
func (f *configFollower) run(ctx context.Context) {
	path := f.opts.file.path
	if path == "" {
		return
	}
	tick := time.NewTicker(configPoll)
	defer tick.Stop()
	for seen, applied := "", ""; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := fingerprint(path)
		if now == seen && now != applied {
			applied = now
			f.reload(path)
		}
		seen = now
	}
}

// fingerprint tells whether a file has changed, or is another one by now.
func fingerprint(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return "none"
	}
	return fmt.Sprint(info.Size(), " ", info.ModTime().UnixNano(), " ", info.Mode())
}

// reload applies the file, or says why it is refused. A file that is gone has no members.
func (f *configFollower) reload(path string) {
	fresh, err := f.read()
	if err != nil {
		if f.refused != err.Error() {
			f.refused = err.Error()
			f.opts.log.Error().Err(err).Msg("settings refused, those before stay")
		}
		return
	}
	f.refused = ""
	values := valuesOf(fresh.flags)
	var changed, later []string
	base := f.opts.publish.base()
	for _, name := range slices.Sorted(maps.Keys(values)) {
		live := true
		if values[name] != f.opts.flags.Lookup(name).Value.String() {
			live = changeModules(&base, name, fresh) || name == "log-level"
		}
		switch {
		case values[name] == f.values[name]:
		case live:
			changed = append(changed, name)
		default:
			later = append(later, name)
		}
	}
	f.values = values
	if len(changed)+len(later) == 0 {
		return
	}
	setLevel(fresh.logLevel)
	f.apply(base)
	event := f.opts.log.Info()
	if len(later) > 0 {
		event = f.opts.log.Warn().Strs("needs_restart", later)
	}
	event.Str("file", path).Strs("applied", changed).Msg("settings have changed")
}

// read returns the options that 'run' would have with the file as it is now.
func (f *configFollower) read() (*runOptions, error) {
	path, err := f.opts.findConfig()
	if err != nil {
		return nil, err
	}
	file, err := f.opts.readConfig(path)
	if isMissing(err) {
		file, err = &config{}, nil
	}
	if err != nil {
		return nil, err
	}
	globals := &globalOptions{origins: map[string]origin{}, errs: f.opts.errs}
	root := &cobra.Command{Use: "pupwasm"}
	globals.addFlags(root.PersistentFlags())
	fresh := &runOptions{globalOptions: globals}
	run := runCommand(fresh)
	root.AddCommand(run)
	run.InheritedFlags() // adds them to its own
	for name, from := range f.opts.origins {
		if from.source == fromFile {
			continue
		}
		if err := run.Flags().Set(name, f.opts.flags.Lookup(name).Value.String()); err != nil {
			return nil, fmt.Errorf("--%s: %w", name, err)
		}
	}
	fresh.flags = run.Flags()
	if err := file.apply(run, globals.origins); err != nil {
		return nil, err
	}
	if err := globals.prepare(); err != nil {
		return nil, globals.located(err)
	}
	return fresh, globals.located(fresh.check())
}

// changeModules sets a flag for the modules that run, and reports whether that can be done: not for one that stops the
// worker from asking for anything.
func changeModules(base *settings.Module, flag string, of *runOptions) bool {
	w, limits := &of.worker, &of.runtime.limits
	switch flag {
	case "batch":
		base.Worker.BatchEvents = w.BatchEvents
	case "commit-events":
		base.Worker.CommitEvents = w.CommitEvents
	case "batch-pause":
		if base.Worker.BatchPause = w.BatchPause; w.BatchPause == 0 {
			base.Worker.BatchPause = -1
		}
	case "segments":
		base.Worker.Segments = w.Segments
		return w.Segments != 0
	case "on-error":
		base.Worker.OnError = w.OnError
		return w.OnError != ""
	case "park-max":
		base.Worker.ParkedMax = w.ParkedMax
	case "park-retries":
		base.Worker.ParkedRetries = w.ParkedRetries
	case "outbox-max":
		base.Worker.OutboxMax = w.OutboxMax
	case "durable":
		base.Worker.Durability = store.Volatile
		if of.durable {
			base.Worker.Durability = store.Durable
		}
	case "memory":
		base.Sandbox.MemoryMiB = limits.MemoryMiB
	case "fuel":
		base.Sandbox.Fuel = limits.Fuel
	case "batch-timeout":
		base.Sandbox.BatchTimeout = limits.BatchTimeout
	case "instances":
		base.Sandbox.Instances = host.Instances(of.runtime.instances)
	default:
		return false
	}
	return true
}
