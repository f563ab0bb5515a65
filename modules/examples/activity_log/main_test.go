package main

import (
	"testing"

	"github.com/pupwasm/pupwasm/guest-sdk/puptest"
)

func TestActivityLog_writesARowAnEvent(t *testing.T) {
	t.Parallel()
	p := puptest.New(t)
	p.Apply(puptest.ReadEvents(t, "testdata/shop.jsonl")[:4]...)
	p.WantRows("activity",
		`position=1 at=2024-05-01T09:00:00Z subject=User/u1 event_type=UserRegistered payload={"name":"Ada"}`,
		`position=2 at=2024-05-01T09:07:00Z subject=User/u2 event_type=UserRegistered payload={"name":"Bo \"the\" Bob"}`,
		`position=3 at=2024-05-01T09:18:00Z subject=User/u1 event_type=UserLoggedIn payload={}`,
		`position=4 at=2024-05-01T09:21:00Z subject=Order/o1 event_type=OrderPlaced payload={"user_id":"u1","items":[{"sku":"tea","quantity":2},{"sku":"cup","quantity":1}],"total":12.34,"currency":"EUR"}`,
	)
}

func TestActivityLog_eventThatComesAgainChangesNothing(t *testing.T) {
	t.Parallel()
	p := puptest.New(t)
	event := puptest.Event{Position: 7, AggregateType: "User", AggregateID: "u1", Type: "UserLoggedIn", Payload: `{"from":"phone"}`}
	p.Apply(event)
	p.Apply(event)
	p.WantRows("activity", `position=7 at=2024-01-01T00:00:07Z subject=User/u1 event_type=UserLoggedIn payload={"from":"phone"}`)
}

func TestActivityLog_anyBatchSplitGivesTheSameRows(t *testing.T) {
	t.Parallel()
	puptest.CheckSplits(t, puptest.ReadEvents(t, "testdata/shop.jsonl")...)
}

func TestActivityLog_anyDivisionGivesTheSameRows(t *testing.T) {
	t.Parallel()
	puptest.CheckSegments(t, puptest.ReadEvents(t, "testdata/shop.jsonl")...)
}
