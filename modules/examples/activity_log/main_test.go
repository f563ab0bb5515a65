package main

import (
	"strings"
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

func TestActivityLog_payloadThatIsNoJSONIsLeftOut(t *testing.T) {
	t.Parallel()
	p := puptest.New(t)
	p.Apply(puptest.ReadEvents(t, "testdata/no_payload.jsonl")...)
	p.WantRows("activity",
		`position=1 at=2024-05-01T09:00:00Z subject=User/u1 event_type=UserLoggedIn payload=null`,
		`position=2 at=2024-05-01T09:01:00Z subject=User/u1 event_type=UserLoggedOut payload=null`,
	)
	for payload, storable := range map[string]bool{
		"": false, " ": false, "\xff\x00": false, "{": false, "{}{}": false, "\"\xff\"": false, `{"a":"\u0000"}`: false, `"\ud800"`: false,
		`"\ude00"`: false, `"\ud83d\ud83d"`: false, "1e400000": false, "1E-20000": false,
		" [1e309] ": true, `"\\u0000"`: true, `"\ud83d\ude00"`: true, `"1e400000 \""`: true, "[true,false,1e+9999]": true, `"é\n"`: true, `"\uABCD"`: true,
		strings.Repeat("[", 31) + strings.Repeat("]", 31): true, strings.Repeat(`{"a":`, 32) + "1" + strings.Repeat("}", 32): false,
		"[" + strings.Repeat("[],", 40) + `"` + strings.Repeat("[", 40) + `"]`: true,
	} {
		p := puptest.New(t)
		p.Apply(puptest.Event{AggregateType: "User", AggregateID: "u1", Type: "x", Payload: payload})
		want := "null"
		if storable {
			want = payload
		}
		p.WantRows("activity", `position=1 at=2024-01-01T00:00:01Z subject=User/u1 event_type=x payload=`+want)
	}
}

func TestActivityLog_eventThatComesAgainChangesNothing(t *testing.T) {
	t.Parallel()
	p := puptest.New(t)
	event := puptest.Event{
		Position: 7, AggregateType: "User", AggregateID: "u1", Type: "UserLoggedIn",
		Payload: `{"from":"phone"}`,
	}
	p.Apply(event)
	p.Apply(event)
	p.WantRows("activity",
		`position=7 at=2024-01-01T00:00:07Z subject=User/u1 event_type=UserLoggedIn payload={"from":"phone"}`)
}

func TestActivityLog_anyBatchSplitGivesTheSameRows(t *testing.T) {
	t.Parallel()
	puptest.CheckSplits(t, puptest.ReadEvents(t, "testdata/shop.jsonl")...)
}

func TestActivityLog_anyDivisionGivesTheSameRows(t *testing.T) {
	t.Parallel()
	puptest.CheckSegments(t, puptest.ReadEvents(t, "testdata/shop.jsonl")...)
}
