package store

import (
	"context"
	"fmt"
	"strings"
)

// Versions decides which of the installed versions of a projection its readers see, the live one. The others go on
// beside it, each in its own tables: candidates, which readers have not seen or see no longer, and those that the live
// one has replaced.
type Versions interface {
	// Promote makes a version the live one. All views of readers become views of its tables at once, at a moment at
	// which it is nowhere behind the version that they see until then: no reader sees an older position. Both go on. For
	// the version that is live already there is nothing to do. Where a host ends in the middle, the version is live
	// that readers see then, in all of their views.
	//
	// # Errors
	//
	// [*InputError] when the version is not installed, has a segment that has failed, or follows another log;
	// [*BehindError]; [*UnbuiltError]; [ErrTransient], with [ErrLocked] when a transaction has a lock on the views;
	// [*CatalogueError] when others have built upon a view whose columns become others. Nothing has changed then.
	Promote(ctx context.Context, projection ProjectionID) (Promotion, error)

	// Rollback makes the version live that the live one has replaced, as Promote does, whatever indexes it lacks.
	//
	// # Errors
	//
	// [*InputError] when the live version has replaced none, and those of Promote.
	Rollback(ctx context.Context, projection string) (Promotion, error)

	// Retire deletes a version that is not live, with its tables and checkpoints. Claims on it are fenced. A build that was
	// asked for and has not begun is no longer asked for.
	//
	// # Errors
	//
	// [*InputError] when the version is not installed, is live, or is later than the live one and a live worker runs
	// it, which would begin it again; or when others have built upon its tables, as far as the database knows;
	// [ErrTransient].
	Retire(ctx context.Context, projection ProjectionID) error

	// Rebuild asks for another build of the live version: the hosts that run the version build it beside, as a candidate,
	// by the code that they have, and Promote swaps them. While one is asked for, or a candidate build of the version is
	// there, it returns that one and does nothing. To ask for it begins nothing by itself: see [ProjectionStatus].Rebuild.
	// Retire cancels it.
	//
	// # Errors
	//
	// [*InputError] when the projection is not known or has no tables of its own; [ErrTransient].
	Rebuild(ctx context.Context, projection string) (ProjectionID, error)

	// Compare compares the rows of two versions of a projection, each with at most so many examples of rows that
	// differ in a table. It sees both at one moment, and holds nothing up. met is called as soon as that moment is
	// over: what comes later makes no difference. The caller owns the result.
	//
	// # Errors
	//
	// [*ApartError] when the versions do not stand at one position; [*InputError] when one is not installed;
	// [*RejectedError] when the examples exceed [ResultBytesMax]; [ErrTransient].
	Compare(ctx context.Context, a, b ProjectionID, examples int, met func()) (*Comparison, error)

	// SetCode notes what runs a version from now on. It returns the digest of what ran it before, "" where that is not
	// known.
	//
	// # Errors
	//
	// [*InputError] when the version is not installed; [ErrTransient].
	SetCode(ctx context.Context, projection ProjectionID, code Code) (before string, err error)

	// Code returns what ran a version last, as SetCode has noted it. The caller owns it.
	//
	// # Errors
	//
	// [*InputError] when the version is not installed; [ErrTransient].
	Code(ctx context.Context, projection ProjectionID) (Code, error)
}

// Code is what turns the events of a version into rows.
type Code struct {
	Digest string // tells it from other code, of a module its SHA-256 in hex; "" where nothing is known
	Module []byte // the module; nil for a program that is none
}

// Promotion is which version of a projection readers saw, and which they see now. They are the same when nothing has
// changed.
type Promotion struct {
	Projection string
	From, To   ProjectionID
}

// BehindError says that a version cannot become the live one yet.
type BehindError struct {
	Projection ProjectionID
	Live       ProjectionID // that readers see
	Positions  int64        // how far it is behind, where it is the most
}

// Error names the versions and how far they are apart.
func (e *BehindError) Error() string {
	return fmt.Sprintf("version %s of projection %s is %d positions behind version %s, which is live",
		e.Projection.VersionText(), e.Projection.Name, e.Positions, e.Live.VersionText())
}

// UnbuiltError says that a version cannot become the live one before its indexes are built, see
// [Projections.BuildIndexes].
type UnbuiltError struct {
	Projection ProjectionID
	Indexes    []MissingIndex
}

// Error names the version and the indexes.
func (e *UnbuiltError) Error() string {
	names := make([]string, len(e.Indexes))
	for i := range e.Indexes {
		names[i] = e.Indexes[i].String()
	}
	return fmt.Sprintf("version %s of projection %s has no index %s yet: a host builds it once the version has caught up, "+
		"and its log says when the database refuses it", e.Projection.VersionText(), e.Projection.Name, strings.Join(names, ", "))
}

// Stage is what a version is to readers.
type Stage string

// The stages. A version that was rolled back is a candidate again.
const (
	StageLive      Stage = "live"      // readers see it
	StageCandidate Stage = "candidate" // it is built beside the live one
	StageReplaced  Stage = "replaced"  // the live one has replaced it, and a rollback goes back to it
)

// Stages returns the stage of every version, of one projection or of several. all has every version of each.
func Stages(all []ProjectionStatus) map[ProjectionID]Stage {
	stages, replaced := map[ProjectionID]Stage{}, map[ProjectionID]ProjectionID{}
	for i := range all {
		stages[all[i].ProjectionID], replaced[all[i].ProjectionID] = StageCandidate, all[i].Replaced
	}
	for i := range all {
		if !all[i].Live {
			continue
		}
		at := all[i].ProjectionID
		stages[at] = StageLive
		for at = replaced[at]; stages[at] == StageCandidate; at = replaced[at] {
			stages[at] = StageReplaced
		}
	}
	return stages
}

// LiveOf returns the version of a projection that readers see, or nil. all has no other projection.
func LiveOf(all []ProjectionStatus) *ProjectionStatus {
	for i := range all {
		if all[i].Live {
			return &all[i]
		}
	}
	return nil
}

// Versioned are the installed versions of a projection, which stores decide by.
type Versioned []Installed

// Live returns the version that readers see, or nil when none is installed.
func (v Versioned) Live() *Installed {
	return v.find(func(i *Installed) bool { return i.Live })
}

// Find returns an installed version, or nil.
func (v Versioned) Find(id ProjectionID) *Installed {
	return v.find(func(i *Installed) bool { return i.ID() == id })
}

func (v Versioned) find(is func(*Installed) bool) *Installed {
	for i := range v {
		if is(&v[i]) {
			return &v[i]
		}
	}
	return nil
}

// Known returns an installed version.
//
// # Errors
//
// [*InputError] when it is not installed.
func (v Versioned) Known(id ProjectionID) (*Installed, error) {
	if len(v) == 0 {
		return nil, UnknownProjection(id.Name)
	}
	if found := v.Find(id); found != nil {
		return found, nil
	}
	versions := make([]string, len(v))
	for i := range v {
		versions[i] = v[i].ID().VersionText()
	}
	return nil, &InputError{Field: "projection " + id.Name, Reason: fmt.Sprintf("has no version %s: it has %s",
		id.VersionText(), strings.Join(versions, ", "))}
}

// Previous returns the version that Rollback goes back to.
//
// # Errors
//
// [*InputError].
func (v Versioned) Previous(projection string) (*Installed, error) {
	live := v.Live()
	if live == nil {
		return nil, UnknownProjection(projection)
	}
	if live.Replaced.Version == 0 {
		return nil, &InputError{Field: "projection " + projection, Reason: fmt.Sprintf(
			"has version %s live, which has replaced none that is still there: there is nothing to go back to",
			live.ID().VersionText())}
	}
	return v.Known(live.Replaced)
}

// Retirable returns a version that may be deleted. owner is a live worker that has a segment of it, or "".
//
// # Errors
//
// [*InputError].
func (v Versioned) Retirable(id ProjectionID, owner string) (*Installed, error) {
	found, err := v.Known(id)
	if err != nil {
		return nil, err
	}
	refuse := func(reason string) error {
		return &InputError{Field: "version " + id.VersionText() + " of projection " + id.Name, Reason: reason}
	}
	switch live := v.Live(); {
	case found.Live:
		return nil, refuse(fmt.Sprintf("is live: promote another version first; Store.Reset(%q) deletes the whole projection",
			id.Name))
	case owner != "" && live != nil && id.Version > live.Version:
		return nil, refuse("is run by worker " + owner + ", which would begin it again: take its module out of the folder, " +
			"or stop that host, and retire it then; a host that was killed counts until its lease is over")
	}
	return found, nil
}

// Replaces returns the version that one replaces when it becomes the live one, or the zero value for none. One that
// the live version has replaced, were it by others in between, keeps what it had replaced itself: to promote it is to
// roll back.
func (v Versioned) Replaces(id ProjectionID) ProjectionID {
	live := v.Live()
	for at := live; at != nil; at = v.Find(at.Replaced) {
		if at.ID() == id {
			return at.Replaced
		}
	}
	return live.ID()
}

// CheckPromotion reports why a version cannot take the place of the live one now, by their layouts.
//
// # Errors
//
// [*InputError], [*BehindError].
func CheckPromotion(id ProjectionID, of *Layout, live ProjectionID, before *Layout) error {
	field := "version " + id.VersionText() + " of projection " + id.Name
	for i := range of.Segments {
		s := &of.Segments[i]
		if s.Failure != "" {
			return &InputError{Field: field, Reason: fmt.Sprintf("has failed in segment %d: Store.Status says why", s.Segment)}
		}
		for _, seen := range before.Segments { // one that has not begun may have no log yet
			if a, b := seen.Applied.Log.ID, s.Applied.Log.ID; a != b && a != (UUID{}) && b != (UUID{}) {
				return &InputError{Field: field, Reason: "follows another log than the live version"}
			}
		}
	}
	if behind := of.behind(before); behind > 0 {
		return &BehindError{Projection: id, Live: live, Positions: behind}
	}
	return nil
}

// behind returns how far the layout is behind another, in the range of streams where it is the most.
func (l *Layout) behind(other *Layout) (positions int64) {
	for i := range l.Segments {
		for j := range other.Segments {
			if a, b := &l.Segments[i], &other.Segments[j]; a.Range.First <= b.Range.Last && b.Range.First <= a.Range.Last {
				positions = max(positions, b.Position-a.Position)
			}
		}
	}
	return positions
}
