package main

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"

	"github.com/pupwasm/pupwasm/store"
)

// identities derives an id for each event without one: from the stream, the event's fields, and the number of
// equal events before it in the input. A repeat of the input, also if it has grown or lines were corrected,
// gives the same ids to the same events, so that the store recognizes them.
//
// It keeps 64 bits of every line. A collision changes the count of two lines, which is harmless: ids stay
// unique, and a repeat gives the same ones.
type identities struct {
	hash    hash.Hash
	scratch []byte
	once    map[uint64]struct{}
	more    map[uint64]uint32 // occurrences, of what occurred more than once
	given   map[store.UUID]givenID
}

// givenID is the event of an id that the input gives.
type givenID struct {
	content uint64
	line    int64
}

func newIdentities() *identities {
	return &identities{
		hash: sha256.New(), once: map[uint64]struct{}{}, more: map[uint64]uint32{}, given: map[store.UUID]givenID{},
	}
}

// derive returns the id of an event without one.
func (i *identities) derive(stream store.Stream, event *store.Event) store.UUID {
	digest := i.digest(stream, event)
	return deriveID(digest, i.occurrence(binary.BigEndian.Uint64(digest[16:])), event)
}

// claim records an id that a line gives. It returns the line that gave it to another event before, or 0.
func (i *identities) claim(id store.UUID, stream store.Stream, event *store.Event, line int64) (taken int64) {
	digest := i.digest(stream, event)
	content := binary.BigEndian.Uint64(digest[16:])
	before, known := i.given[id]
	if !known {
		i.given[id] = givenID{content: content, line: line}
		return 0
	}
	if before.content != content {
		return before.line
	}
	return 0
}

// digest hashes the identity of an event. Each field follows its length, so that the fields are unambiguous.
// expected_version is not part of it: correcting it does not make another event.
func (i *identities) digest(stream store.Stream, event *store.Event) (digest [sha256.Size]byte) {
	b := append(i.scratch[:0], "pupwasm line 1"...)
	for _, field := range [...]string{
		stream.BoundedContext, stream.AggregateType, stream.AggregateID, event.Type,
		event.TraceID, event.CorrelationID, event.CausationID,
	} {
		b = binary.AppendUvarint(b, uint64(len(field)))
		b = append(b, field...)
	}
	b = binary.AppendVarint(b, int64(event.Version))
	if event.CreatedAt.IsZero() {
		b = append(b, 0)
	} else {
		b = append(b, 1)
		b = binary.AppendVarint(b, event.CreatedAt.UnixMicro())
	}
	b = binary.AppendUvarint(b, uint64(len(event.Metadata)))
	b = append(b, event.Metadata...)
	i.scratch = b
	i.hash.Reset()
	i.hash.Write(b)
	i.hash.Write(event.Payload)
	i.hash.Sum(digest[:0])
	return digest
}

// occurrence counts a content and returns how often it occurred before.
func (i *identities) occurrence(content uint64) uint32 {
	if _, seen := i.once[content]; !seen {
		i.once[content] = struct{}{}
		return 0
	}
	i.more[content]++
	return i.more[content]
}

// deriveID makes a UUID of version 8. If the event has a time, its milliseconds come first, as in version 7, so
// that a log in order of time appends to the index of ids. The rest is the hash.
func deriveID(content [sha256.Size]byte, occurrence uint32, event *store.Event) store.UUID {
	var seed [sha256.Size + 4]byte
	copy(seed[:], content[:])
	binary.BigEndian.PutUint32(seed[sha256.Size:], occurrence)
	digest := sha256.Sum256(seed[:])
	var id store.UUID
	copy(id[:], digest[:])
	if millis := event.CreatedAt.UnixMilli(); !event.CreatedAt.IsZero() && millis >= 0 && millis < 1<<48 {
		binary.BigEndian.PutUint16(id[0:], uint16(millis>>32))
		binary.BigEndian.PutUint32(id[2:], uint32(millis))
	}
	id[6] = id[6]&0x0f | 0x80 // version 8
	id[8] = id[8]&0x3f | 0x80 // the variant of RFC 9562
	return id
}
