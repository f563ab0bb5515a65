package main

import (
	"testing"

	"github.com/pupwasm/pupwasm/guest-sdk/puptest"
)

func TestUserCounter_countsEventsOfUsersAndTheirOrders(t *testing.T) {
	t.Parallel()
	p := puptest.New(t)
	p.Apply(puptest.ReadEvents(t, "testdata/shop.jsonl")...)
	p.WantRows("users",
		"user_id=u1 events=5 last_seen=2024-05-02T08:21:00Z",
		"user_id=u2 events=4 last_seen=2024-05-02T08:15:00Z",
		"user_id=u3 events=2 last_seen=2024-05-02T01:13:00Z",
	)
}

func TestUserCounter_anyBatchSplitGivesTheSameRows(t *testing.T) {
	t.Parallel()
	puptest.CheckSplits(t, puptest.ReadEvents(t, "testdata/shop.jsonl")...)
}

func TestUserCounter_anyDivisionGivesTheSameRows(t *testing.T) {
	t.Parallel()
	puptest.CheckSegments(t, puptest.ReadEvents(t, "testdata/shop.jsonl")...)
}

func TestUserCounter_badPayloadIsAnErrorOfItsEvent(t *testing.T) {
	t.Parallel()
	p := puptest.New(t)
	problem := p.ApplyError(
		puptest.Event{BoundedContext: "Shop", AggregateType: "User", AggregateID: "u1"},
		puptest.Event{BoundedContext: "Shop", AggregateType: "Order", AggregateID: "o1", Payload: `{"user_id":17}`},
		puptest.Event{BoundedContext: "Shop", AggregateType: "User", AggregateID: "u1"},
	)
	if problem.Event != 1 {
		t.Errorf("the error is attributed to event %d: %s", problem.Event, problem.Message)
	}
	p.WantRows("users")
}
