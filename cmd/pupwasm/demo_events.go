package main

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

// demoEvents makes up events of a small shop, a trader and a traffic office: the same events for the same seed.
type demoEvents struct {
	random    *rand.Rand
	at        time.Time
	users     int
	orders    []demoOrder
	customers int // of the trader
	sold      int // orders of these customers
	fines     []demoFine
	opened    int // orders
	filed     int // fines
}

type demoOrder struct {
	id    string
	cents int64
}

type demoFine struct {
	id    string
	cents int64
	sent  bool
}

func newDemoEvents(seed uint64) *demoEvents {
	return &demoEvents{
		random: rand.New(rand.NewPCG(seed, seed)),
		at:     time.Date(2025, time.January, 1, 8, 0, 0, 0, time.UTC),
	}
}

// next returns the next event.
func (d *demoEvents) next() store.StreamAppend {
	d.at = d.at.Add(time.Duration(1+d.random.IntN(600)) * time.Second)
	switch roll := d.random.IntN(100); {
	case roll < 5 || d.users == 0:
		d.users++
		return d.event("Shop", "User", d.user(d.users), "UserRegistered", `{"plan":"basic"}`)
	case roll < 30:
		return d.event("Shop", "User", d.anyUser(), "UserLoggedIn", `{"device":"web"}`)
	case roll < 50:
		return d.placeOrder()
	case roll < 65 && len(d.orders) > 0:
		return d.closeOrder()
	case roll < 75:
		return d.sell()
	case roll < 85 || len(d.fines) == 0:
		return d.createFine()
	default:
		return d.advanceFine()
	}
}

func (d *demoEvents) placeOrder() store.StreamAppend {
	d.opened++
	order := demoOrder{id: fmt.Sprintf("order-%05d", d.opened), cents: int64(100 + d.random.IntN(20_000))}
	d.orders = append(d.orders, order)
	return d.event("Shop", "Order", order.id, "OrderPlaced", fmt.Sprintf(
		`{"user_id":%q,"items":[{"sku":"sku-%d","count":%d}],"total":%s,"currency":"EUR"}`,
		d.anyUser(), d.random.IntN(200), 1+d.random.IntN(5), euros(order.cents)))
}

// closeOrder pays an open order, or now and then cancels it.
func (d *demoEvents) closeOrder() store.StreamAppend {
	at := d.random.IntN(len(d.orders))
	order := d.orders[at]
	d.orders[at] = d.orders[len(d.orders)-1]
	d.orders = d.orders[:len(d.orders)-1]
	if d.random.IntN(10) == 0 {
		return d.event("Shop", "Order", order.id, "OrderCancelled", `{"reason":"out of stock"}`)
	}
	return d.event("Shop", "Order", order.id, "OrderPaid",
		fmt.Sprintf(`{"amount":%s,"currency":"EUR"}`, euros(order.cents)))
}

// sell makes up an event of the trader: a customer comes, changes a name or pays an order.
func (d *demoEvents) sell() store.StreamAppend {
	names := []string{"Ada", "Bo", "Chidi", "Dewi", "Elif"}
	name := fmt.Sprintf(`{"name":%q}`, names[d.random.IntN(len(names))])
	roll := d.random.IntN(20)
	if roll == 0 || d.customers == 0 {
		d.customers++
		return d.event("Sales", "Customer", d.customer(d.customers), "CustomerRegistered", name)
	}
	customer := d.customer(1 + min(d.random.IntN(d.customers), d.random.IntN(d.customers)))
	if roll == 1 {
		return d.event("Sales", "Customer", customer, "CustomerRenamed", name)
	}
	d.sold++
	return d.event("Sales", "Order", fmt.Sprintf("sale-%05d", d.sold), "OrderPaid",
		fmt.Sprintf(`{"customer_id":%q,"amount":%s}`, customer, euros(int64(500+d.random.IntN(50_000)))))
}

func (d *demoEvents) customer(n int) string { return fmt.Sprintf("customer-%04d", n) }

func (d *demoEvents) createFine() store.StreamAppend {
	d.filed++
	fine := demoFine{id: fmt.Sprintf("S%05d", d.filed), cents: int64(2_000 + 100*d.random.IntN(150))}
	d.fines = append(d.fines, fine)
	return d.event("Traffic", "Fine", fine.id, "CreateFine",
		fmt.Sprintf(`{"amount":%s,"vehicleClass":"A","points":0}`, euros(fine.cents)))
}

func (d *demoEvents) advanceFine() store.StreamAppend {
	at := d.random.IntN(len(d.fines))
	fine := &d.fines[at]
	if !fine.sent {
		fine.sent = true
		return d.event("Traffic", "Fine", fine.id, "SendFine",
			fmt.Sprintf(`{"expense":%s}`, euros(int64(500+d.random.IntN(1_000)))))
	}
	if d.random.IntN(4) == 0 {
		fine.cents += fine.cents / 2
		return d.event("Traffic", "Fine", fine.id, "AddPenalty", fmt.Sprintf(`{"amount":%s}`, euros(fine.cents)))
	}
	id, cents := fine.id, fine.cents
	d.fines[at] = d.fines[len(d.fines)-1]
	d.fines = d.fines[:len(d.fines)-1]
	return d.event("Traffic", "Fine", id, "Payment", fmt.Sprintf(`{"paymentAmount":%s}`, euros(cents)))
}

func (d *demoEvents) event(boundedContext, aggregateType, id, eventType, payload string) store.StreamAppend {
	return store.StreamAppend{
		Stream: store.Stream{BoundedContext: boundedContext, AggregateType: aggregateType, AggregateID: id},
		Events: []store.Event{{Type: eventType, Payload: []byte(payload), CreatedAt: d.at}},
	}
}

func (d *demoEvents) user(n int) string { return fmt.Sprintf("user-%04d", n) }

// anyUser prefers the early ones, so that the counts differ.
func (d *demoEvents) anyUser() string {
	return d.user(1 + min(d.random.IntN(d.users), d.random.IntN(d.users)))
}

func euros(cents int64) string { return fmt.Sprintf("%d.%02d", cents/100, cents%100) }
