package main

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/guest-sdk/puptest"
)

// realLog returns the path of the published log that the fixture is modelled after. It is not part of the project.
func realLog() string {
	folder := os.Getenv("PUPWASM_DATA")
	if folder == "" {
		folder = "../../../../shared/data"
	}
	return filepath.Join(folder, "fines.jsonl.gz")
}

// realEventsMax keeps the test at some seconds; no fine has to be complete for its sums to be right.
const realEventsMax = 100_000

// TestFineBalance_realLog compares with sums that are made without the SDK.
func TestFineBalance_realLog(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a hundred thousand events take some seconds")
	}
	file, err := os.Open(realLog())
	if err != nil {
		t.Skipf("the real event log is not here: %v", err)
	}
	defer file.Close()
	unpacked, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	p := puptest.New(t)
	want := map[string]*balance{}
	var batch []puptest.Event
	lines := bufio.NewScanner(unpacked)
	for n := 0; n < realEventsMax && lines.Scan(); n++ {
		var line logLine
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		line.addTo(t, want)
		batch = append(batch, puptest.Event{
			BoundedContext: "Traffic", AggregateType: "Fine", AggregateID: line.ID, Type: line.Type, CreatedAt: line.At, Payload: line.Payload,
		})
		if len(batch) == 2000 {
			p.Apply(batch...)
			batch = batch[:0]
		}
	}
	p.Apply(batch...)
	rows := p.Rows("fines")
	if len(rows) != len(want) || len(rows) == 0 {
		t.Fatalf("%d rows of %d fines", len(rows), len(want))
	}
	for _, row := range rows {
		id, rest, _ := strings.Cut(row, " ")
		if wanted := want[strings.TrimPrefix(id, "fine_id=")].String(); rest != wanted {
			t.Fatalf("%s has\n\t%s\nwant\n\t%s", id, rest, wanted)
		}
	}
}

type logLine struct {
	ID      string          `json:"aggregate_id"`
	Type    string          `json:"event_type"`
	At      time.Time       `json:"created_at"`
	Payload json.RawMessage `json:"payload"`
}

type balance struct {
	amount, expense, paid int64
	events                int
	last                  string
	at                    time.Time
}

func (b *balance) String() string {
	return fmt.Sprintf("amount_cents=%d expense_cents=%d paid_cents=%d events=%d last_event=%s updated_at=%s",
		b.amount, b.expense, b.paid, b.events, b.last, b.at.Format(time.RFC3339Nano))
}

func (l *logLine) addTo(t *testing.T, balances map[string]*balance) {
	var payload struct{ Amount, Expense, PaymentAmount json.Number }
	if err := json.Unmarshal(l.Payload, &payload); err != nil {
		t.Fatal(err)
	}
	b := balances[l.ID]
	if b == nil {
		b = &balance{}
		balances[l.ID] = b
	}
	if payload.Amount != "" {
		b.amount = cents100(t, payload.Amount)
	}
	b.expense += cents100(t, payload.Expense)
	b.paid += cents100(t, payload.PaymentAmount)
	b.events++
	b.last, b.at = l.Type, l.At
}

// cents100 goes by the text: the log has two decimals at most.
func cents100(t *testing.T, n json.Number) int64 {
	whole, fraction, _ := strings.Cut(n.String(), ".")
	var cents int64
	if _, err := fmt.Sscan("1"+whole+(fraction + "00")[:2], &cents); err != nil {
		t.Fatal(err)
	}
	power := int64(100)
	for range whole {
		power *= 10
	}
	return cents - power
}
