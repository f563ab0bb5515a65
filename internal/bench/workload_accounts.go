package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

const withdrawn = "Withdrawn"

// booking is one event of the accounts, as far as it matters.
type booking struct {
	account int
	amount  int64
	kind    string
}

func accountName(n int) string { return fmt.Sprintf("account-%05d", n) }

func makeBookings(count, streams int) []booking {
	random := rand.New(rand.NewPCG(3, 5))
	bookings := make([]booking, count)
	for i := range bookings {
		bookings[i] = booking{account: random.IntN(streams), amount: 1 + random.Int64N(100_000), kind: "Deposited"}
		if random.IntN(3) == 0 {
			bookings[i].kind = withdrawn
		}
	}
	return bookings
}

// event is the booking as some 200 bytes of JSON.
func (b booking) event(i int) logEvent {
	payload := fmt.Sprintf(`{"transfer":"0192f0c1-6f5e-7b7e-9a55-%012x","channel":"branch","amount":%d,`+
		`"currency":"EUR","counterparty":"DE89370400440532013000","reference":"invoice %06d \"net\"",`+
		`"booked":"2024-03-01T12:00:00Z"}`, i, b.amount, i)
	at := time.Unix(int64(1_700_000_000+i), 0).UTC()
	return logEvent{stream: accountName(b.account), kind: b.kind, at: at, payload: []byte(payload)}
}

// append is the booking as it is appended.
func (b booking) append(i int) store.StreamAppend {
	event := b.event(i)
	return store.StreamAppend{
		Stream:   store.Stream{BoundedContext: "Bank", AggregateType: "Account", AggregateID: event.stream},
		Expected: store.Any(), Events: []store.Event{{Type: event.kind, Payload: event.payload}},
	}
}

// accountsLog makes and fills the log of W1 and W2 once.
func (e *environment) accountsLog(ctx context.Context) (*eventLog, error) {
	if e.accounts != nil {
		return e.accounts, nil
	}
	dsn, err := e.database(ctx, "accounts")
	if err != nil {
		return nil, err
	}
	e.bookings = makeBookings(e.events, e.streams)
	events := make([]logEvent, len(e.bookings))
	for i, b := range e.bookings {
		events[i] = b.event(i)
	}
	source := fmt.Sprintf("generated, %d streams, last payload %d bytes", e.streams, len(events[len(events)-1].payload))
	e.accounts = &eventLog{dsn: dsn, count: int64(len(events)), source: source}
	return e.accounts, fill(ctx, dsn, "Bank", "Account", events)
}

func (e *plainEvent) amount() (int64, error) {
	var payload struct {
		Amount int64 `json:"amount"`
	}
	err := json.Unmarshal(e.payload, &payload)
	return payload.Amount, err
}

// change is what the event does to its account's balance.
func (e *plainEvent) change() (int64, error) {
	amount, err := e.amount()
	if e.kind == withdrawn {
		amount = -amount
	}
	return amount, err
}

func foldBalances(events []plainEvent) ([]any, error) {
	var accounts []string
	var sums, counts []int64
	at := map[string]int{}
	for i := range events {
		change, err := events[i].change()
		if err != nil {
			return nil, err
		}
		account := events[i].stream
		n, known := at[account]
		if !known {
			n = len(accounts)
			at[account] = n
			accounts, sums, counts = append(accounts, account), append(sums, 0), append(counts, 0)
		}
		sums[n] += change
		counts[n]++
	}
	return []any{accounts, sums, counts}, nil
}

func foldRows(events []plainEvent) ([]any, error) {
	var accounts, kinds []string
	var positions, amounts []int64
	for i := range events {
		e := &events[i]
		amount, err := e.amount()
		if err != nil {
			return nil, err
		}
		positions, accounts = append(positions, e.position), append(accounts, e.stream)
		kinds, amounts = append(kinds, e.kind), append(amounts, amount)
	}
	return []any{positions, accounts, kinds, amounts}, nil
}

// amountOf is the amount as the database's own JSON functions see it.
const amountOf = "(convert_from(payload, 'UTF8')::jsonb ->> 'amount')::bigint"

func balanceWorkload(log *eventLog, bookings []booking) *workload {
	const merge = " ON CONFLICT (account) DO UPDATE SET balance = t.balance + excluded.balance, " +
		"events = t.events + excluded.events"
	return &workload{
		name: "W1", title: "balance per account", log: log,
		columns: `account text COLLATE "C" PRIMARY KEY, balance bigint NOT NULL, events bigint NOT NULL`,
		storage: "WITH (fillfactor = 50)", // so that new versions of a row fit on its page, 5 to 10% for the native one
		compare: "account, " + joined("balance", "events"),
		want: remembered(func(events int64) map[string]string {
			type balance struct{ sum, events int64 }
			balances := map[int]balance{}
			for _, b := range bookings[:events] {
				amount := b.amount
				if b.kind == withdrawn {
					amount = -amount
				}
				now := balances[b.account]
				balances[b.account] = balance{now.sum + amount, now.events + 1}
			}
			want := make(map[string]string, len(balances))
			for account, b := range balances {
				want[accountName(account)] = fmt.Sprintf("%d|%d", b.sum, b.events)
			}
			return want
		}),
		statement: `INSERT INTO bench.rows AS t
			SELECT aggregate_id, sum(CASE event_type WHEN 'Withdrawn' THEN -1 ELSE 1 END * ` + amountOf + `), count(*)
			FROM pupwasm.events WHERE global_position > $1 AND global_position <= $2 GROUP BY 1` + merge,
		fold:   foldBalances,
		upsert: "SELECT unnest($4::text[]), unnest($5::bigint[]), unnest($6::bigint[]) %s" + merge,
		handle: func(e *plainEvent) (string, []any, error) {
			change, err := e.change()
			return "INSERT INTO bench.rows AS t VALUES ($1, $2, 1)" + merge, []any{e.stream, change}, err
		},
		module: "internal/bench/modules/balance", projection: "bench_balance", table: "bench_balance.accounts",
	}
}

func rowsWorkload(log *eventLog, bookings []booking) *workload {
	return &workload{
		name: "W2", title: "a row per event", log: log,
		columns: "position bigint PRIMARY KEY, account text NOT NULL, kind text NOT NULL, amount bigint NOT NULL",
		compare: "position::text, " + joined("account", "kind", "amount"),
		want: remembered(func(events int64) map[string]string {
			want := make(map[string]string, events)
			for i, b := range bookings[:events] {
				want[strconv.Itoa(i+1)] = fmt.Sprintf("%s|%s|%d", accountName(b.account), b.kind, b.amount)
			}
			return want
		}),
		statement: `INSERT INTO bench.rows SELECT global_position, aggregate_id, event_type, ` + amountOf + `
			FROM pupwasm.events WHERE global_position > $1 AND global_position <= $2`,
		fold:   foldRows,
		upsert: "SELECT unnest($4::bigint[]), unnest($5::text[]), unnest($6::text[]), unnest($7::bigint[]) %s",
		handle: func(e *plainEvent) (string, []any, error) {
			amount, err := e.amount()
			return "INSERT INTO bench.rows VALUES ($1, $2, $3, $4)", []any{e.position, e.stream, e.kind, amount}, err
		},
		module: "internal/bench/modules/rows", projection: "bench_rows", table: "bench_rows.bookings",
	}
}
