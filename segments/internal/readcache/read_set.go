package readcache

import (
	"slices"

	"github.com/pupwasm/pupwasm/store"
)

// readSet is what one segment needs of the log, or several together: at least these events, with at least these
// fields.
type readSet struct {
	subscription store.Subscription
	columns      store.Columns
}

// readSetOf is what a segment needs to take its own out of pages that others share: what its module asks for,
// and what its filter reads.
func readSetOf(request store.ReadRequest) readSet {
	w := readSet{subscription: request.Subscription, columns: request.Columns}
	for i, list := range w.lists() {
		if len(*list) > 0 {
			w.columns |= scopeColumns[i]
		}
	}
	if request.Range != store.FullRange() {
		w.columns |= store.ColumnPartitionHash
	}
	return w
}

// include widens w to what other needs too. It may let in more than the two want: each list is widened by itself.
func (w *readSet) include(other readSet) {
	w.columns |= other.columns
	for i, list := range w.lists() {
		*list = union(*list, *other.lists()[i])
	}
}

// cover reports that what was read for w has all that other needs.
func (w *readSet) cover(other readSet) bool {
	if !w.columns.Has(other.columns) {
		return false
	}
	for i, list := range w.lists() {
		if !contains(*list, *other.lists()[i]) {
			return false
		}
	}
	return true
}

// scopeColumns are what the lists are of, in their order.
var scopeColumns = [3]store.Columns{store.ColumnBoundedContext, store.ColumnAggregateType, store.ColumnEventType}

func (w *readSet) lists() [3]*[]string {
	return [3]*[]string{&w.subscription.BoundedContexts, &w.subscription.AggregateTypes, &w.subscription.EventTypes}
}

// union returns the names of both lists, of which an empty one means all. The lists stay as they are.
func union(a, b []string) []string {
	if len(a) == 0 || len(b) == 0 {
		return nil
	}
	a = slices.Clip(a)
	for _, name := range b {
		if !slices.Contains(a, name) {
			a = append(a, name)
		}
	}
	return a
}

// contains reports that every name of b is in a, where an empty list means all.
func contains(a, b []string) bool {
	if len(a) == 0 || len(b) == 0 {
		return len(a) == 0
	}
	return !slices.ContainsFunc(b, func(name string) bool { return !slices.Contains(a, name) })
}
