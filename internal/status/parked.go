package status

import (
	"encoding/hex"
	"errors"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/pupwasm/pupwasm/store"
)

// ParkedKey is the report of a parked key, also as JSON.
type ParkedKey struct {
	Projection  string             `json:"projection"`
	Key         string             `json:"key"`
	Position    int64              `json:"position"` // of the event that failed
	EventID     string             `json:"event_id"`
	Last        int64              `json:"last_position"` // of the last event that waits
	Events      int64              `json:"events"`        // how many wait
	Error       string             `json:"error"`
	Attempts    int                `json:"attempts"`
	ParkedAt    time.Time          `json:"parked_at"`
	NextAttempt *time.Time         `json:"next_attempt_at,omitempty"` // none: it is not tried again by itself
	Order       store.ParkedAction `json:"order,omitempty"`
}

// ReportParked reports a parked key.
func ReportParked(k *store.ParkedKey) ParkedKey {
	r := ParkedKey{
		Projection: k.Projection.Name, Key: KeyText(k.Key), Position: k.First, EventID: k.Event.String(), Last: k.Last,
		Events: k.Events, Error: k.Error, Attempts: k.Attempts, ParkedAt: k.ParkedAt.UTC(), Order: k.Order,
	}
	if !k.NextAttempt.IsZero() {
		next := k.NextAttempt.UTC()
		r.NextAttempt = &next
	}
	return r
}

// Next says when the key is tried again.
func (k *ParkedKey) Next() string {
	switch {
	case k.Order == store.ActionSkip:
		return "skip ordered"
	case k.Order == store.ActionRetry:
		return "retry ordered"
	case k.NextAttempt == nil:
		return "with another module"
	}
	return k.NextAttempt.Format(time.RFC3339)
}

// KeyText is a partition key as a person reads and gives it: as it is, or in hex where it is no printable text.
func KeyText(key []byte) string {
	text := string(key)
	plain := utf8.Valid(key) && len(key) > 0 && !strings.HasPrefix(text, "hex:") && !strings.HasPrefix(text, "-") &&
		text == strings.TrimSpace(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
	if plain {
		return text
	}
	return "hex:" + hex.EncodeToString(key)
}

// ParseKey reads what KeyText writes.
func ParseKey(text string) ([]byte, error) {
	digits, isHex := strings.CutPrefix(text, "hex:")
	if !isHex {
		return []byte(text), nil
	}
	key, err := hex.DecodeString(digits)
	if err != nil {
		return nil, errors.New("behind 'hex:' there must be pairs of hex digits")
	}
	return append([]byte{}, key...), nil
}
