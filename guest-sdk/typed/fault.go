package typed

import (
	"strconv"

	pup "github.com/pupwasm/pupwasm/guest-sdk"
	"github.com/pupwasm/pupwasm/guest-sdk/json"
)

// fault is an error with the event's type and version in front.
type fault string

// Error is the text.
func (f fault) Error() string { return string(f) }

// Done returns what was wrong with the payload of an event, or nil.
func Done(e pup.Event, r *json.Reader) error {
	err := r.Err()
	if err == nil {
		return nil
	}
	return pup.At(e, fault(e.Type()+" version "+strconv.Itoa(int(e.Version()))+": "+err.Error()))
}

// UnknownVersion is the error for an event of another version than those that were known when its reader was generated,
// such as "1, 2".
func UnknownVersion(e pup.Event, known string) error {
	return pup.At(e, fault(e.Type()+" has version "+strconv.Itoa(int(e.Version()))+", the module knows "+known+
		": build it with all versions of the event"))
}

// Any returns what a reader of one type returns as what a reader of any type returns: nil where there is an error.
func Any[T any](event *T, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return event, nil
}
