package pup

import (
	"sync/atomic"
	"unicode/utf8"
)

// Mutations collects the changes of a batch, and what it sends. Rows are begun by [Write.Row] and [Message.Send], in the
// goroutine that Handle runs in. Each batch has Mutations of its own: a row for those of a batch whose Handle has
// returned panics, since it would be lost.
type Mutations struct {
	row      Row // its buffer holds the reply
	count    uint32
	finished atomic.Bool // Handle has returned
	// onRow, in a native test, is told of each row that is begun, and whether Handle has returned before. It
	// reports whether the row must not be taken.
	onRow func(finished bool) (refuse bool)
}

const (
	magicReply         = 0x52505550
	replyHeaderSize    = 24
	mutationHeaderSize = 8
	statusError        = 1
	noEventIndex       = 1<<32 - 1

	replyBufferMin = 1024
	replyBufferMax = 4 << 20 // to begin with: a batch that large is a few large events, which are seldom passed on
	replyShare     = 4       // of the size of a block: a buffer is large enough for the reply to begin with
)

// replyBuffer is what the registered projection writes replies to at first. It is nil outside of a guest.
var replyBuffer []byte

// Len returns the number of rows that were begun, with those of messages.
func (m *Mutations) Len() int { return int(m.count) }

// newMutations makes room for the reply to a block of some size, in a buffer that earlier replies have used. A
// reply is seldom much larger than what it replies to, and mostly smaller; one piece of memory at once is
// cheaper than growing to it, above all in an instance that is put back after each batch.
func newMutations(buffer []byte, blockSize int) *Mutations {
	usual := replyHeaderSize + min(max(replyBufferMin, blockSize), replyBufferMax)
	if len(buffer) < min(replyHeaderSize+blockSize/replyShare, usual) {
		buffer = make([]byte, usual)
	}
	return &Mutations{row: Row{buffer: buffer, size: replyHeaderSize, usual: usual}}
}

func (m *Mutations) begin(c *change, event int) *Row {
	if (m.onRow != nil || m.finished.Load()) && m.isStray() {
		return &Row{failure: &Error{Event: noEvent}} // takes nothing
	}
	r := &m.row
	r.begin(&c.origin, c.params, event)
	if c.index == unregistered {
		r.fault(unlistedFault(c.table, c.list))
	}
	if r.failure != nil {
		return r
	}
	head := uint64(uint16(c.index)) | uint64(uint16(len(c.params)))<<16 | uint64(uint32(event))<<32
	*(*uint64)(r.room(mutationHeaderSize)) = head
	m.count++
	return r
}

// isStray reports whether a row is begun where it cannot be. In a guest that is after Handle has returned, and
// ends it.
//
//go:noinline
func (m *Mutations) isStray() bool {
	if m.onRow == nil {
		misuse(lateRow)
	}
	return m.onRow(m.finished.Load())
}

// lateRow is said of a row that comes too late.
const lateRow = "a row is written after Handle has returned, by a goroutine that it did not wait for: it would be lost"

// close refuses further rows, and further values of a row that the projection still holds.
func (m *Mutations) close() {
	m.row.end()
	m.row.types, m.row.pending, m.row.next = nil, 0, 0
	m.row.closed = true
	m.finished.Store(true)
}

// finish returns the reply with the mutations.
func (m *Mutations) finish() []byte { return m.reply(0, m.count, 0) }

// finishError returns the reply with an error in place of what was collected.
func (m *Mutations) finishError(e *Error) []byte {
	event := uint32(noEventIndex)
	if e.Event >= 0 {
		event = uint32(e.Event)
	}
	m.row.size = replyHeaderSize
	m.row.raw(appendPlain(nil, e.Message))
	return m.reply(statusError, event, e.Code)
}

func (m *Mutations) reply(status uint16, count, code uint32) []byte {
	reply := m.row.written()
	putU32(reply, 0, magicReply)
	putU32(reply, 4, abiVersion|uint32(status)<<16)
	putU32(reply, 8, count)
	putU32(reply, 12, code)
	putU32(reply, 16, uint32(len(reply)-replyHeaderSize))
	putU32(reply, 20, 0)
	return reply
}

func putU32(data []byte, at int, v uint32) {
	data[at], data[at+1], data[at+2], data[at+3] = byte(v), byte(v>>8), byte(v>>16), byte(v>>24)
}

// appendPlain appends a message in a form that the host accepts as text, whatever a payload has put into it.
func appendPlain(dst []byte, message string) []byte {
	for _, c := range message { // an invalid byte becomes U+FFFD
		if c == 0 {
			c = '\uFFFD'
		}
		dst = utf8.AppendRune(dst, c)
	}
	return dst
}
