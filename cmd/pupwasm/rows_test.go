package main_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/uuid"
)

// loggedEvent is what rows depend on.
type loggedEvent struct {
	position, version           int64
	id                          uuid.UUID
	stream, eventType, customer string
}

// readLog returns all events in order.
func readLog(t *testing.T, db database) []loggedEvent {
	t.Helper()
	customer := `convert_from(payload, 'UTF8')::json ->> 'customer'`
	if db.kind == onMariaDB {
		customer = `JSON_VALUE(CONVERT(payload USING utf8mb4), '$.customer')`
	}
	var all []loggedEvent
	var e loggedEvent
	db.each(t, `SELECT global_position, aggregate_version, event_id, aggregate_id, event_type, coalesce(`+customer+`, '')
		FROM {own}events ORDER BY global_position`,
		func() { all = append(all, e) }, &e.position, &e.version, &e.id, &e.stream, &e.eventType, &e.customer)
	return all
}

// skipped returns the events that a projection has left out for good.
func skipped(t *testing.T, db database, projection string) map[int64]uuid.UUID {
	t.Helper()
	all := map[int64]uuid.UUID{}
	var position int64
	var id uuid.UUID
	db.each(t, `SELECT position, event_id FROM {own}skipped_events WHERE projection = '`+projection+`'`,
		func() { all[position] = id }, &position, &id)
	return all
}

// appliedTo returns the events that a projection must have applied: all that it has not skipped.
func appliedTo(t *testing.T, log []loggedEvent, db database, projection string) []loggedEvent {
	t.Helper()
	without := skipped(t, db, projection)
	applied := make([]loggedEvent, 0, len(log))
	for _, e := range log {
		if id, is := without[e.position]; is {
			if id != e.id {
				t.Errorf("%s has skipped event %d with the id %s, which has %s", projection, e.position, id, e.id)
			}
			delete(without, e.position)
			continue
		}
		applied = append(applied, e)
	}
	if len(without) > 0 {
		t.Errorf("%s has skipped events that the log does not have: %v", projection, without)
	}
	return applied
}

// tableRows are the rows of a table as they must be, by key.
type tableRows map[string]string

// compare demands that a table has these rows: by the key column, what belongs to it, with a blank between columns.
func (want tableRows) compare(t *testing.T, db database, table, key, columns string) {
	t.Helper()
	wrong := map[string]string{}
	left := maps.Clone(want)
	var is, got string
	db.each(t, fmt.Sprintf("SELECT concat_ws('', %s), concat_ws(' ', %s) FROM %s", key, columns, table), func() {
		if must, known := want[is]; !known || got != must {
			wrong[is] = fmt.Sprintf("is %q, must be %q", got, must)
		}
		delete(left, is)
	}, &is, &got)
	for key := range left {
		wrong[key] = fmt.Sprintf("is missing, must be %q", want[key])
	}
	const shown = 20
	for i, key := range slices.Sorted(maps.Keys(wrong)) {
		if i == shown {
			t.Errorf("%s: %d more are wrong", table, len(wrong)-shown)
			break
		}
		t.Errorf("%s: %s %s", table, key, wrong[key])
	}
}

// compareOrder demands that order_check has seen every event of a stream once and in order, apart from those that it
// has skipped.
func compareOrder(t *testing.T, db database, log []loggedEvent) {
	t.Helper()
	last := map[string]int64{}
	streams, breaks, odd := tableRows{}, tableRows{}, tableRows{}
	for _, e := range appliedTo(t, log, db, "order_check") {
		at := fmt.Sprint(e.position)
		if e.version != last[e.stream]+1 { // behind one that is skipped
			breaks[at] = fmt.Sprint(e.stream, " ", last[e.stream], " ", e.version)
		}
		if e.eventType == "Odd" {
			odd[at] = e.stream
		}
		last[e.stream] = e.version
		streams[e.stream] = fmt.Sprint(e.version)
	}
	streams.compare(t, db, "{order_check}streams", "stream", "version")
	breaks.compare(t, db, "{order_check}breaks", "position", `stream, "before", version`)
	odd.compare(t, db, "{order_check}odd", "position", "stream")
}

// compareCustomers demands that the rows of byCustomer, which many streams change, are what the log says.
func compareCustomers(t *testing.T, db database, log []loggedEvent) {
	t.Helper()
	orders, customers, latest := map[string]int{}, tableRows{}, tableRows{}
	for _, e := range appliedTo(t, log, db, "customer_fold") {
		orders[e.customer]++
		customers[e.customer] = fmt.Sprint(orders[e.customer], " ", e.position)
	}
	for _, e := range appliedTo(t, log, db, "latest_order") {
		latest[e.customer] = fmt.Sprint(e.stream, " ", e.position)
	}
	customers.compare(t, db, "{customer_fold}customers", "customer_id", "orders, last_position")
	latest.compare(t, db, "{latest_order}latest", "customer_id", "last_order, position")
}

// compare demands that the log has what the writers counted, and that every row of the projections is what these
// events amount to.
func (w *writers) compare(t *testing.T, db database, projections []string) {
	t.Helper()
	log := readLog(t, w.db)
	logged := map[string]int64{}
	for _, e := range log {
		logged[e.stream]++
	}
	events, streams := int64(0), w.streams()
	fines, users := tableRows{}, tableRows{}
	for id, sum := range streams {
		events += sum.events
		if logged[id] != sum.events {
			t.Errorf("%s has %d events in the log, the writers counted %d", id, logged[id], sum.events)
		}
		if id[0] == 'U' {
			users[id] = fmt.Sprint(sum.events)
		} else {
			fines[id] = fmt.Sprint(sum.events, " ", sum.paid, " ", sum.expense)
		}
	}
	if int64(len(log)) != events {
		t.Errorf("%d events are stored, the writers counted %d", len(log), events)
	}
	if slices.Contains(projections, "fine_balance") {
		fines.compare(t, db, "{fine_balance}fines", "fine_id", "events, paid_cents, expense_cents")
		users.compare(t, db, "{user_counter}users", "user_id", "events")
		compareOrder(t, db, log)
	}
	if slices.Contains(projections, byCustomer[0]) {
		compareCustomers(t, db, log)
	}
	if slices.Contains(projections, "tally") {
		compareTally(t, db, log, 1, 2)
	}
	t.Logf("%d events in %d streams are applied once and in order", events, len(streams))
}
