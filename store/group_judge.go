package store

import (
	"context"
	"errors"
)

// groupVerdict is what an error of a group means for one of its members. The zero value says that it is to be tried again with
// the others.
type groupVerdict struct {
	err   error // what it would have got alone
	apart bool  // it has to be tried alone to know
}

// judge finds out whom an error of a group concerns. Nothing of the group was appended.
//
// What is wrong with one member's stream or id is its own error if no other member has the same stream or id, since then
// it does not depend on what the others do. If one has, those who share it are tried alone.
func judge(members []*groupMember, err error) []groupVerdict {
	verdicts := make([]groupVerdict, len(members))
	var duplicate *DuplicateEventError
	conflicts := conflictsIn(err)
	found := false
	switch {
	// Nothing can be said of the transaction, so that trying again might append twice.
	case errors.Is(err, ErrTransient), errors.Is(err, ErrNotMigrated), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		for i := range verdicts {
			verdicts[i].err = err
		}
		return verdicts
	case len(conflicts) > 0:
		found = judgeConflicts(members, conflicts, verdicts)
	case errors.As(err, &duplicate) && duplicate.ID != UUID{}:
		having := membersWith(members, func(a *StreamAppend) bool { return hasEvent(a, duplicate.ID) })
		found = convict(having, duplicate, verdicts)
	}
	if !found {
		for i := range verdicts {
			verdicts[i].apart = true
		}
	}
	return verdicts
}

func judgeConflicts(members []*groupMember, conflicts []*VersionConflictError, verdicts []groupVerdict) bool {
	own := make([]VersionConflicts, len(members))
	for _, conflict := range conflicts {
		having := membersWith(members, func(a *StreamAppend) bool { return a.Stream == conflict.Stream })
		if len(having) == 0 {
			return false
		}
		if len(having) == 1 {
			own[having[0]] = append(own[having[0]], conflict)
			continue
		}
		for _, i := range having {
			verdicts[i].apart = true
		}
	}
	for i := range own {
		if len(own[i]) > 0 && !verdicts[i].apart {
			verdicts[i].err = own[i].Err()
		}
	}
	return true
}

// convict gives an error to the only member that it can concern, or sets those apart among which it cannot be told.
func convict(having []int, err error, verdicts []groupVerdict) bool {
	for _, i := range having {
		verdicts[i].apart = true
	}
	if len(having) == 1 {
		verdicts[having[0]] = groupVerdict{err: err}
	}
	return len(having) > 0
}

func membersWith(members []*groupMember, has func(*StreamAppend) bool) (indices []int) {
	for i, m := range members {
		for j := range m.appends {
			if has(&m.appends[j]) {
				indices = append(indices, i)
				break
			}
		}
	}
	return indices
}

func hasEvent(a *StreamAppend, id UUID) bool {
	for i := range a.Events {
		if a.Events[i].ID == id {
			return true
		}
	}
	return false
}

func conflictsIn(err error) []*VersionConflictError {
	var several VersionConflicts
	var one *VersionConflictError
	switch {
	case errors.As(err, &several):
		return several
	case errors.As(err, &one):
		return []*VersionConflictError{one}
	}
	return nil
}
