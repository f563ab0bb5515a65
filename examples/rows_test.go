package examples_test

import (
	"database/sql"
	"fmt"
	"strings"
)

const (
	sqlite     = "SQLite"
	postgreSQL = "PostgreSQL"
	mariaDB    = "MariaDB"
)

// example is where an example runs, and what is in the database afterwards.
type example struct {
	databases []string
	tinygo    bool // it needs TinyGo
	tables    []rows
}

// rows are all rows of a table, in order of the first column.
type rows struct {
	name, columns string // the name as on PostgreSQL, PROJECTION.TABLE
	want          []string
}

var all = []string{sqlite, postgreSQL, mariaDB}

// theTest is the example that is a test, and looks at its rows by itself.
const theTest = "one_off_in_tests"

// examples has every example.
var examples = map[string]example{
	"append_and_read": {databases: all, tables: []rows{
		{
			"pupwasm.events", "global_position, aggregate_id, aggregate_version, event_type",
			[]string{"1 o1 1 OrderPlaced", "2 o1 2 OrderPaid", "3 o2 1 OrderPlaced"},
		},
	}},
	"append_in_transaction": {databases: all, tables: []rows{
		{"stock", "article, pieces", []string{"kettle 0"}},
		{"pupwasm.events", "aggregate_id, event_type", []string{"o1 OrderPlaced"}},
	}},
	"custom_logging": {databases: []string{sqlite}, tables: []rows{
		{"placed", "id", []string{"o1", "o3"}},
	}},
	"embed": {databases: all, tables: []rows{
		{"user_counter.users", "user_id, events", []string{"ann 2", "bob 1"}},
	}},
	"joins": {databases: all, tables: []rows{
		{
			"customer_totals.customers", "customer_id, name, orders, paid_cents, last_order",
			[]string{"c1 Anna 2 2500 o3", "c2 Bob 1 750 o2"},
		},
	}},
	"native_consumer": {databases: all, tables: []rows{
		{"spent", "user_id, orders, cents", []string{"ann 2 1750", "bob 1 795"}},
	}},
	"snapshots": {databases: all, tables: []rows{
		{"pupwasm.snapshots", "aggregate_id, aggregate_version", []string{"ann 100"}},
	}},
	"versioned_events": {databases: all, tables: []rows{
		{"sales.sales", "article, pieces, cents", []string{"cup 2 2500", "tea 3 1250"}},
		{"sales.channels", "channel, orders", []string{"shop 1", "web 2"}},
	}},
	theTest: {databases: []string{sqlite}},
	"partitioned": {databases: all, tables: []rows{
		{"user_counter.users", "user_id, events", users(7, 200)},
	}},
	"poison_event": {databases: all, tables: []rows{
		{"order_totals.totals", "order_id, cents, state", []string{"o1 1250 shipped", "o2 0 shipped", "o3 795 placed"}},
	}},
	"scaling": {databases: all, tables: []rows{
		{"user_counter.users", "user_id, events", users(3, 400)},
	}},
	"scoped_and_global": {databases: all, tables: []rows{
		{"revenue.revenue", "day, currency, payments, paid_cents, refunded_cents", []string{"2026-01-01 EUR 1 1250 0"}},
		{"user_counter.users", "user_id, events", []string{"ann 3"}},
		{"activity_log.activity", "position, subject", []string{"1 User/ann", "2 Order/o1", "3 Order/o1", "4 Parcel/p1", "5 Ticket/t1"}},
	}},
	"several_projections": {databases: all, tables: []rows{
		{"user_counter.users", "user_id, events", []string{"ann 4", "bob 1"}},
		{
			"revenue.revenue", "day, currency, payments, paid_cents, refunded_cents",
			[]string{"2026-01-01 EUR 2 2045 0", "2026-01-02 EUR 0 0 1250"},
		},
		{"activity_log.activity", "position, subject", []string{"1 User/ann", "2 Order/o1", "3 Order/o1", "4 Order/o2", "5 Order/o1"}},
	}},
	"single_worker": {databases: all, tables: []rows{
		{"user_counter.users", "user_id, events", []string{"ann 3", "bob 2"}},
	}},
	"stop_and_resume": {databases: all, tables: []rows{
		{"user_counter.users", "user_id, events", users(4, 250)},
	}},
	"tinygo_and_go": {databases: all, tinygo: true, tables: []rows{
		{"user_counter.users", "user_id, events", []string{"u1 5", "u2 4", "u3 2"}},
	}},
	"worker_pool": {databases: all, tables: []rows{
		{"user_counter.users", "user_id, events", users(5, 400)},
	}},
}

// users are so many users with so many events each.
func users(n, events int) (rows []string) {
	for i := range n {
		rows = append(rows, fmt.Sprintf("user-%d %d", i, events))
	}
	return rows
}

// scan returns a row with a blank between columns.
func scan(result *sql.Rows) (string, error) {
	columns, err := result.Columns()
	if err != nil {
		return "", err
	}
	values, targets := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		targets[i] = &values[i]
	}
	if err := result.Scan(targets...); err != nil {
		return "", err
	}
	for i, value := range values {
		if text, is := value.([]byte); is { // as MariaDB's driver returns it
			values[i] = string(text)
		}
	}
	return strings.TrimSpace(fmt.Sprintln(values...)), nil
}
