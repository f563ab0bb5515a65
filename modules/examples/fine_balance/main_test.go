package main

import (
	"testing"

	"github.com/pupwasm/pupwasm/guest-sdk/puptest"
)

func TestFineBalance_addsUpChargesAndPayments(t *testing.T) {
	t.Parallel()
	p := puptest.New(t)
	p.Apply(puptest.ReadEvents(t, "testdata/fines.jsonl")...)
	p.WantRows("fines",
		"fine_id=X10000 amount_cents=6259 expense_cents=0 paid_cents=6259 events=2 last_event=Payment updated_at=2000-01-21T23:00:00Z",
		"fine_id=X10037 amount_cents=26200 expense_cents=0 paid_cents=0 events=5 last_event=SendForCreditCollection updated_at=2001-02-08T23:00:00Z",
		"fine_id=X10074 amount_cents=26200 expense_cents=0 paid_cents=0 events=7 last_event=SendForCreditCollection updated_at=2001-04-03T23:00:00Z",
		"fine_id=X10111 amount_cents=7000 expense_cents=0 paid_cents=3505 events=6 last_event=Payment updated_at=2000-07-06T23:00:00Z",
		"fine_id=X10148 amount_cents=3500 expense_cents=0 paid_cents=3500 events=2 last_event=Payment updated_at=2000-02-06T23:00:00Z",
		"fine_id=X10185 amount_cents=12518 expense_cents=0 paid_cents=0 events=5 last_event=SendForCreditCollection updated_at=2001-04-05T23:00:00Z",
		"fine_id=X10222 amount_cents=26200 expense_cents=1100 paid_cents=13105 events=6 last_event=Payment updated_at=2000-07-15T23:00:00Z",
		"fine_id=X10259 amount_cents=26200 expense_cents=1350 paid_cents=0 events=7 last_event=SendForCreditCollection updated_at=2001-02-06T23:00:00Z",
		"fine_id=X10296 amount_cents=13100 expense_cents=0 paid_cents=13100 events=2 last_event=Payment updated_at=2000-01-14T23:00:00Z",
		"fine_id=X10333 amount_cents=12518 expense_cents=1100 paid_cents=6264 events=6 last_event=Payment updated_at=2000-07-14T23:00:00Z",
		"fine_id=X10370 amount_cents=6260 expense_cents=0 paid_cents=0 events=5 last_event=SendForCreditCollection updated_at=2001-02-27T23:00:00Z",
		"fine_id=X10407 amount_cents=6260 expense_cents=1350 paid_cents=0 events=5 last_event=SendForCreditCollection updated_at=2001-03-12T23:00:00Z",
	)
}

func TestFineBalance_anyBatchSplitGivesTheSameRows(t *testing.T) {
	t.Parallel()
	puptest.CheckSplits(t, puptest.ReadEvents(t, "testdata/fines.jsonl")...)
}

func TestFineBalance_anyDivisionGivesTheSameRows(t *testing.T) {
	t.Parallel()
	puptest.CheckSegments(t, puptest.ReadEvents(t, "testdata/fines.jsonl")...)
}

func TestFineBalance_eventWithoutAmountKeepsTheAmount(t *testing.T) {
	t.Parallel()
	p := puptest.New(t)
	p.Apply(fine("CreateFine", `{"amount":62.59}`), fine("Payment", `{"paymentAmount":0.1}`))
	p.Apply(fine("Payment", `{"paymentAmount":0.2}`))
	p.WantRows("fines", "fine_id=A1 amount_cents=6259 expense_cents=0 paid_cents=30 events=3 last_event=Payment updated_at=2024-01-01T00:00:03Z")
}

func TestFineBalance_eventsBeforeTheFirstAmountLeaveItZero(t *testing.T) {
	t.Parallel()
	p := puptest.New(t)
	p.Apply(fine("SendFine", `{"expense":7.2}`), fine("AppealToJudge", `{}`))
	p.WantRows("fines", "fine_id=A1 amount_cents=0 expense_cents=720 paid_cents=0 events=2 last_event=AppealToJudge updated_at=2024-01-01T00:00:02Z")
}

func TestFineBalance_eventWithoutPayloadOnlyCounts(t *testing.T) {
	t.Parallel()
	p := puptest.New(t)
	p.Apply(fine("CreateFine", `{"amount":62.59}`), fine("Payment", ""), fine("CreateFine", ""))
	p.WantRows("fines", "fine_id=A1 amount_cents=6259 expense_cents=0 paid_cents=0 events=3 last_event=CreateFine updated_at=2024-01-01T00:00:03Z")
}

func fine(eventType, payload string) puptest.Event {
	return puptest.Event{
		BoundedContext: "Traffic", AggregateType: "Fine", AggregateID: "A1", Type: eventType,
		Payload: payload,
	}
}
