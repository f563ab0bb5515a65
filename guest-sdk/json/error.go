package json

import "strconv"

// Error says what is wrong with a text, and where.
type Error struct {
	Offset  int    // in bytes
	Key     string // the field whose value is wrong or is the last before the fault, or ""
	Problem string // what is wrong
}

// Error returns a text such as `json: key "total", offset 17: is a string, not a number`.
func (e *Error) Error() string {
	text := "json: "
	if e.Key != "" {
		text += `key "` + e.Key + `", `
	}
	return text + "offset " + strconv.Itoa(e.Offset) + ": " + e.Problem
}

// fault is what went wrong, in a form that is noted without allocating: in TinyGo, functions that may allocate
// keep their pointers in memory for the collector, which would make every step of a reader slower.
type fault uint8

const (
	faultNone       fault = iota
	faultProblem          // the text says it all
	faultUnexpected       // the text says what is expected
	faultMismatch         // the text says what was asked for
	faultNoValue          // likewise, but there is no value that was not read
)

func (r *Reader) fail(problem string) { r.note(faultProblem, problem) }

// unexpected reports a character that the grammar does not allow.
func (r *Reader) unexpected(wanted string) { r.note(faultUnexpected, wanted) }

// mismatch reports that the next value is not what was asked for.
func (r *Reader) mismatch(asked string) {
	if r.state == pending {
		r.note(faultMismatch, asked)
	} else {
		r.note(faultNoValue, asked)
	}
}

// note keeps the first fault and stops the reader.
func (r *Reader) note(f fault, text string) {
	if r.state == failed {
		return
	}
	r.fault, r.text = f, text
	r.keyed = r.depth > 0 && r.inObject() && r.state != opened
	r.state = failed
}

// makeError returns the first fault as an error, while the data is still there.
func (r *Reader) makeError() *Error {
	e := &Error{Offset: r.pos}
	if r.keyed {
		// It is copied, since an error may outlive the text.
		e.Key = string(append([]byte(nil), Object{r, r.depth}.Key()...))
	}
	switch r.fault {
	case faultUnexpected:
		e.Problem = r.found() + " where " + r.text + " should be"
	case faultMismatch:
		e.Problem = "is " + kindNames[kindOf(at(r.data, r.pos))] + ", not " + r.text
		if kindOf(at(r.data, r.pos)) == Invalid {
			e.Problem = r.found() + " where a value should be"
		}
	case faultNoValue:
		e.Problem = "asked for " + r.text + ", but there is no value that was not read"
	default:
		e.Problem = r.text
	}
	return e
}

func (r *Reader) found() string {
	if r.pos >= len(r.data) {
		return "the end stands"
	}
	c := r.data[r.pos]
	if c > ' ' && c < 0x7F {
		return string([]byte{'\'', c, '\''}) + " stands"
	}
	return "byte " + strconv.Itoa(int(c)) + " stands"
}
