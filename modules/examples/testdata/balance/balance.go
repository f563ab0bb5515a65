// Package balance is the projection of docs/versions.md: the balance of every customer, in three versions.
package balance

import pup "github.com/pupwasm/pupwasm/guest-sdk"

// Register registers a version. The second one has a column more, and takes refunds for payments; the third one does not.
func Register(version int) {
	columns := []pup.Column{pup.Text("customer").Key().Partition(), pup.I64("cents").NotNull().Default(0)}
	if version > 1 {
		columns = append(columns, pup.I64("payments").NotNull().Default(0))
	}
	balances := pup.NewTable("balances", columns...)
	added := []string{"cents"}
	if version > 1 {
		added = append(added, "payments")
	}
	move := balances.Upsert("move", pup.Add(added...))
	pup.Register(pup.Projection{
		Name:         "balance",
		Version:      version,
		Subscription: pup.Subscription{AggregateTypes: []string{"Customer"}},
		Tables:       []*pup.Table{balances},
		Handle: func(b *pup.Batch, out *pup.Mutations) error {
			for e := range b.Events() {
				payload := e.JSON()
				if !payload.Find("cents") {
					continue
				}
				cents := payload.Int64()
				if e.Type() == "Refunded" && version != 2 {
					cents = -cents
				}
				row := move.Row(out, e).Text(e.AggregateID()).I64(cents)
				if version > 1 {
					row.I64(1)
				}
			}
			return nil
		},
	})
}
