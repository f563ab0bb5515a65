package json

// DepthMax is how deep objects and arrays may nest.
const DepthMax = 64

// Kind is what a value is.
type Kind uint8

// The kinds. Invalid is the kind of no value: after an error, or when the value was read already.
const (
	Invalid Kind = iota
	Null
	Bool
	Number
	String
	ObjectStart
	ArrayStart
)

var kindNames = [...]string{"nothing", "null", "a boolean", "a number", "a string", "an object", "an array"}

// state is the position of a reader.
type state uint8

const (
	done    state = iota // behind a value
	pending              // before a value
	opened               // behind the bracket that opened a container
	failed               // at the first fault
)

// Reader reads one JSON text from start to end. Its methods read the next value; see the package's example.
//
// Strings and slices point into the data, or into a buffer of the reader where there were escapes. They stay
// valid as long as the data is not changed and Release is not called.
type Reader struct {
	data    []byte
	pos     int
	depth   int
	objects uint64 // bit d: the container at depth d+1 is an object
	state   state
	keys    [DepthMax]string // per depth, the key of the field that was read last
	escapes uint64           // bit d: the key at depth d+1 still has its escapes
	escaped []byte           // decoded strings; never overwritten before Release

	fault fault
	text  string
	keyed bool // the fault is within an object, behind a key
	seen  bool // by Err
}

// NewReader returns a reader at the start of data.
func NewReader(data []byte) *Reader {
	r := &Reader{}
	r.Reset(data)
	return r
}

// Reset moves the reader to the start of data. Strings that were read before stay valid.
func (r *Reader) Reset(data []byte) {
	r.data, r.pos, r.depth, r.objects = data, 0, 0, 0
	r.state, r.fault, r.seen = pending, faultNone, false
}

// Release frees the buffer of strings that had escapes. They are invalid afterwards.
func (r *Reader) Release() {
	r.Reset(nil)
	r.state = done
	r.escaped = r.escaped[:0]
}

// Err returns the first error, which is an [*Error], or nil.
func (r *Reader) Err() error {
	r.seen = true
	if r.fault == faultNone {
		return nil
	}
	return r.makeError()
}

// Unchecked returns the first error if Err has not been called since. It is for code that hands a reader to
// other code.
func (r *Reader) Unchecked() error {
	if r.fault == faultNone || r.seen {
		return nil
	}
	return r.makeError()
}

// Kind returns what the next value is, by its first character.
func (r *Reader) Kind() Kind {
	if r.state != pending {
		return Invalid
	}
	return kindOf(r.peek())
}

func kindOf(c byte) Kind {
	switch {
	case c == '"':
		return String
	case c == '-' || c >= '0' && c <= '9':
		return Number
	case c == '{':
		return ObjectStart
	case c == '[':
		return ArrayStart
	case c == 't' || c == 'f':
		return Bool
	case c == 'n':
		return Null
	}
	return Invalid
}

// Null tells whether the next value is null, and passes over it then.
func (r *Reader) Null() bool {
	if c := at(r.data, r.pos); c > ' ' && c != 'n' {
		return false
	}
	if r.Kind() != Null {
		return false
	}
	r.Skip()
	return r.state != failed
}

// Bool reads true or false.
func (r *Reader) Bool() bool {
	if r.Kind() != Bool {
		r.mismatch("a boolean")
		return false
	}
	value := r.data[r.pos] == 't'
	r.Skip()
	return value && r.state != failed
}

// Raw passes over the next value and returns its text, without white space around it.
func (r *Reader) Raw() []byte {
	if r.Kind() == Invalid {
		r.mismatch("a value")
		return nil
	}
	start := r.pos
	r.skipValue(r.depth)
	end := r.pos
	r.finish()
	if r.state == failed {
		return nil
	}
	return r.data[start:end:end]
}

// Skip passes over the next value, which is checked nevertheless.
func (r *Reader) Skip() {
	if r.state != pending {
		r.mismatch("a value")
		return
	}
	r.skipValue(r.depth)
	r.finish()
}

// finish is called after a value: only white space may follow one outside of containers.
func (r *Reader) finish() {
	if r.state == failed {
		return
	}
	r.state = done
	if r.depth == 0 {
		if r.peek(); r.pos < len(r.data) {
			r.fail("there is more after the end")
		}
	}
}

// peek passes over white space and returns the next character, or 0 at the end.
func (r *Reader) peek() byte {
	r.pos = space(r.data, r.pos)
	return at(r.data, r.pos)
}
