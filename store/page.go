package store

import (
	"errors"
	"strings"
)

// PageBuilder fills pages from the rows of a database, for implementations of [Reader]. One goroutine may use it
// for one page after the other:
//
//	builder.Begin(page, bytesMax)
//	for rows, until builder.Full {
//		event := builder.Row()
//		event.Type, event.Payload = builder.Intern(…), builder.Keep(…)
//		builder.EndRow()
//	}
//	builder.End(page)
//
// Payloads and metadata share one buffer, the page's own, which the next page reuses. Strings that repeat are allocated
// once, over all pages of the builder.
type PageBuilder struct {
	// Full is set when an event did not fit into the bytes of the page. It and those after it belong to the next page.
	Full bool

	events   []RecordedEvent
	arena    []byte
	size     int // of payloads and metadata so far
	bytesMax int
	interned map[string]string
	texts    strings.Builder // of strings that seldom repeat: what was written to it never moves nor changes
}

// internedMax bounds the strings that a builder remembers.
const internedMax = 4096

// Begin starts a page with a maximum of payload and metadata in bytes, which a single event may exceed; 0 is no limit.
func (b *PageBuilder) Begin(page *Page, bytesMax int) {
	b.Full, b.size, b.bytesMax = false, 0, bytesMax
	b.events, b.arena = page.Events[:0], page.Buffer[:0]
	if b.interned == nil {
		b.interned = map[string]string{}
	}
}

// Row adds an empty event and returns it. It is valid until EndRow.
func (b *PageBuilder) Row() *RecordedEvent {
	b.events = append(b.events, RecordedEvent{})
	return &b.events[len(b.events)-1]
}

// EndRow keeps the event, or removes it when it does not fit.
func (b *PageBuilder) EndRow() {
	last := len(b.events) - 1
	size := b.size + len(b.events[last].Payload) + len(b.events[last].Metadata)
	if b.bytesMax > 0 && size > b.bytesMax && last > 0 {
		b.events, b.Full = b.events[:last], true
		return
	}
	b.size = size
}

// Keep copies a payload or metadata to the page.
func (b *PageBuilder) Keep(value []byte) []byte {
	if len(b.arena)+len(value) > cap(b.arena) {
		// What was kept stays where it is; the rest of the old buffer is lost.
		b.arena = make([]byte, 0, max(2*cap(b.arena), len(value), 64<<10))
	}
	start := len(b.arena)
	b.arena = append(b.arena, value...)
	return b.arena[start:len(b.arena):len(b.arena)]
}

// Intern returns a string that repeats.
func (b *PageBuilder) Intern(value []byte) string {
	if text, known := b.interned[string(value)]; known {
		return text
	}
	if len(b.interned) >= internedMax {
		clear(b.interned)
	}
	text := string(value)
	b.interned[text] = text
	return text
}

// The strings of Text share allocations, which grow from textsMin to textsMax bytes. A caller that keeps one of the
// strings keeps those it came with.
const (
	textsMin = 128
	textsMax = 4096
)

// Text returns a string that seldom repeats.
func (b *PageBuilder) Text(value []byte) string {
	if room := b.texts.Cap(); room-b.texts.Len() < len(value) {
		b.texts.Reset()
		b.texts.Grow(max(min(2*room, textsMax), textsMin, len(value)))
	}
	start := b.texts.Len()
	b.texts.Write(value)
	return b.texts.String()[start:]
}

// End gives the events and the buffer to the page.
func (b *PageBuilder) End(page *Page) {
	page.Events, page.Buffer, page.Bytes = b.events, b.arena, b.size
	b.events, b.arena = nil, nil
}

// Start empties a page for the request, and reports whether there is anything to read.
func (r *ReadRequest) Start(page *Page) (bool, error) {
	page.Events, page.Bytes, page.Log = page.Events[:0], 0, LogID{}
	if r.Limit < 1 {
		return false, errors.New("a read needs a limit of at least 1 event")
	}
	page.Through = max(r.After, r.Through)
	return r.Through > r.After, nil
}

// Finish sets Through of a page that was filled for the request: to its last event when a limit ended it. full
// says that the limit of bytes did.
func (r *ReadRequest) Finish(page *Page, full bool) {
	if read := len(page.Events); full || read == r.Limit {
		page.Through = page.Events[read-1].Position
	}
}
