// Package v2 has the second version of the events by which generated readers are tested.
package v2

import (
	"strings"

	v1 "github.com/pupwasm/pupwasm/guest-sdk/typed/internal/sample/v1"
)

// Placed has lines instead of a total.
type Placed struct {
	Customer Customer  `json:"customer"`
	Lines    []v1.Line `json:"lines"`
}

// Customer is a part of Placed.
type Customer struct {
	Name string `json:"name"`
}

// Revoked is what Cancelled became.
//
//pup:event order.revoked
type Revoked struct {
	Reason string `json:"reason"`
}

// UpPlaced makes a line of the total.
func UpPlaced(old v1.Placed) Placed {
	return Placed{Customer: Customer{Name: old.Customer}, Lines: []v1.Line{{Article: "total", Price: old.Total}}}
}

// UpCancelled gives a reason.
func UpCancelled(v1.Cancelled) Revoked { return Revoked{Reason: "unknown"} }

// Noted is a text in JSON, by its own methods.
type Noted struct{ Words []string }

// UnmarshalJSON reads a text of words.
func (n *Noted) UnmarshalJSON(text []byte) error {
	n.Words = strings.Fields(strings.Trim(string(text), `"`))
	return nil
}

// MarshalJSON writes a text of words.
func (n Noted) MarshalJSON() ([]byte, error) {
	return []byte(`"` + strings.Join(n.Words, " ") + `"`), nil
}
