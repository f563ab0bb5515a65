package pup

import "unicode/utf8"

// Mutations collects the changes of a batch. Rows are begun by [Write.Row].
type Mutations struct {
	row   Row // its buffer holds the reply
	count uint32
}

const (
	magicReply         = 0x52505550
	replyHeaderSize    = 24
	mutationHeaderSize = 8
	statusError        = 1
	noEventIndex       = 1<<32 - 1

	replyBufferMin = 1024
	replyShare     = 4 // of the size of a block: a buffer is large enough for the reply to begin with
)

// replyBuffer is what the registered projection writes replies to at first. It is nil outside of a guest.
var replyBuffer []byte

// Len returns the number of rows that were begun.
func (m *Mutations) Len() int { return int(m.count) }

// reset makes room for the reply to a block of some size. A reply is seldom much larger than what it replies to, and mostly smaller;
// one piece of memory at once is cheaper than growing to it, above all in an instance that is put back after each batch.
func (m *Mutations) reset(blockSize int) {
	buffer, usual := m.row.buffer, replyHeaderSize+max(replyBufferMin, blockSize)
	if len(buffer) < replyHeaderSize+blockSize/replyShare {
		buffer = make([]byte, usual)
	}
	m.row = Row{buffer: buffer, size: replyHeaderSize, usual: usual}
	m.count = 0
}

func (m *Mutations) begin(w *Write, event int) *Row {
	r := &m.row
	r.begin(&w.origin, w.params, event)
	if w.index == unregistered {
		if w.table != nil {
			r.fault("its table " + w.table.name + " is not among the Tables of the registered projection: list it there")
		} else {
			r.fault("it is not among the Statements of the registered projection: list it there")
		}
	}
	if r.failure != nil {
		return r
	}
	head := uint64(uint16(w.index)) | uint64(uint16(len(w.params)))<<16 | uint64(uint32(event))<<32
	*(*uint64)(r.room(mutationHeaderSize)) = head
	m.count++
	return r
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
