// Package v1 has the first version of the events by which generated readers are tested: every kind of member.
package v1

import (
	"encoding/json"
	"errors"
	"strings"
	"time"
)

//go:generate go run github.com/pupwasm/pupwasm/cmd/pupwasm gen events ..

// Everything has a member of every kind.
type Everything struct {
	Text      string          `json:"text"`
	Currency  Currency        `json:"currency"`
	Yes       bool            `json:"yes"`
	Int       int             `json:"int"`
	Int8      int8            `json:"int8"`
	Int16     int16           `json:"int16"`
	Int32     int32           `json:"int32"`
	Int64     int64           `json:"int64,omitempty"`
	Uint      uint            `json:"uint"`
	Uint8     uint8           `json:"uint8"`
	Uint16    uint16          `json:"uint16"`
	Uint32    uint32          `json:"uint32"`
	Uint64    uint64          `json:"uint64"`
	Float32   float32         `json:"float32"`
	Float64   float64         `json:"float64"`
	Price     Cents           `json:"price"`
	At        time.Time       `json:"at"`
	Bytes     []byte          `json:"bytes"`
	Raw       json.RawMessage `json:"raw,omitempty"`
	Colour    Colour          `json:"colour"`
	Temper    Temper          `json:"temper,omitzero"`
	Line      Line            `json:"line"`
	Lines     []Line          `json:"lines"`
	Maybe     *int64          `json:"maybe"`
	MaybeLine *Line           `json:"maybe_line,omitempty"`
	Deep      **string        `json:"deep,omitempty"`
	Texts     Texts           `json:"texts"`
	Grid      [][]int32       `json:"grid,omitempty"`
	ByName    map[string]Line `json:"by_name"`
	Sums      map[Currency][]Cents
	Tree      Tree `json:"tree"`
	Address
	Left string `json:"-"`
	_    string
}

// Currency is a text with a name.
type Currency string

// Cents is money.
//
//pup:decimals 2
type Cents int64

// Texts is a slice with a name.
type Texts []string

// Line is held by Everything, and so is no event.
type Line struct {
	Article string  `json:"article"`
	Price   Cents   `json:"price"`
	Note    *string `json:"note"`
}

// Tree holds itself.
type Tree struct {
	Name     string          `json:"name"`
	Children []Tree          `json:"children,omitempty"`
	Parent   *Tree           `json:"parent,omitempty"`
	Named    map[string]Tree `json:"named,omitempty"`
}

// Address is embedded.
type Address struct {
	City string `json:"city"`
	Text int    `json:"text"` // hidden by the outer one
}

// Colour is a text of its own form in JSON.
type Colour [3]byte

// UnmarshalText reads "#rgb".
func (c *Colour) UnmarshalText(text []byte) error {
	if len(text) != 4 || text[0] != '#' {
		return errors.New("is no colour")
	}
	copy(c[:], text[1:])
	return nil
}

// MarshalText writes "#rgb".
func (c Colour) MarshalText() ([]byte, error) {
	if c == (Colour{}) {
		return []byte("#000"), nil
	}
	return append([]byte{'#'}, c[:]...), nil
}

// Temper is a value of its own form in JSON.
type Temper struct{ Good bool }

// UnmarshalJSON reads "good", or anything else as bad.
func (t *Temper) UnmarshalJSON(text []byte) error {
	t.Good = strings.Contains(string(text), "good")
	return nil
}

// MarshalJSON writes "good" or "bad".
func (t Temper) MarshalJSON() ([]byte, error) {
	if t.Good {
		return []byte(`"good"`), nil
	}
	return []byte(`"bad"`), nil
}

// Placed has a second version.
type Placed struct {
	Customer string `json:"customer"`
	Total    Cents  `json:"total"`
}

// Cancelled was called Revoked later, and has no members.
type Cancelled struct{}
