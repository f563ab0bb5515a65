// Command user_counter counts the events of every user of a shop.
package main

import pup "github.com/pupwasm/pupwasm/guest-sdk"

var (
	users = pup.NewTable("users",
		pup.Text("user_id").Key(),
		pup.I64("events").NotNull().Default(0),
		pup.Timestamp("last_seen"),
	)
	count = users.Upsert("count", pup.Add("events"), pup.Max("last_seen"))
)

func init() {
	pup.Register(pup.Projection{
		Name:         "user_counter",
		Version:      1,
		Description:  "how many events each user of the shop has caused",
		Subscription: pup.Subscription{BoundedContexts: []string{"Shop"}},
		Fields:       []pup.Field{pup.AggregateType, pup.AggregateID, pup.Payload, pup.CreatedAt},
		Tables:       []*pup.Table{users},
		Handle:       handle,
	})
}

func handle(b *pup.Batch, out *pup.Mutations) error {
	for e := range b.Events() {
		user := e.AggregateID()
		if e.AggregateType() != "User" {
			payload := e.JSON()
			if len(e.Payload()) == 0 || !payload.Find("user_id") {
				continue // no user
			}
			user = payload.Text()
		}
		count.Row(out, e).Text(user).I64(1).Timestamp(e.CreatedAt())
	}
	return nil
}

func main() {}
