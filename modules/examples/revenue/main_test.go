package main

import (
	"testing"

	"github.com/pupwasm/pupwasm/guest-sdk/puptest"
)

func TestRevenue_sumsPaymentsAndRefundsPerDayAndCurrency(t *testing.T) {
	t.Parallel()
	p := puptest.New(t)
	p.Apply(puptest.ReadEvents(t, "testdata/shop.jsonl")...)
	p.WantRows("revenue",
		"day=2024-05-01 currency=EUR payments=1 paid_cents=1234 refunded_cents=0",
		"day=2024-05-01 currency=USD payments=2 paid_cents=10000 refunded_cents=0",
		"day=2024-05-02 currency=EUR payments=2 paid_cents=30 refunded_cents=0",
		"day=2024-05-02 currency=USD payments=0 paid_cents=0 refunded_cents=10000",
	)
	p.WantRows("orders",
		"order_id=o1 currency=EUR paid_cents=1234",
		"order_id=o3 currency=EUR paid_cents=10",
		"order_id=o4 currency=EUR paid_cents=20",
	)
}

func TestRevenue_anyBatchSplitGivesTheSameRows(t *testing.T) {
	t.Parallel()
	puptest.CheckSplits(t, puptest.ReadEvents(t, "testdata/shop.jsonl")...)
}

func TestRevenue_anyDivisionGivesTheSameRows(t *testing.T) {
	t.Parallel()
	puptest.CheckSegments(t, puptest.ReadEvents(t, "testdata/shop.jsonl")...)
}

func TestRevenue_cancelledOrderIsRefundedAcrossBatches(t *testing.T) {
	t.Parallel()
	p := puptest.New(t)
	p.Apply(
		event("o1", "OrderPaid", `{"amount":0.1,"currency":"EUR"}`),
		event("o1", "OrderPaid", `{"amount":0.2,"currency":"EUR"}`),
	)
	p.Apply(event("o1", "OrderCancelled", `{}`))
	p.WantMutations(
		"0 book day=2024-01-01 currency=EUR payments=0 paid_cents=0 refunded_cents=30",
		"0 drop_orders order_id=o1",
	)
	p.WantRows("orders")
	p.WantRows("revenue", "day=2024-01-01 currency=EUR payments=2 paid_cents=30 refunded_cents=30")
}

func TestRevenue_secondCurrencyOfAnOrderIsAnError(t *testing.T) {
	t.Parallel()
	p := puptest.New(t)
	p.Apply(event("o1", "OrderPaid", `{"amount":1,"currency":"EUR"}`))
	problem := p.ApplyError(
		event("o2", "OrderPaid", `{"amount":1,"currency":"USD"}`),
		event("o1", "OrderPaid", `{"amount":1,"currency":"USD"}`),
	)
	if problem.Event != 1 || problem.Code != codeCurrency || problem.Message != "the order is paid in EUR and in USD" {
		t.Errorf("error %+v", problem)
	}
}

func TestRevenue_fractionOfACentIsAnError(t *testing.T) {
	t.Parallel()
	problem := puptest.New(t).ApplyError(event("o1", "OrderPaid", `{"amount":1.005,"currency":"EUR"}`))
	if problem.Event != 0 {
		t.Errorf("error %+v", problem)
	}
}

func event(id, eventType, payload string) puptest.Event {
	return puptest.Event{
		BoundedContext: "Shop", AggregateType: "Order", AggregateID: id, Type: eventType,
		Payload: payload,
	}
}
