package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"
)

func finesLog(ctx context.Context, e *environment) (*eventLog, []logEvent, error) {
	limit := math.MaxInt
	if !e.full {
		limit = e.events
	}
	source := "the real log"
	events, err := realFines(limit)
	if err != nil {
		source = "made, because the real log is not there"
		events = madeFines(2 * e.events)
	}
	dsn, err := e.database(ctx, "fines")
	if err != nil {
		return nil, nil, err
	}
	log := &eventLog{dsn: dsn, count: int64(len(events)), source: source}
	return log, events, fill(ctx, dsn, "Traffic", "Fine", events)
}

// finePayload is what is read of the JSON.
type finePayload struct {
	Amount        *float64 `json:"amount"`
	Expense       *float64 `json:"expense"`
	PaymentAmount *float64 `json:"paymentAmount"`
}

// centsOf is exact for amounts of two decimals below 10^13.
func centsOf(amount *float64) int64 {
	if amount == nil {
		return 0
	}
	return int64(math.Round(*amount * 100))
}

// fineChange is what one event does to its fine.
type fineChange struct {
	charged               bool
	amount, expense, paid int64
}

func changeOf(kind string, payload []byte) (c fineChange, err error) {
	var p finePayload
	if err := json.Unmarshal(payload, &p); err != nil {
		return c, err
	}
	switch kind {
	case "CreateFine", "AddPenalty":
		c.charged = p.Amount != nil
		c.amount = centsOf(p.Amount)
	case "SendFine":
		c.expense = centsOf(p.Expense)
	case "Payment":
		c.paid = centsOf(p.PaymentAmount)
	}
	return c, nil
}

// fine is what events have made of a fine.
type fine struct {
	fineChange
	events int64
	last   string
	at     time.Time
}

func (f *fine) apply(c fineChange, kind string, at time.Time) {
	if c.charged {
		f.charged, f.amount = true, c.amount
	}
	f.expense += c.expense
	f.paid += c.paid
	f.events++
	f.last, f.at = kind, at
}

func foldFines(events []plainEvent) ([]any, error) {
	fines := map[string]*fine{}
	for i := range events {
		e := &events[i]
		c, err := changeOf(e.kind, e.payload)
		if err != nil {
			return nil, err
		}
		if fines[e.stream] == nil {
			fines[e.stream] = &fine{}
		}
		fines[e.stream].apply(c, e.kind, e.at)
	}
	var ids, last []string
	var amounts []*int64
	var expenses, paid, counts []int64
	var at []time.Time
	for id, f := range fines {
		var amount *int64
		if f.charged {
			amount = &f.amount
		}
		ids, amounts = append(ids, id), append(amounts, amount)
		expenses, paid = append(expenses, f.expense), append(paid, f.paid)
		counts, last, at = append(counts, f.events), append(last, f.last), append(at, f.at)
	}
	return []any{ids, amounts, expenses, paid, counts, last, at}, nil
}

func wantFines(events []logEvent) (map[string]string, error) {
	fines := map[string]fine{}
	for _, e := range events {
		c, err := changeOf(e.kind, e.payload)
		if err != nil {
			return nil, err
		}
		f := fines[e.stream]
		f.apply(c, e.kind, e.at)
		fines[e.stream] = f
	}
	want := make(map[string]string, len(fines))
	for id, f := range fines {
		want[id] = fmt.Sprintf("%d|%d|%d|%d|%s|%d", f.amount, f.expense, f.paid, f.events, f.last, f.at.UnixMicro())
	}
	return want, nil
}

const fineColumns = "fine_id, amount_cents, expense_cents, paid_cents, events, last_event, updated_at"

// mergeFine keeps the amount where the new row has none.
const mergeFine = ` ON CONFLICT (fine_id) DO UPDATE SET expense_cents = t.expense_cents + excluded.expense_cents,
	paid_cents = t.paid_cents + excluded.paid_cents, events = t.events + excluded.events,
	last_event = excluded.last_event,
	updated_at = excluded.updated_at, amount_cents = coalesce(excluded.amount_cents, t.amount_cents)`

func fineWorkload(log *eventLog, events []logEvent) *workload {
	return &workload{
		name: "W3", title: "fine_balance", log: log,
		// An amount that nobody has named yet is null here, so that the merge can tell; it counts as 0.
		columns: `fine_id text COLLATE "C" PRIMARY KEY, amount_cents bigint,
			expense_cents bigint NOT NULL, paid_cents bigint NOT NULL,
			events bigint NOT NULL, last_event text NOT NULL, updated_at timestamptz NOT NULL`,
		compare: "fine_id, " + joined("coalesce(amount_cents, 0)", "expense_cents", "paid_cents", "events",
			"last_event", "(extract(epoch FROM updated_at) * 1000000)::bigint"),
		want: remembered(func(count int64) map[string]string {
			want, err := wantFines(events[:count])
			if err != nil {
				panic(err) // the log is what it is
			}
			return want
		}),
		statement: `INSERT INTO bench.rows AS t (` + fineColumns + `)
			SELECT aggregate_id,
				(array_agg(((j ->> 'amount')::numeric * 100)::bigint ORDER BY global_position DESC)
					FILTER (WHERE event_type IN ('CreateFine', 'AddPenalty') AND j ? 'amount'))[1],
				coalesce(sum(((j ->> 'expense')::numeric * 100)::bigint) FILTER (WHERE event_type = 'SendFine'), 0),
				coalesce(sum(((j ->> 'paymentAmount')::numeric * 100)::bigint)
					FILTER (WHERE event_type = 'Payment'), 0),
				count(*), (array_agg(event_type ORDER BY global_position DESC))[1],
				(array_agg(created_at ORDER BY global_position DESC))[1]
			FROM (SELECT *, convert_from(payload, 'UTF8')::jsonb AS j FROM pupwasm.events
				WHERE global_position > $1 AND global_position <= $2) AS e
			GROUP BY 1` + mergeFine,
		fold: foldFines,
		upsert: `SELECT unnest($4::text[]), unnest($5::bigint[]), unnest($6::bigint[]), unnest($7::bigint[]),
			unnest($8::bigint[]),			unnest($9::text[]), unnest($10::timestamptz[]) %s` + mergeFine,
		handle: func(e *plainEvent) (string, []any, error) {
			c, err := changeOf(e.kind, e.payload)
			amount := any(c.amount)
			if !c.charged {
				amount = nil
			}
			return "INSERT INTO bench.rows AS t (" + fineColumns + ") VALUES ($1, $2, $3, $4, 1, $5, $6)" + mergeFine,
				[]any{e.stream, amount, c.expense, c.paid, e.kind, e.at}, err
		},
		module: "modules/examples/fine_balance", projection: "fine_balance", table: "fine_balance.fines",
	}
}
