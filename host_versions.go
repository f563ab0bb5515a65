package pupwasm

import (
	"context"

	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
)

// Promote makes readers see another version of a projection: the views by which they read become views of its tables,
// in one transaction, at a moment at which it is nowhere behind. No reader sees an older position. It tries again
// until ctx ends while the version is behind, lacks indexes, or readers keep the views; give ctx a deadline.
// [Host.Status] has the versions.
//
// # Errors
//
// [*store.InputError] when the version is not installed or has failed; [*store.BehindError] or [*store.UnbuiltError]
// when ctx ends first, or an error that is [store.ErrTransient]; [*store.CatalogueError] when others have built upon a
// view whose columns become others.
func (h *Host) Promote(ctx context.Context, projection store.ProjectionID) (store.Promotion, error) {
	return segments.Promote(ctx, h.tables, projection)
}

// Rollback makes readers see the version again that the live one has replaced.
//
// # Errors
//
// [*store.InputError] when it has replaced none, and those of [Host.Promote].
func (h *Host) Rollback(ctx context.Context, projection string) (store.Promotion, error) {
	return segments.Rollback(ctx, h.tables, projection)
}

// Retire deletes a version that readers do not see, with its rows.
//
// # Errors
//
// [*store.InputError] when the version is live, or a later one that a host runs; [store.ErrTransient].
func (h *Host) Retire(ctx context.Context, projection store.ProjectionID) error {
	return h.tables.Retire(ctx, projection)
}

// Rebuild asks for another build of the version that readers see, and returns which: the hosts that run the version build
// its rows beside, from the first event, by the code that they have. [Host.Promote] makes readers see it, once it has
// caught up, and [Host.Retire] deletes the build before then, or cancels the request. While one is asked for or is a
// candidate, it returns that one.
//
// # Errors
//
// [*store.InputError] when the projection is not known or has no tables of its own; [store.ErrTransient].
func (h *Host) Rebuild(ctx context.Context, projection string) (store.ProjectionID, error) {
	return h.tables.Rebuild(ctx, projection)
}

// Compare compares the rows of two versions of a projection at one position, with at most so many examples of rows
// that differ in a table, and of each kind. Where events come so fast that the versions do not meet by themselves, it
// holds both for a second or two.
//
// # Errors
//
// [*store.ApartError] when one is far behind, or ctx ends first; [*store.InputError]; [store.ErrTransient].
func (h *Host) Compare(ctx context.Context, a, b store.ProjectionID, examples int) (*store.Comparison, error) {
	return segments.Compare(ctx, h.tables, a, b, examples)
}
