package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
)

const rebuildHelp = `Build the rows of the version that readers see again, from the first event, and show the new rows to readers. It is for
rows that other code of the same version has built, or that somebody has changed by hand. The module and its version stay.

The hosts that have the module build the rows beside those of before, in tables of their own: of version 1 it is build
1b2, then 1b3. Readers go on to see the rows of before. When the build has caught up, it is promoted as by 'pupwasm
promote', and the build before is retired; --keep keeps it, for 'pupwasm rollback'.

The command waits until all that is done. When it is interrupted, hosts go on building, and the same command goes on with
it. A build that was rolled back is a candidate, with which it goes on too: retire that first for a new one.
'pupwasm versions' shows how far a build is, and 'pupwasm retire fines 1b2' ends it. It takes as much disk as the rows.`

type rebuildOptions struct {
	*globalOptions

	keep    bool
	noWait  bool
	timeout time.Duration
}

func newRebuildCommand(globals *globalOptions) *cobra.Command {
	opts := &rebuildOptions{globalOptions: globals}
	cmd := &cobra.Command{
		Use:   "rebuild PROJECTION",
		Short: "Build the rows that readers see again, without downtime",
		Long:  rebuildHelp,
		Example: `  pupwasm rebuild fines
  pupwasm rebuild fines --no-wait && pupwasm versions fines`,
		Args: wantArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runRebuild(cmd.Context(), opts, args[0])
		},
		ValidArgsFunction: completeProjections(globals),
	}
	cmd.Flags().BoolVar(&opts.keep, "keep", false, "keep the build that readers saw before, for a rollback")
	cmd.Flags().BoolVar(&opts.noWait, "no-wait", false, "ask for the build, and leave it to another call to show it to readers")
	globals.addJSON(cmd.Flags(), printsJSON)
	cmd.Flags().DurationVar(&opts.timeout, "timeout", 0, "how long to wait; 0 for no limit")
	return cmd
}

func runRebuild(ctx context.Context, opts *rebuildOptions, projection string) error {
	if opts.timeout < 0 {
		return usagef("--timeout must not be negative, it is %s", opts.timeout)
	}
	to, err := openStore(ctx, opts.globalOptions)
	if err != nil {
		return err
	}
	defer to.Close()
	if _, err := knownName(ctx, to, projection); err != nil {
		return err
	}
	id, err := to.Rebuild(ctx, projection)
	if err != nil {
		return err
	}
	if opts.noWait {
		if err := opts.say("version %s of %s is asked for: the hosts that run %[2]s build it, 'pupwasm versions %[2]s' "+
			"shows how far it is, and 'pupwasm rebuild %[2]s' waits for it and shows it to readers", id.VersionText(),
			printable(projection)); err != nil {
			return err
		}
		return opts.result(askedReport{Projection: projection, Asked: versionNameOf(id)})
	}
	waiting, cancel := withTimeout(ctx, opts.timeout)
	defer cancel()
	promotion, err := opts.showBuild(waiting, to, id)
	if err != nil && waiting.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("version %s of %s is not there after %s, and hosts go on building it: 'pupwasm versions %[2]s' shows how "+
			"far it is", id.VersionText(), printable(projection), opts.timeout)
	}
	if err != nil {
		return err
	}
	if err := opts.retireBuilds(ctx, to, id, promotion); err != nil {
		return err
	}
	return opts.result(promotion)
}

// askedReport is the JSON form of a build that hosts are asked for.
type askedReport struct {
	Projection string      `json:"projection"`
	Asked      versionName `json:"asked"`
}

// showBuild waits until a build has caught up, and promotes it.
func (o *rebuildOptions) showBuild(
	ctx context.Context, to store.Tables, id store.ProjectionID,
) (*promotionReport, error) {
	if err := o.awaitBuild(ctx, to, id); err != nil {
		return nil, err
	}
	promoting := &promoteOptions{globalOptions: o.globalOptions, whenCaughtUp: true}
	err := promoting.exchange(ctx, to, id, func(ctx context.Context) (store.Promotion, error) {
		for {
			trying, cancel := context.WithTimeout(ctx, promoteTry)
			promotion, err := segments.Promote(trying, to, id)
			late := trying.Err() != nil
			cancel()
			if err == nil || !late || ctx.Err() != nil {
				return promotion, err
			}
			if err := o.awaitBuild(ctx, to, id); err != nil { // something may be in the way meanwhile
				return store.Promotion{}, err
			}
		}
	})
	return &promoting.report, err
}

// promoteTry is for how long a promotion is tried before the build is looked at again.
const promoteTry = 10 * time.Second

// awaitBuild waits until a build may be promoted in a moment.
func (o *rebuildOptions) awaitBuild(ctx context.Context, from store.Tables, id store.ProjectionID) error {
	o.log.Info().Str("projection", id.Name).Str("version", id.VersionText()).Msg("waiting until hosts have built it")
	var bar *progress
	defer func() {
		if bar != nil {
			bar.done()
		}
	}()
	for idle := (idleHosts{}); ; {
		all, err := allVersions(ctx, from, id.Name)
		if err != nil {
			return err
		}
		left, err := buildLeft(all, id)
		if err != nil || left == 0 {
			return err
		}
		if err := idle.check(ctx, from, id); err != nil {
			return err
		}
		if done, total := buildDone(all, id); total > 0 {
			if bar == nil {
				bar = newCountBar(o.globalOptions, "building "+printable(id.Name)+"@"+id.VersionText(), total)
			}
			bar.set(done)
		}
		if !sleep(ctx, installedPoll) {
			return ctx.Err()
		}
	}
}

// buildLeft returns how far a build is behind the live one, or 0 where that is near enough. It fails when the build will
// not get there.
func buildLeft(all []store.ProjectionStatus, id store.ProjectionID) (positions int64, err error) {
	live, build := store.LiveOf(all), exactly(all, id)
	switch {
	case live.Version != id.Version:
		return 0, fmt.Errorf("version %s of %s was promoted meanwhile, beside which there is nothing to rebuild: "+
			"'pupwasm retire %[2]s %[3]s' ends the build", live.VersionText(), printable(id.Name), id.VersionText())
	case build == nil && live.Asked() != id:
		return 0, fmt.Errorf("version %s of %s was retired meanwhile", id.VersionText(), printable(id.Name))
	case live.Paused():
		return 0, &segments.PausedError{Projection: id.Name, Since: live.PausedAt}
	case build == nil:
		return distantMin, nil
	case build.Live:
		return 0, nil
	}
	err = store.CheckPromotion(id, build.Layout(), live.ProjectionID, live.Layout())
	var behind *store.BehindError
	if errors.As(err, &behind) {
		if behind.Positions < distantMin {
			return 0, nil
		}
		return behind.Positions, nil
	}
	return 0, err
}

// exactly returns the status of a build, or nil.
func exactly(all []store.ProjectionStatus, id store.ProjectionID) *store.ProjectionStatus {
	if found := store.FindVersion(all, id); found != nil && found.ProjectionID == id {
		return found
	}
	return nil
}

// buildDone returns how many positions a build has passed of those that the live one has, as the means of their segments.
func buildDone(all []store.ProjectionStatus, id store.ProjectionID) (done, total int64) {
	mean := func(p *store.ProjectionStatus) (positions int64) {
		if p == nil || len(p.Segments) == 0 {
			return 0
		}
		for i := range p.Segments {
			positions += p.Segments[i].Position / int64(len(p.Segments))
		}
		return positions
	}
	total = mean(store.LiveOf(all))
	return min(mean(exactly(all, id)), total), total
}

// idleHosts finds out when no host builds.
type idleHosts struct {
	seen  bool      // a host, at some time
	since time.Time // when none was there
}

// check fails when no host has the module: at once when the command begins, and after a while in which a host may have
// been started again.
func (h *idleHosts) check(ctx context.Context, from store.Tables, id store.ProjectionID) error {
	workers, err := from.Workers(ctx)
	if err != nil {
		return err
	}
	var refusal error
	runs := false
	for i := range workers {
		w := &workers[i]
		for _, m := range w.Projections {
			if m.ProjectionID == id {
				h.seen, h.since = true, time.Time{}
				return nil
			}
			runs = runs || m.InVersion() == id.InVersion() // which begins the build
		}
		for _, r := range w.Refused {
			if r.Projection == id {
				refusal = fmt.Errorf("host %s cannot build version %s of %s: %s", printable(w.Name), id.VersionText(),
					printable(id.Name), printable(r.Reason))
			}
			h.seen = h.seen || r.Projection.InVersion() == id.InVersion() // so does this one
		}
	}
	if h.since.IsZero() {
		h.since = clock.Now()
	}
	switch {
	case refusal != nil:
		return refusal
	case runs:
		h.seen, h.since = true, time.Time{}
		return nil
	case h.seen && clock.Since(h.since) < segments.WaitGrace:
		return nil
	}
	return fmt.Errorf("no host runs version %d of %s: start 'pupwasm run' with its module, which builds version %s, and then "+
		"'pupwasm rebuild %[2]s' goes on", id.Version, printable(id.Name), id.VersionText())
}

// retireBuilds retires the builds of the version that readers saw before, or says how to.
func (o *rebuildOptions) retireBuilds(
	ctx context.Context, to store.Tables, id store.ProjectionID, report *promotionReport,
) error {
	all, err := allVersions(ctx, to, id.Name)
	if err != nil {
		return err
	}
	if live := store.LiveOf(all); live == nil || live.ProjectionID != id {
		return nil // somebody has promoted another one, which may go back to these
	}
	stages := store.Stages(all)
	for i := range all {
		before := all[i].ProjectionID
		if before.Version != id.Version || stages[before] != store.StageReplaced {
			continue
		}
		if o.keep {
			return o.say("version %s is kept: 'pupwasm rollback %s' goes back to it, and 'pupwasm retire %[2]s %[1]s' "+
				"deletes it", before.VersionText(), printable(id.Name))
		}
		if err := to.Retire(ctx, before); err != nil {
			return err
		}
		report.Retired = append(report.Retired, versionNameOf(before))
		if err := o.say("version %s of %s is retired", before.VersionText(), printable(id.Name)); err != nil {
			return err
		}
	}
	return nil
}
