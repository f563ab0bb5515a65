package main

import (
	"testing"

	"github.com/pupwasm/pupwasm/guest-sdk/puptest"
)

func TestCustomerTotals_joinsCustomersAndTheirOrders(t *testing.T) {
	t.Parallel()
	p := puptest.New(t)
	p.Apply(puptest.ReadEvents(t, "testdata/sales.jsonl")...)
	p.WantRows("customers",
		`customer_id=17 name=null orders=1 paid_cents=333 last_order=o6`,
		`customer_id=c1 name="Ada \"Countess\" King" orders=3 paid_cents=2744 last_order=o7`,
		`customer_id=c2 name="Bo Derek" orders=2 paid_cents=3950 last_order=o5`,
		`customer_id=c3 name=Çelik orders=2 paid_cents=720 last_order=o8`,
	)
}

func TestCustomerTotals_anyBatchSplitGivesTheSameRows(t *testing.T) {
	t.Parallel()
	puptest.CheckSplits(t, puptest.ReadEvents(t, "testdata/sales.jsonl")...)
}

func TestCustomerTotals_anyDivisionGivesTheSameRows(t *testing.T) {
	t.Parallel()
	puptest.CheckSegments(t, puptest.ReadEvents(t, "testdata/sales.jsonl")...)
}

func TestCustomerTotals_doesNotAllocatePerEvent(t *testing.T) {
	events := puptest.ReadEvents(t, "testdata/sales.jsonl")
	once := puptest.AllocsPerBatch(t, events...)
	twice := puptest.AllocsPerBatch(t, append(events, events...)...)
	if twice > once {
		t.Errorf("a batch allocates %v times, one twice as long %v times", once, twice)
	}
}

func TestCustomerTotals_orderWithoutCustomerIsAnError(t *testing.T) {
	t.Parallel()
	p := puptest.New(t)
	problem := p.ApplyError(
		event("Order", "o1", "OrderPaid", `{"amount":1,"customer_id":"c1"}`),
		event("Order", "o2", "OrderPaid", `{"amount":1}`),
	)
	if problem.Event != 1 || problem.Code != codeNoCustomer {
		t.Errorf("error %+v", problem)
	}
	p.WantRows("customers")
}

func TestCustomerTotals_customerWithTheIDOfAnOrder(t *testing.T) {
	t.Parallel()
	p := puptest.New(t)
	p.Apply(event("Order", "1", "OrderPaid", `{"amount":0.5,"customer_id":"1"}`),
		event("Customer", "1", "CustomerRegistered", `{"name":"Ada"}`))
	p.WantRows("customers", "customer_id=1 name=Ada orders=1 paid_cents=50 last_order=1")
}

func event(aggregateType, id, eventType, payload string) puptest.Event {
	return puptest.Event{
		BoundedContext: "Sales", AggregateType: aggregateType, AggregateID: id, Type: eventType,
		Payload: payload,
	}
}
