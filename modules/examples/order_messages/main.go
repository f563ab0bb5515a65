// Command order_messages tells others what becomes of the orders of a shop. It has no tables: it only sends messages.
package main

import (
	"strconv"

	pup "github.com/pupwasm/pupwasm/guest-sdk"
	"github.com/pupwasm/pupwasm/guest-sdk/json"
)

var (
	placed    = pup.NewMessage("order_placed", "shop.orders.{order}.placed")
	paid      = pup.NewMessage("order_paid", "shop.orders.{order}.paid")
	cancelled = pup.NewMessage("order_cancelled", "shop.orders.{order}.cancelled")
)

func init() {
	pup.Register(pup.Projection{
		Name:        "order_messages",
		Version:     1,
		Description: "a message for every order that is placed, paid or cancelled",
		Subscription: pup.Subscription{
			BoundedContexts: []string{"Shop"},
			AggregateTypes:  []string{"Order"},
			EventTypes:      []string{"OrderPlaced", "OrderPaid", "OrderCancelled"},
		},
		Fields:   []pup.Field{pup.AggregateID, pup.EventType, pup.Payload},
		Messages: []*pup.Message{placed, paid, cancelled},
		Handle:   handle,
	})
}

// order is what the payloads say of an order, each a part of it.
type order struct {
	user     string
	cents    int64
	currency string
}

func handle(b *pup.Batch, out *pup.Mutations) error {
	var data []byte
	for e := range b.Events() {
		data = append(data[:0], `{"order":`...)
		data = json.AppendString(data, e.AggregateID())
		switch e.Type() {
		case "OrderPlaced":
			o := read(e)
			data = append(data, `,"user":`...)
			data = o.appendAmount(json.AppendString(data, o.user))
			placed.Send(out, e).Text(e.AggregateID()).JSON(data)
		case "OrderPaid":
			o := read(e)
			paid.Send(out, e).Text(e.AggregateID()).JSON(o.appendAmount(data))
		case "OrderCancelled":
			cancelled.Send(out, e).Text(e.AggregateID()).JSON(append(data, '}'))
		}
	}
	return nil
}

func read(e pup.Event) (o order) {
	payload := e.JSON()
	for field := payload.Object(); field.Next(); {
		switch field.Key() {
		case "user_id":
			o.user = payload.Text()
		case "total", "amount":
			o.cents = payload.Decimal(2)
		case "currency":
			o.currency = payload.Text()
		}
	}
	return o
}

// appendAmount ends the data with what the order is about.
func (o *order) appendAmount(data []byte) []byte {
	data = append(data, `,"cents":`...)
	data = strconv.AppendInt(data, o.cents, 10)
	data = append(data, `,"currency":`...)
	return append(json.AppendString(data, o.currency), '}')
}

func main() {}
