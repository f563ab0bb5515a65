package store

import (
	"encoding/json"
	"fmt"
	"slices"
)

// SentBefore says which events of a projection are not the live version's to send, as drivers keep it: those up to the
// position of the range that has their hash. Beside it they keep exceptions, positions that are its own all the same.
// An event is the live version's to send when its position is behind that of its range, or among the exceptions.
//
// When a version gives way to the next one, by Promote, Rollback or Reset, within the transaction:
//
//   - DividedBy makes the ranges those of the version before, in case it has not begun to send since a reset. Where they
//     change, the hashes of the exceptions mean nothing any more.
//   - Of the exceptions, those stay that the version before has not applied: which it has parked, or which are behind its
//     checkpoint, that of the hash or, where that means nothing, its lowest one. What it has parked and was its own to
//     send becomes one. Without ranges, or with those of another log, there is no exception.
//   - PassedOn has the ranges for the next version, and DividedBy those in its own division. Of its held messages, those
//     of events that are its own to send now are to be sent, and the others are deleted.
type SentBefore struct {
	Log       UUID        // that the positions are of; zero where that is not known
	Partition string      // by what the events have their hashes, as [Projection.DivisionText] says it
	Begun     bool        // it was begun by [Outbox].BeginSending, and not only passed on
	Ranges    []SentRange // in order, with every hash once; none where nobody has begun
}

// SentRange is a range of hashes, spread, and the position up to which its events are not the live version's to send.
type SentRange struct {
	Range    HashRange
	Position int64
	// Last is the last event of the log up to the position, by which the log is known again, without the log's identity.
	// It is zero where a position was given and not come to.
	Last Applied
}

// Checkpoints returns the ranges as checkpoints, for [CheckCheckpoints]: a log to which one does not belong is another
// one, or was restored to an earlier time.
func (s SentBefore) Checkpoints(projection string) []Checkpoint {
	all := make([]Checkpoint, len(s.Ranges))
	for i, r := range s.Ranges {
		r.Last.Log.ID = s.Log
		all[i] = Checkpoint{Projection: projection, Position: r.Position, Applied: r.Last}
	}
	return all
}

// StaleMessagesError says that messages of another log wait to be sent, whose ids those of the log would have.
type StaleMessagesError struct{ Projection string }

// Error says what to do.
func (e *StaleMessagesError) Error() string {
	return fmt.Sprintf("messages of projection %s about events of another log wait, and new ones would have their ids: "+
		"have a host send them, or skip them", e.Projection)
}

// DivisionText is what the events are divided by, as a text that is the same for the same division.
func (p *Projection) DivisionText() string {
	division := p.Division()
	if division.ByStream() {
		division = Partition{By: PartitionStream}
	}
	text, _ := json.Marshal(division) // never fails
	return string(text)
}

// SentAfter is where a projection begins to send: behind a position of a log.
func SentAfter(p *Projection, log UUID, after int64) SentBefore {
	return SentBefore{
		Log: log, Partition: p.DivisionText(), Begun: true,
		Ranges: []SentRange{{Range: FullRange(), Position: after}},
	}
}

// DividedBy returns the same for a projection. If that divides events otherwise, changed is true, and the result has one
// range, at the lowest position: in it all events are, whatever their hashes are, that may not have been sent.
func (s SentBefore) DividedBy(p *Projection) (divided SentBefore, changed bool) {
	text := p.DivisionText()
	if len(s.Ranges) == 0 || s.Partition == text {
		return s, false
	}
	lowest := s.Ranges[0]
	for _, r := range s.Ranges {
		if r.Position < lowest.Position {
			lowest = r
		}
	}
	lowest.Range = FullRange()
	s.Partition, s.Ranges = text, []SentRange{lowest}
	return s, true
}

// OfAnotherLog reports that the positions are not those of a log.
func (s SentBefore) OfAnotherLog(log UUID) bool {
	return len(s.Ranges) > 0 && s.Log != log && s.Log != (UUID{}) && log != (UUID{})
}

// PassedOn returns what is not to be sent by the version that comes after one with this layout: what was not to be sent by
// that one, and what it has applied.
func (s SentBefore) PassedOn(p *Projection, layout *Layout) SentBefore {
	log := layout.Log()
	if s.OfAnotherLog(log) {
		s = SentBefore{Begun: s.Begun}
	}
	if s.Log == (UUID{}) {
		s.Log = log
	}
	s.Partition = p.DivisionText()
	if len(s.Ranges) == 0 {
		s.Ranges = []SentRange{{Range: FullRange()}}
	}
	var passed []SentRange
	for _, r := range s.Ranges {
		for i := range layout.Segments {
			segment := &layout.Segments[i]
			both := HashRange{
				First: max(r.Range.First, segment.Range.First), Last: min(r.Range.Last, segment.Range.Last),
			}
			if both.First > both.Last {
				continue
			}
			next := SentRange{Range: both, Position: r.Position, Last: r.Last}
			if segment.Position >= r.Position {
				next.Position = segment.Position
				next.Last = Applied{Position: segment.Applied.Position, Event: segment.Applied.Event}
			}
			passed = append(passed, next)
		}
	}
	s.Ranges = slices.Clip(joined(passed))
	return s
}

// joined makes one of neighbours at one position.
func joined(ranges []SentRange) (all []SentRange) {
	for _, r := range ranges {
		if n := len(all); n > 0 && all[n-1].Position == r.Position {
			all[n-1].Range.Last = r.Range.Last
			continue
		}
		all = append(all, r)
	}
	return all
}

// Log is the log that the checkpoints are of; zero where nothing is applied yet and nobody knows.
func (l *Layout) Log() UUID {
	for i := range l.Segments {
		if id := l.Segments[i].Applied.Log.ID; id != (UUID{}) {
			return id
		}
	}
	return UUID{}
}
