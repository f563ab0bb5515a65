package pup

import "github.com/pupwasm/pupwasm/guest-sdk/internal/host"

// Error is an error that goes back to the host: nothing of the batch is applied, and the segment stops with it.
type Error struct {
	Event   int    // index of the event at fault within the batch, or -1
	Code    uint32 // of the projection's own choice, 0 for none
	Message string // one line for the log and the status
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// ErrorAt returns an error that e is to blame for, with a code of the projection's own choice.
func ErrorAt(e Event, code uint32, message string) error {
	return &Error{Event: e.index, Code: code, Message: message}
}

// At attributes err to e. It returns nil when err is nil, and keeps the code of an [*Error].
func At(e Event, err error) error {
	if err == nil {
		return nil
	}
	attributed := &Error{Event: e.index, Message: err.Error()}
	if inner := findError(err); inner != nil {
		attributed.Code = inner.Code
	}
	return attributed
}

// findError looks for an *Error in the chain of wrapped errors. It does without errors.As, which needs reflection.
func findError(err error) *Error {
	for err != nil {
		if found, ok := err.(*Error); ok {
			return found
		}
		wrapper, ok := err.(interface{ Unwrap() error })
		if !ok {
			return nil
		}
		err = wrapper.Unwrap()
	}
	return nil
}

// misuse stops a projection that is wrongly written. The message is logged as well, since a trap does not carry it.
//
//go:noinline
func misuse(message string) {
	host.Log(uint32(LevelError), message)
	panic("pup: " + message)
}
