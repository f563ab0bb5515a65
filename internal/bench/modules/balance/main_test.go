package main

import (
	"testing"

	"github.com/pupwasm/pupwasm/guest-sdk/puptest"
)

func TestBalance_addsAndSubtracts(t *testing.T) {
	t.Parallel()
	p := puptest.New(t)
	p.Apply(
		puptest.Event{AggregateID: "a", Type: "Deposited", Payload: `{"amount":7}`},
		puptest.Event{AggregateID: "a", Type: "Withdrawn", Payload: `{"channel":"\"x\"","amount":9}`},
	)
	p.WantRows("accounts", "account=a balance=-2 events=2")
}
