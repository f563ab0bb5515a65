// Command account keeps the balance of every account. It cannot close one that has money, so that whether an event fails
// depends on the row that those before it have made. It is for tests of bundles; account_mended has the fault no more.
package main

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

func init() {
	pup.Register(pup.Projection{
		Name:      "account",
		Version:   1,
		Partition: pup.ByJSON("account", "id"),
		Fields:    []pup.Field{pup.PartitionKey, pup.EventType, pup.Payload},
		Tables:    []*pup.Table{accounts},
		Handle: func(b *pup.Batch, out *pup.Mutations) error {
			return fold.Run(b, out, apply)
		},
	})
}

func apply(e pup.Event, a *account) error {
	payload := e.JSON()
	for field := payload.Object(); field.Next(); {
		switch field.Key() {
		case "cents":
			a.cents += payload.Int64()
		case "email":
			a.email = payload.Text()
		}
	}
	if e.Type() == "Closed" && a.cents > 0 {
		return pup.ErrorAt(e, 1, "nobody takes the "+strconv.FormatInt(a.cents, 10)+" cents of "+a.email)
	}
	return nil
}

func main() {}
