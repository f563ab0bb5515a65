package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// eventLog is one filled database. Its positions run from 1 to count.
type eventLog struct {
	dsn    string
	count  int64
	source string
}

// logEvent is an event before it is appended.
type logEvent struct {
	stream  string
	kind    string
	at      time.Time
	payload []byte
}

// fill appends events and leaves the table as a log of some age is: vacuumed and analyzed.
func fill(ctx context.Context, dsn, boundedContext, aggregateType string, events []logEvent) error {
	s, err := postgres.Open(dsn, postgres.Options{Lazy: true})
	if err != nil {
		return err
	}
	defer s.Close()
	if err := appendAll(ctx, s.Backend(), boundedContext, aggregateType, events); err != nil {
		return err
	}
	return execute(ctx, dsn, "VACUUM (FREEZE, ANALYZE) pupwasm.events", "CHECKPOINT")
}

// appendAll appends events to a log that is empty.
func appendAll(ctx context.Context, s store.Store, boundedContext, aggregateType string, events []logEvent) error {
	const chunk = 5000
	for start := 0; start < len(events); start += chunk {
		appends := make([]store.StreamAppend, 0, chunk)
		for _, e := range events[start:min(start+chunk, len(events))] {
			appends = append(appends, store.StreamAppend{
				Stream: store.Stream{
					BoundedContext: boundedContext, AggregateType: aggregateType, AggregateID: e.stream,
				},
				Expected: store.Any(),
				Events:   []store.Event{{Type: e.kind, Payload: e.payload, CreatedAt: e.at}},
			})
		}
		if _, err := s.Append(ctx, store.AppendOptions{}, appends...); err != nil {
			return err
		}
	}
	horizon, err := s.Horizon(ctx)
	if err != nil {
		return err
	}
	if horizon.Head != int64(len(events)) {
		return fmt.Errorf("the log ends at position %d, must be %d", horizon.Head, len(events))
	}
	return nil
}

// realFines reads the published log of traffic fines, at most limit events of it.
func realFines(limit int) ([]logEvent, error) {
	folder := os.Getenv("PUPWASM_DATA")
	if folder == "" {
		folder = filepath.Join("..", "shared", "data")
	}
	file, err := os.Open(filepath.Join(folder, "fines.jsonl.gz"))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	unpacked, err := gzip.NewReader(file)
	if err != nil {
		return nil, err
	}
	return readFines(unpacked, limit)
}

func readFines(from io.Reader, limit int) (events []logEvent, err error) {
	lines := bufio.NewScanner(from)
	for len(events) < limit && lines.Scan() {
		var line struct {
			AggregateID string          `json:"aggregate_id"`
			EventType   string          `json:"event_type"`
			CreatedAt   time.Time       `json:"created_at"`
			Payload     json.RawMessage `json:"payload"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return nil, err
		}
		events = append(events, logEvent{
			stream: line.AggregateID, kind: line.EventType, at: line.CreatedAt, payload: line.Payload,
		})
	}
	return events, lines.Err()
}

// madeFines makes events of the same kinds as the real log.
func madeFines(count int) []logEvent {
	random := rand.New(rand.NewPCG(7, 7))
	kinds := []struct{ event, field string }{
		{"CreateFine", "amount"},
		{"SendFine", "expense"},
		{"Payment", "paymentAmount"},
		{"AddPenalty", "amount"},
		{"SendForCreditCollection", ""},
	}
	events := make([]logEvent, count)
	for i := range events {
		kind := kinds[random.IntN(len(kinds))]
		payload := "{}"
		if kind.field != "" {
			payload = fmt.Sprintf(`{"%s":%d.%02d,"resource":"18","dismissal":"NIL","vehicleClass":"A","points":0}`,
				kind.field, random.IntN(500), random.IntN(100))
		}
		events[i] = logEvent{
			stream: fmt.Sprintf("S%d", random.IntN(count/4)), kind: kind.event,
			at: time.Unix(int64(1_000_000_000+i), 0).UTC(), payload: []byte(payload),
		}
	}
	return events
}
