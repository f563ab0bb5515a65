// Command shop_messages sends what its events have, in each kind of data. It is for tests of commands.
package main

import pup "github.com/pupwasm/pupwasm/guest-sdk"

var (
	paid   = pup.NewMessage("order_paid", "shop.orders.{order}.paid").Type("com.example.order.paid")
	note   = pup.NewMessage("order_note", "shop.orders.{order}.note").ContentType("text/plain; charset=utf-8")
	sealed = pup.NewMessage("order_sealed", "shop.sealed").ContentType("application/octet-stream").Key(pup.KeyNone)
)

func init() {
	pup.Register(pup.Projection{
		Name:     "shop",
		Version:  1,
		Fields:   []pup.Field{pup.AggregateID, pup.EventType, pup.Payload},
		Messages: []*pup.Message{paid, note, sealed},
		Handle: func(b *pup.Batch, out *pup.Mutations) error {
			for e := range b.Events() {
				switch e.Type() {
				case "OrderPaid":
					paid.Send(out, e).Text(e.AggregateID()).JSON(e.Payload())
				case "OrderNoted":
					note.Send(out, e).Text(e.AggregateID()).Text(string(e.Payload()))
				case "OrderSealed":
					sealed.Send(out, e).Bytes(e.Payload())
				}
			}
			return nil
		},
	})
}

func main() {}
