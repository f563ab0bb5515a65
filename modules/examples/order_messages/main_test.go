package main

import (
	"testing"

	"github.com/pupwasm/pupwasm/guest-sdk/puptest"
)

func TestOrderMessages_tellsWhatBecomesOfOrders(t *testing.T) {
	t.Parallel()
	p := puptest.New(t)
	p.Apply(puptest.ReadEvents(t, "testdata/shop.jsonl")...)
	p.WantMessages(
		`id=order_messages.v1.4.0 type=order_placed subject=shop.orders.o1.placed key=o1 data={"order":"o1","user":"u1","cents":1234,"currency":"EUR"}`,
		`id=order_messages.v1.5.0 type=order_paid subject=shop.orders.o1.paid key=o1 data={"order":"o1","cents":1234,"currency":"EUR"}`,
		`id=order_messages.v1.6.0 type=order_placed subject=shop.orders.o2.placed key=o2 data={"order":"o2","user":"u2","cents":10000,"currency":"USD"}`,
		`id=order_messages.v1.7.0 type=order_paid subject=shop.orders.o2.paid key=o2 data={"order":"o2","cents":6050,"currency":"USD"}`,
		`id=order_messages.v1.8.0 type=order_paid subject=shop.orders.o2.paid key=o2 data={"order":"o2","cents":3950,"currency":"USD"}`,
		`id=order_messages.v1.10.0 type=order_placed subject=shop.orders.o3.placed key=o3 data={"order":"o3","user":"u3","cents":10,"currency":"EUR"}`,
		`id=order_messages.v1.11.0 type=order_paid subject=shop.orders.o3.paid key=o3 data={"order":"o3","cents":10,"currency":"EUR"}`,
		`id=order_messages.v1.12.0 type=order_placed subject=shop.orders.o4.placed key=o4 data={"order":"o4","user":"u1","cents":20,"currency":"EUR"}`,
		`id=order_messages.v1.13.0 type=order_paid subject=shop.orders.o4.paid key=o4 data={"order":"o4","cents":20,"currency":"EUR"}`,
		`id=order_messages.v1.14.0 type=order_cancelled subject=shop.orders.o2.cancelled key=o2 data={"order":"o2"}`,
		`id=order_messages.v1.16.0 type=order_placed subject=shop.orders.o5.placed key=o5 data={"order":"o5","user":"u2","cents":1999,"currency":"EUR"}`,
		`id=order_messages.v1.17.0 type=order_cancelled subject=shop.orders.o5.cancelled key=o5 data={"order":"o5"}`,
	)
}

func TestOrderMessages_anyBatchSplitSendsTheSame(t *testing.T) {
	t.Parallel()
	puptest.CheckSplits(t, puptest.ReadEvents(t, "testdata/shop.jsonl")...)
}

func TestOrderMessages_anyDivisionSendsTheSame(t *testing.T) {
	t.Parallel()
	puptest.CheckSegments(t, puptest.ReadEvents(t, "testdata/shop.jsonl")...)
}

func TestOrderMessages_aSubjectHasAnyIDAndTheDataHasItsText(t *testing.T) {
	t.Parallel()
	p := puptest.New(t)
	p.Apply(event("a.b \"ø\"", "OrderCancelled", `{}`))
	p.WantMessages(`id=order_messages.v1.1.0 type=order_cancelled subject=shop.orders.a%2Eb%20%22%C3%B8%22.cancelled key="a.b \"ø\"" ` +
		`data={"order":"a.b \"ø\""}`)
}

func TestOrderMessages_fractionOfACentIsAnErrorAndSendsNothing(t *testing.T) {
	t.Parallel()
	p := puptest.New(t)
	problem := p.ApplyError(
		event("o1", "OrderPaid", `{"amount":1,"currency":"EUR"}`),
		event("o1", "OrderPaid", `{"amount":1.005,"currency":"EUR"}`),
	)
	if problem.Event != 1 {
		t.Errorf("error %+v", problem)
	}
	p.WantMessages()
}

// TestOrderMessages_allocatesForItsBufferOnly however many events there are.
func TestOrderMessages_allocatesForItsBufferOnly(t *testing.T) {
	events := puptest.ReadEvents(t, "testdata/shop.jsonl")
	few := puptest.AllocsPerBatch(t, events...)
	for range 5 {
		events = append(events, events...)
	}
	if many := puptest.AllocsPerBatch(t, events...); many > few+2 {
		t.Errorf("%g allocations for %d events, %g for few", many, len(events), few)
	}
}

func event(id, eventType, payload string) puptest.Event {
	return puptest.Event{
		BoundedContext: "Shop", AggregateType: "Order", AggregateID: id, Type: eventType,
		Payload: payload,
	}
}
