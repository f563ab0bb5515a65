package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/moduleset"
	"github.com/pupwasm/pupwasm/internal/oneline"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
)

// newSet gives the modules of the folder to a worker.
func (o *runOptions) newSet(
	worker *segments.Worker, outbox store.Outbox, registry *host.Registry, changes []host.Change,
) *moduleset.Set {
	o.untaken = newUntaken(o.sending, outbox, o.log)
	set := moduleset.New(worker, o.log)
	set.Added = o.untaken.add
	set.Apply(changes)
	if registry.Loading() == 0 {
		o.untaken.warnOfUnknown()
	}
	return set
}

// collect returns what gives the modules to a worker that are still being compiled.
func (o *runOptions) collect(set *moduleset.Set) func(context.Context, *host.Registry) {
	return func(ctx context.Context, registry *host.Registry) {
		set.Collect(ctx, registry)
		if ctx.Err() == nil {
			o.untaken.warnOfUnknown()
		}
	}
}

// loadFailures are why modules do not load.
func loadFailures(changes []host.Change) (failures []error) {
	for _, change := range changes {
		if change.Err != nil {
			failures = append(failures, change.Err)
		}
	}
	return failures
}

// withRefusals adds to the error of a run that modules were refused, of which the folder had some. The log has said
// which and why.
func withRefusals(err error, refused int) error {
	var others []error
	if err != nil {
		for _, one := range oneline.Split(err) {
			var refusal *segments.RefusedError
			if errors.As(one, &refusal) {
				refused++
			} else {
				others = append(others, one)
			}
		}
	}
	if refused > 0 {
		others = append(others, fmt.Errorf("refused %s: the log says why", count(int64(refused), "module")))
	}
	return errors.Join(others...)
}

// loadModules loads the modules of the folder. It waits for slow ones only if they are needed: with --once, or
// when no other has loaded and none can come later.
func (o *runOptions) loadModules(ctx context.Context, registry *host.Registry, folder string) ([]host.Change, error) {
	changes, err := registry.Sync(ctx)
	if err != nil {
		return nil, err
	}
	enough := func() bool {
		return o.watch || !o.once && slices.ContainsFunc(changes,
			func(change host.Change) bool { return change.Module != nil })
	}
	if registry.Loading() > 0 && !enough() {
		o.log.Info().Int("modules", registry.Loading()).Msg("waiting for modules that are being compiled")
		err = registry.Await(ctx, func(more []host.Change) bool {
			changes = append(changes, more...)
			return enough()
		})
		if err != nil {
			return nil, err
		}
	}
	switch loading := registry.Loading(); {
	case loading > 0:
		o.log.Info().Int("modules", loading).Msg("some modules are still being compiled, the others start")
	case len(changes) == 0 && !o.watch:
		return nil, usagef("the folder %s has no .wasm file: 'make modules' builds the examples, --watch waits for some",
			folder)
	case !o.watch && !slices.ContainsFunc(changes, func(c host.Change) bool { return c.Module != nil }):
		return nil, errors.Join(loadFailures(changes)...) // the command ends with them, and says each once
	}
	return changes, nil
}
