package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
)

const promoteHelp = `Make readers see another version of a projection: by default the latest candidate. The views by which they read
become views of its tables in one transaction, at a moment at which it is nowhere behind the version that they see until
then. Readers see no older position, no empty table and no half of it. They keep their rights, and what others have built
upon the views follows. The version before goes on following, for 'pupwasm rollback'; older ones are retired beyond
--keep-versions.

Of a projection that sends messages the promoted version sends from that transaction on, so that every event is sent for by
one of the two. Messages of the one before that wait are sent too.

The command is refused while a segment of the version has failed. Where a table has other columns in the version, the
view is dropped and made again, which is refused while something of others is built upon it. On PostgreSQL a promotion
waits at most 50 ms for a transaction that holds a view, and tries again until --timeout. Prepared statements go on,
except 'SELECT *' over other columns, which PostgreSQL refuses once.`

type promoteOptions struct {
	*globalOptions

	whenCaughtUp bool
	requireEqual bool
	timeout      time.Duration
	timeoutGiven bool
	keep         int

	report promotionReport
}

// promotionReport is the JSON form of a promotion, a rollback and a rebuild.
type promotionReport struct {
	Projection string        `json:"projection"`
	From       versionName   `json:"from"` // what readers saw before
	To         versionName   `json:"to"`   // what they see now
	Changed    bool          `json:"changed"`
	Retired    []versionName `json:"retired"`
}

// versionName is the JSON form of the name of a version.
type versionName struct {
	Version int `json:"version"`
	Build   int `json:"build,omitempty"`
}

func versionNameOf(id store.ProjectionID) versionName {
	return versionName{Version: id.Version, Build: id.Build}
}

func newPromoteCommand(globals *globalOptions) *cobra.Command {
	opts := &promoteOptions{globalOptions: globals}
	cmd := &cobra.Command{
		Use:   "promote PROJECTION [VERSION]",
		Short: "Make readers see another version of a projection",
		Long:  promoteHelp,
		Example: `  pupwasm promote fines
  pupwasm promote fines 3 --when-caught-up`,
		Args: wantArgs(cobra.RangeArgs(1, 2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.timeoutGiven = cmd.Flags().Changed("timeout")
			return runPromote(cmd.Context(), opts, args)
		},
		ValidArgsFunction: completeProjections(globals, candidateIn),
	}
	cmd.Flags().BoolVar(&opts.whenCaughtUp, "when-caught-up", false,
		"wait until the version has caught up, for as long as that takes unless --timeout is given")
	cmd.Flags().BoolVar(&opts.requireEqual, "require-diff-empty", false,
		"refuse a version whose rows differ from those that readers see, as 'pupwasm diff' compares them")
	cmd.Flags().IntVar(&opts.keep, "keep-versions", 1, "how many replaced versions to keep for a rollback; -1 for all")
	opts.addTimeout(cmd)
	globals.addJSON(cmd.Flags(), printsJSON)
	return cmd
}

func (o *promoteOptions) addTimeout(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&o.timeout, "timeout", 30*time.Second,
		"how long to try again while readers hold the views or the version is behind; 0 for no limit")
}

// distantMin is how far a version is behind that will not arrive in a moment.
const distantMin = 10_000

func runPromote(ctx context.Context, opts *promoteOptions, args []string) error {
	if opts.keep < -1 {
		return usagef("--keep-versions must be -1 or more, it is %d", opts.keep)
	}
	to, err := openStore(ctx, opts.globalOptions)
	if err != nil {
		return err
	}
	defer to.Close()
	next, err := opts.nextVersion(ctx, to, args)
	if err != nil {
		return err
	}
	if !opts.whenCaughtUp {
		if err := nearEnough(ctx, to, next); err != nil {
			return err
		}
	}
	if err := opts.exchange(ctx, to, next.ProjectionID, func(ctx context.Context) (store.Promotion, error) {
		if err := opts.equal(ctx, to, next); err != nil {
			return store.Promotion{}, err
		}
		return segments.Promote(ctx, to, next.ProjectionID)
	}); err != nil {
		return err
	}
	if opts.keep >= 0 {
		if err := opts.retireOld(ctx, to, next.Name); err != nil {
			return err
		}
	}
	return opts.result(&opts.report)
}

// equal refuses a version whose rows differ from those that readers see, where that is asked for.
func (o *promoteOptions) equal(ctx context.Context, to store.Tables, next *store.ProjectionStatus) error {
	if !o.requireEqual || next.Live {
		return nil
	}
	live, err := known(ctx, to, next.Name)
	if err != nil {
		return err
	}
	for {
		comparison, err := segments.Compare(ctx, to, live.ProjectionID, next.ProjectionID, 0)
		var apart *store.ApartError
		switch {
		case errors.As(err, &apart) && o.whenCaughtUp && sleep(ctx, installedPoll):
			continue
		case err != nil:
			return err
		case uncompared(comparison) != "":
			return fmt.Errorf("%s, and readers see version %s of %s still: look with 'pupwasm diff %[3]s', and promote without "+
				"--require-diff-empty if that is right", uncompared(comparison), live.VersionText(), printable(next.Name))
		case comparison.Differ():
			return fmt.Errorf("versions %s and %s of %s differ, and readers see version %[1]s still: 'pupwasm diff %[3]s' shows how",
				live.VersionText(), next.VersionText(), printable(next.Name))
		}
		return nil
	}
}

// uncompared says what of two versions was not compared, beside columns that only one has; "" for nothing.
func uncompared(c *store.Comparison) string {
	for i := range c.Tables {
		t := &c.Tables[i]
		switch retyped := t.Retyped(); {
		case t.Uncompared != "":
			return fmt.Sprintf("table %s is not compared: %s", printable(t.Table), printable(t.Uncompared))
		case len(retyped) > 0:
			return fmt.Sprintf("column %s of table %s has another type and is not compared", printable(retyped[0]),
				printable(t.Table))
		}
	}
	if parked := c.Parked[0] + c.Parked[1]; parked > 0 {
		return fmt.Sprintf("%s wait, whose rows are not complete", count(int64(parked), "parked key"))
	}
	return ""
}

// sleep waits, and reports false when ctx ends before.
func sleep(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// nextVersion returns the version that is asked for, or the latest candidate.
func (o *promoteOptions) nextVersion(
	ctx context.Context, from store.Tables, args []string,
) (*store.ProjectionStatus, error) {
	name := args[0]
	if _, err := knownName(ctx, from, name); err != nil {
		return nil, err
	}
	if len(args) > 1 {
		id, err := versionOf(name, args[1])
		if err != nil {
			return nil, err
		}
		return o.version(ctx, from, name+"@"+id.VersionText())
	}
	all, err := allVersions(ctx, from, name)
	if err != nil {
		return nil, err
	}
	stages := store.Stages(all)
	for i := len(all) - 1; i >= 0; i-- { // in order of version
		if stages[all[i].ProjectionID] == store.StageCandidate {
			return &all[i], nil
		}
	}
	return nil, usagef("projection %s has no candidate: hosts build one from a module with a higher version, "+
		"'pupwasm versions %[1]s' shows what is there", printable(name))
}

// version returns a version that is named. With --when-caught-up a host may be about to install it.
func (o *promoteOptions) version(
	ctx context.Context, from store.Tables, named string,
) (*store.ProjectionStatus, error) {
	waiting, cancel := ctx, context.CancelFunc(func() {})
	if o.timeoutGiven && o.timeout > 0 {
		waiting, cancel = context.WithTimeout(ctx, o.timeout)
	}
	defer cancel()
	for told := false; ; told = true {
		found, err := known(ctx, from, named)
		var unknown *usageError
		if !o.whenCaughtUp || !errors.As(err, &unknown) {
			return found, err
		}
		if !told {
			o.log.Warn().Msg("waiting until a host has installed the version")
		}
		if !sleep(waiting, installedPoll) {
			return nil, cmp.Or(ctx.Err(), err)
		}
	}
}

// installedPoll is between two looks for a version that a host is to install.
const installedPoll = 250 * time.Millisecond

// versionOf reads an argument that is a version of a projection.
func versionOf(projection, text string) (store.ProjectionID, error) {
	id, ok := store.ParseVersion(projection, text)
	if !ok {
		return id, usagef("%s is not the number of a version", printable(text))
	}
	return id, nil
}

// nearEnough refuses a version that is still being built.
func nearEnough(ctx context.Context, from store.Tables, next *store.ProjectionStatus) error {
	all, err := allVersions(ctx, from, next.Name)
	if err != nil {
		return err
	}
	var behind *store.BehindError
	live := store.LiveOf(all)
	err = store.CheckPromotion(next.ProjectionID, next.Layout(), live.ProjectionID, live.Layout())
	if !errors.As(err, &behind) || behind.Positions < distantMin {
		return nil
	}
	return fmt.Errorf("%w: --when-caught-up waits for it, 'pupwasm versions %s' shows how long that takes", behind,
		printable(next.Name))
}

// exchange runs a promotion or a rollback within the time that it has, and says what readers see then.
func (o *promoteOptions) exchange(
	ctx context.Context, to store.Tables, of store.ProjectionID,
	try func(ctx context.Context) (store.Promotion, error),
) error {
	if o.timeout < 0 {
		return usagef("--timeout must not be negative, it is %s", o.timeout)
	}
	trying := ctx
	if o.timeout > 0 && (!o.whenCaughtUp || o.timeoutGiven) {
		var cancel context.CancelFunc
		trying, cancel = context.WithTimeout(ctx, o.timeout)
		defer cancel()
	}
	promotion, err := try(trying)
	switch {
	case err != nil && trying.Err() != nil && ctx.Err() == nil:
		return o.inTime(ctx, to, of, err)
	case err != nil:
		return err
	}
	o.report = promotionReport{
		Projection: of.Name, From: versionNameOf(promotion.From), To: versionNameOf(promotion.To),
		Changed: promotion.From != promotion.To, Retired: []versionName{},
	}
	if !o.report.Changed {
		return o.say("readers of %s see version %s already", printable(of.Name), promotion.To.VersionText())
	}
	return o.say("readers of %s see version %s now, before it was version %s", printable(of.Name),
		promotion.To.VersionText(), promotion.From.VersionText())
}

// inTime says what has not happened in time.
func (o *promoteOptions) inTime(ctx context.Context, from store.Tables, of store.ProjectionID, err error) error {
	var behind *store.BehindError
	if !errors.As(err, &behind) {
		return fmt.Errorf("readers of %s see the same version as before, after %s: %w", printable(of.Name), o.timeout, err)
	}
	workers, workersErr := from.Workers(ctx)
	for i := range workers {
		if workers[i].Runs(behind.Projection) {
			return fmt.Errorf("%w (waited %s)", err, o.timeout)
		}
	}
	if workersErr != nil {
		return fmt.Errorf("%w (waited %s)", err, o.timeout)
	}
	return fmt.Errorf("%w, and no host runs it (waited %s): put its module into the folder of a host", err, o.timeout)
}

// retireOld retires the replaced versions beyond those that are kept, the oldest first.
func (o *promoteOptions) retireOld(ctx context.Context, to store.Tables, name string) error {
	all, err := allVersions(ctx, to, name)
	if err != nil {
		return err
	}
	byVersion := map[store.ProjectionID]*store.ProjectionStatus{}
	for i := range all {
		byVersion[all[i].ProjectionID] = &all[i]
	}
	kept := 0
	for at := byVersion[store.LiveOf(all).Replaced]; at != nil; at = byVersion[at.Replaced] {
		if kept++; kept <= o.keep {
			continue
		}
		if err := to.Retire(ctx, at.ProjectionID); err != nil {
			o.log.Warn().Str("version", at.VersionText()).Str("reason", errorText(err)).Msg("version is not retired yet")
			continue
		}
		o.report.Retired = append(o.report.Retired, versionNameOf(at.ProjectionID))
		if err := o.say("version %s is retired: --keep-versions is %d", at.VersionText(), o.keep); err != nil {
			return err
		}
	}
	return nil
}
