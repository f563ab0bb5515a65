// Package ledger is the projection account, which keeps the balance of every account, with or without a fault.
package ledger

import (
	"strconv"

	pup "github.com/pupwasm/pupwasm/guest-sdk"
)

var (
	accounts = pup.NewTable("accounts", pup.Text("account_id").Key().Partition(), pup.I64("cents").NotNull(),
		pup.Text("email"))
	fold = pup.NewFold(accounts, pup.FoldFuncs[account]{
		Key:  func(e pup.Event, key *pup.Row) { key.Text(e.PartitionKey()) },
		Load: func(row *pup.Rows, a *account) { a.cents, a.email = row.I64(), row.Text() },
		Save: func(row *pup.Row, a *account) { row.I64(a.cents).Text(a.email) },
	})
)

type account struct {
	cents int64
	email string
}

// Register registers the projection. One that is not fixed cannot close an account that has money, so that whether an
// event fails depends on the row that those before it have made.
func Register(fixed bool) {
	pup.Register(pup.Projection{
		Name:      "account",
		Version:   1,
		Partition: pup.ByJSON("account", "id"),
		Fields:    []pup.Field{pup.PartitionKey, pup.EventType, pup.Payload},
		Tables:    []*pup.Table{accounts},
		Handle: func(b *pup.Batch, out *pup.Mutations) error {
			return fold.Run(b, out, func(e pup.Event, a *account) error { return apply(e, a, fixed) })
		},
	})
}

func apply(e pup.Event, a *account, fixed bool) error {
	payload := e.JSON()
	for field := payload.Object(); field.Next(); {
		switch field.Key() {
		case "cents":
			a.cents += payload.Int64()
		case "email":
			a.email = payload.Text()
		}
	}
	switch {
	case e.Type() != "Closed":
	case fixed:
		a.cents = 0
	case a.cents > 0:
		return pup.ErrorAt(e, 1, "nobody takes the "+strconv.FormatInt(a.cents, 10)+" cents of "+a.email)
	}
	return nil
}
