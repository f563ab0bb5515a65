package main

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/pupwasm/pupwasm/internal/alert"
	"github.com/pupwasm/pupwasm/internal/oneline"
	"github.com/pupwasm/pupwasm/internal/status"
	"github.com/pupwasm/pupwasm/store"
)

// onPark is the callback for --on-park, nil when the flag is not given.
func onPark(target, host string) (func(ctx context.Context, key store.ParkedKey) error, error) {
	if target == "" {
		return nil, nil
	}
	to, err := alert.To(target)
	if err != nil {
		return nil, usagef("--on-park %v", err)
	}
	return func(ctx context.Context, key store.ParkedKey) error { return to.Tell(ctx, parkedMessage(&key, host)) }, nil
}

// parkedAlert is the message about a parked key, see docs/failures.md. It has nothing of the event's payload but what
// the error says.
type parkedAlert struct {
	Event      string    `json:"event"`
	Projection string    `json:"projection"`
	Version    int       `json:"version"`
	Build      int       `json:"build,omitempty"`
	Key        string    `json:"key"`
	Position   int64     `json:"position"`
	EventID    string    `json:"event_id"`
	Error      string    `json:"error"`
	Attempts   int       `json:"attempts"`
	Waiting    int64     `json:"events"`
	ParkedAt   time.Time `json:"parked_at"`
	Host       string    `json:"host"`
}

func parkedMessage(key *store.ParkedKey, host string) alert.Message {
	a := parkedAlert{
		Event: "parked", Projection: key.Projection.Name, Version: key.Projection.Version,
		Build: key.Projection.Build, Key: status.KeyText(key.Key),
		Position: key.First, EventID: key.Event.String(), Error: oneline.Text(inFlags(key.Error)), Attempts: key.Attempts,
		Waiting: key.Events, ParkedAt: key.ParkedAt.UTC(), Host: host,
	}
	text, _ := json.Marshal(a) // which has nothing that fails
	return alert.Message{JSON: append(text, '\n'), Env: []string{
		"PARKED_PROJECTION=" + a.Projection, "PARKED_VERSION=" + key.Projection.VersionText(), "PARKED_KEY=" + a.Key,
		"PARKED_POSITION=" + strconv.FormatInt(a.Position, 10), "PARKED_EVENT_ID=" + a.EventID, "PARKED_ERROR=" + a.Error,
		"PARKED_HOST=" + a.Host,
	}}
}
