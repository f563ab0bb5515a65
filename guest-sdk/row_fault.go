package pup

import "strconv"

// begin starts a row of declared types in what the buffer holds already.
func (r *Row) begin(of *origin, types []Type, event int) {
	if r.next < len(r.types) {
		r.end()
	}
	r.of, r.event = of, event
	r.next, r.types = 0, types
	if r.failure != nil {
		r.types = nil // nothing is taken any more: the batch has failed
	}
}

// end checks that the row is complete.
//
//go:noinline
func (r *Row) end() {
	if r.next < len(r.types) {
		r.fault("value " + strconv.Itoa(r.next+1) + " of " + strconv.Itoa(len(r.types)) + ", " + r.types[r.next].String() +
			", is missing")
	}
}

// mismatch notes that something of the given type came where it may not.
//
//go:noinline
func (r *Row) mismatch(given string) {
	switch {
	case r.next >= len(r.types):
		r.fault("there are more than " + strconv.Itoa(len(r.types)) + " values")
	case r.pending > 0:
		r.fault("value " + strconv.Itoa(r.next+1) + " is " + r.types[r.next].String() + ", an element is " + given)
	default:
		r.fault("value " + strconv.Itoa(r.next+1) + " is " + r.types[r.next].String() + ", given is " + given)
	}
}

// fault keeps the first failure and makes the row refuse what follows.
//
//go:noinline
func (r *Row) fault(message string) {
	if r.closed {
		misuse(lateRow)
	}
	if r.failure == nil {
		r.failure = &Error{Event: r.event, Message: r.of.kind + " " + r.of.name + ": " + message}
	}
	r.types, r.pending, r.next = nil, 0, 0
}
