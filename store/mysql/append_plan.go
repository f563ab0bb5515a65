package mysql

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/pupwasm/pupwasm/store"
)

// Statements are cut where they become longer than textMax, and not measured when they cannot be longer than smallText.
// eventTextMax is what a row has besides its texts and bytes.
const (
	textMax      = 1 << 20
	smallText    = 64 << 10
	eventTextMax = 1 << 10
)

// packet returns the longest text that the server takes.
func (c *conn) packet() (size int, err error) {
	err = c.query("SELECT @@max_allowed_packet", func(r *row) error {
		size = int(min(r.int64(0), driverPacketMax)) - packetMargin
		return nil
	})
	return size, err
}

// driverPacketMax is what the driver sends at most, unless it is told otherwise.
const (
	driverPacketMax = 64 << 20
	packetMargin    = 1 << 10
)

func tooLarge(size, packet int) string {
	return fmt.Sprintf("needs a statement of up to %d bytes, and the server takes %d: raise max_allowed_packet of the server, "+
		"for its default limit of 16 MiB to 64M", size, packet)
}

// measure asks how long a statement may be, and refuses an event that does not fit into one, before anything is sent.
func (a *appending) measure(c *conn) error {
	if a.packet > 0 {
		return nil
	}
	for i := range a.appends {
		for j := range a.appends[i].Events {
			a.size += eventSize(&a.appends[i].Events[j], &a.appends[i].Stream)
		}
	}
	a.packet = smallText
	if a.size+len(a.streams)*streamTextMax <= smallText {
		return nil
	}
	var err error
	if a.packet, err = c.packet(); err != nil {
		return err
	}
	for i := range a.appends {
		for j := range a.appends[i].Events {
			if size := eventSize(&a.appends[i].Events[j], &a.appends[i].Stream); size > a.packet {
				return fmt.Errorf("event %d of stream %s: %w", j+1, a.appends[i].Stream,
					&store.InputError{Field: "payload", Reason: tooLarge(size, a.packet)})
			}
		}
	}
	return nil
}

// streamTextMax is how long a row of streams may be.
const streamTextMax = 3*(2*store.TextBytesMax+16) + 32

// eventSize is how long the row of an event may be.
func eventSize(e *store.Event, of *store.Stream) int {
	return eventTextMax + 2*(len(of.BoundedContext)+len(of.AggregateType)+len(of.AggregateID)+len(e.Type)+len(e.Payload)+
		len(e.Metadata)+len(e.TraceID)+len(e.CorrelationID)+len(e.CausationID))
}

// run appends within a transaction.
func (a *appending) run(c *conn) error {
	a.wrong = nil
	if err := a.lock(c); err != nil {
		return err
	}
	if err := a.lookForNew(c); err != nil {
		return err
	}
	for _, head := range a.streams {
		if a.look || head.guarded {
			if err := a.lookFor(c, head); err != nil {
				return err
			}
		}
	}
	if err := a.findStored(c); err != nil {
		return err
	}
	conflicts := a.plan()
	if len(conflicts) > 0 {
		// Other programs may have inserted events by themselves.
		looked := false
		for _, conflict := range conflicts {
			if head := a.heads[conflict.Stream]; !head.looked {
				looked = true
				if err := a.lookFor(c, head); err != nil {
					return err
				}
			}
		}
		if looked {
			conflicts = a.plan()
		}
	}
	if err := conflicts.Err(); err != nil {
		return err
	}
	if id, twice := a.repeated(); twice {
		return &store.DuplicateEventError{ID: id}
	}
	for _, head := range a.streams {
		if head.version != head.noted {
			a.wrong = append(a.wrong, head)
		}
	}
	if err := a.insert(c); err != nil {
		return err
	}
	return a.count(c)
}

// commit ends a text with the end of the transaction, where it is ours and nothing else is to be done in it. ended is what
// comes of it.
func (c *conn) commit(text []byte, last bool) (whole string, ended bool) {
	if _, own := c.session.(rawSession); own && last {
		return string(append(text, "; COMMIT"...)), true
	}
	return string(text), false
}

// lock locks the streams in the order of their names, and counts the events that are given.
func (a *appending) lock(c *conn) error {
	at := 0
	return a.inChunks(len(a.streams), a.queries.lock, a.queries.locked, func(text []byte, i int) []byte {
		return appendHead(text, a.streams[i].stream, a.streams[i].count)
	}, func(text []byte, _ int, _ bool) error {
		return c.query(string(text), func(r *row) error {
			head := a.streams[at]
			head.noted, head.looked = r.int64(0), false
			head.first = head.noted - head.count
			at++
			return nil
		})
	})
}

// inChunks sends rows in statements that are not too long. send gets a statement, how many rows came before it, and whether
// it is the last one.
func (a *appending) inChunks(rows int, head, tail string, appendRow func(text []byte, i int) []byte,
	send func(text []byte, before int, last bool) error,
) error {
	limit := min(a.packet, textMax) - len(tail)
	var text []byte
	first := 0
	for i := range rows {
		if i == first {
			text = append(text[:0], head...)
		} else {
			text = append(text, ", "...)
		}
		before := len(text)
		text = appendRow(text, i)
		if len(text) > limit && i > first {
			row := slices.Clone(text[before:])
			if err := send(append(text[:before-2], tail...), first, false); err != nil {
				return err
			}
			text, first = append(append(text[:0], head...), row...), i
		}
	}
	if rows == 0 {
		return nil
	}
	return send(append(text, tail...), first, true)
}

// lookForNew looks for the last versions of streams that no append has counted.
func (a *appending) lookForNew(c *conn) error {
	for fresh := range slices.Chunk(a.newStreams(), newStreamsMax) {
		var text []byte
		for i, head := range fresh {
			if i > 0 {
				text = append(text, " UNION ALL "...)
			}
			part, err := expand(a.queries.max, []any{
				i, head.stream.BoundedContext, head.stream.AggregateType, head.stream.AggregateID,
			})
			if err != nil {
				return err
			}
			text = append(text, part...)
		}
		err := c.query(string(text), func(r *row) error {
			fresh[r.int(0)].first = r.int64(1)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// newStreamsMax is how many streams one statement looks for. None is too long for a server.
const newStreamsMax = 100

func (a *appending) newStreams() (fresh []*streamHead) {
	for _, head := range a.streams {
		if head.noted == head.count {
			fresh = append(fresh, head)
		}
	}
	return fresh
}

// lookFor looks for the last version of a stream, which other programs may have inserted. It waits for those that have
// not committed.
func (a *appending) lookFor(c *conn, head *streamHead) error {
	head.looked, head.first = true, 0
	return c.query(a.queries.last, func(r *row) error {
		head.first = r.int64(0)
		return nil
	}, head.stream.BoundedContext, head.stream.AggregateType, head.stream.AggregateID)
}

// findStored looks which of the ids are stored, where somebody asks or an attempt has met one.
func (a *appending) findStored(c *conn) error {
	if !a.options.SkipDuplicates && a.known == nil {
		return nil
	}
	a.known = map[store.UUID]bool{}
	return a.inChunks(len(a.ids), a.queries.stored, ") LOCK IN SHARE MODE", func(text []byte, i int) []byte {
		return appendBytes(text, a.ids[i][:])
	}, func(text []byte, _ int, _ bool) error {
		return c.query(string(text), func(r *row) error {
			a.known[r.uuid(0)] = true
			return nil
		})
	})
}

// plan gives every event its version, leaves duplicates out, and checks the expected versions, before anything is
// written.
func (a *appending) plan() (conflicts store.VersionConflicts) {
	for _, head := range a.streams {
		head.version = head.first
	}
	a.pending = a.pending[:0]
	seen := map[store.UUID]bool{}
	place := 0
	for i := range a.appends {
		given := &a.appends[i]
		head := a.heads[given.Stream]
		conflict := func() {
			if given.Expected != store.Any() && given.Expected.Code() != head.version {
				conflicts = append(conflicts, &store.VersionConflictError{
					Stream: given.Stream, Expected: given.Expected, Actual: head.version,
				})
			}
		}
		if given.IsCondition() {
			conflict()
		}
		for j := range given.Events {
			id := a.ids[place]
			a.result[place] = store.Appended{ID: id}
			if !a.options.SkipDuplicates || !a.known[id] && !seen[id] {
				if j == 0 {
					conflict()
				}
				head.version++
				a.pending = append(a.pending, pendingEvent{
					event: &given.Events[j], head: head, id: id, version: head.version, place: place,
				})
			}
			seen[id] = true
			place++
		}
	}
	return conflicts
}

// repeated returns an id that is stored already, or comes twice in the call.
func (a *appending) repeated() (id store.UUID, is bool) {
	seen := make(map[store.UUID]bool, len(a.pending))
	for i := range a.pending {
		if id = a.pending[i].id; seen[id] || a.known[id] {
			return id, true
		}
		seen[id] = true
	}
	return id, false
}

// insert inserts the events, whose positions are in the order of the rows.
func (a *appending) insert(c *conn) error {
	return a.inChunks(len(a.pending), a.queries.events, " RETURNING global_position", func(text []byte, i int) []byte {
		p := &a.pending[i]
		text = append(text, '(')
		text = appendStream(text, p.head.stream)
		text = append(text, ", "...)
		text = strconv.AppendInt(text, p.version, 10)
		text = append(text, ", "...)
		text = appendEvent(text, p.event, p.id, "UTC_TIMESTAMP(6)")
		return fmt.Appendf(text, ", %d)", p.head.hash)
	}, func(text []byte, at int, last bool) error {
		whole, ended := c.commit(text, last && len(a.wrong) == 0)
		err := c.query(whole, func(r *row) error {
			p := &a.pending[at]
			a.result[p.place].Position, a.result[p.place].AggregateVersion = r.int64(0), p.version
			at++
			return nil
		})
		c.ended = ended && err == nil
		return err
	})
}

// count puts right what the rows of streams have, where it is not what was counted at first.
func (a *appending) count(c *conn) error {
	return a.inChunks(len(a.wrong), a.queries.lock, a.queries.count, func(text []byte, i int) []byte {
		return appendHead(text, a.wrong[i].stream, a.wrong[i].version)
	}, func(text []byte, _ int, last bool) error {
		whole, ended := c.commit(text, last)
		_, err := c.exec(whole)
		c.ended = ended && err == nil
		return err
	})
}
