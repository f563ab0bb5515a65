package store

import (
	"encoding/hex"
	"errors"
)

// UUID is the identity of an event, in network byte order. The zero UUID means "none".
type UUID [16]byte

// String returns the lower-case form with hyphens.
func (u UUID) String() string {
	var text [36]byte
	return string(u.append(text[:0]))
}

func (u UUID) append(dst []byte) []byte {
	dst = append(hex.AppendEncode(dst, u[0:4]), '-')
	dst = append(hex.AppendEncode(dst, u[4:6]), '-')
	dst = append(hex.AppendEncode(dst, u[6:8]), '-')
	dst = append(hex.AppendEncode(dst, u[8:10]), '-')
	return hex.AppendEncode(dst, u[10:16])
}

// ParseUUID reads the form with hyphens, in either case.
func ParseUUID(text string) (UUID, error) {
	var u UUID
	if len(text) != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return UUID{}, errors.New("a UUID has the form xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx")
	}
	digits := text[0:8] + text[9:13] + text[14:18] + text[19:23] + text[24:36]
	if _, err := hex.Decode(u[:], []byte(digits)); err != nil {
		return UUID{}, errors.New("a UUID has hexadecimal digits only")
	}
	return u, nil
}
