package cases_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/internal/cases"
)

const sentCases = `defaults: {bounded_context: Shop, aggregate_type: Order}
cases:
  - name: two orders
    given:
      - {aggregate_id: "7", event_type: OrderPlaced, payload: {user_id: ann, total: 12.50, currency: EUR}}
    when:
      - {aggregate_id: "7", event_type: OrderPaid, payload: {amount: 12.50, currency: EUR}}
      - {aggregate_id: "8", event_type: OrderPlaced, payload: {user_id: bob, total: 1, currency: "U\"SD"}}
      - {aggregate_id: "7", event_type: OrderCancelled}
    then:
      messages:
        - {subject: shop.orders.8.placed, type: order_placed, key: "8", data: {cents: 100, order: "8", user: bob, currency: "U\"SD"}}
        - {subject: shop.orders.7.paid, key: "7", content_type: application/json}
        - {subject: shop.orders.7.cancelled, data: {order: "7"}}
  - name: others
    when: [{stream: Shop/User/ann, event_type: UserRegistered}, {stream: Shop/Order/7, event_type: OrderCancelled}]
    then:
      messages: [{subject: shop.orders.7.cancelled}]
  - name: a part of a cent
    when:
      - {aggregate_id: "6", event_type: OrderCancelled}
      - {aggregate_id: "7", event_type: OrderPaid, payload: {amount: 0.001}}
    then:
      fault: {event: 2, error: decimals}
      messages: [{subject: shop.orders.6.cancelled}]
`

func TestRun_messages(t *testing.T) {
	t.Parallel()
	m := module(t, "order_messages")
	path := write(t, "sent.yaml", sentCases)
	for _, r := range run(t, m, path) {
		if !r.Passed() {
			t.Errorf("%s:\n%s", r.Case.Name, failures(path, r))
		}
	}
}

func TestRun_tellsWhichMessagesDiffer(t *testing.T) {
	t.Parallel()
	m := module(t, "order_messages")
	for change, want := range map[[2]string]string{
		{"shop.orders.7.paid", "shop.orders.9.paid"}: ":13:11 there is no message subject=shop.orders.9.paid key=7 content_type=application/json\n" +
			`:11:7 there is a message besides: subject=shop.orders.7.paid key=7 type=order_paid data={"order":"7","cents":1250,"currency":"EUR"}` + "\n",
		{"cents: 100", "cents: 101"}: `:12:11 message shop.orders.8.placed: data is {"order":"8","user":"bob","cents":100,"currency":"U\"SD"}, ` +
			`want {"cents":101,"order":"8","user":"bob","currency":"U\"SD"}` + "\n",
		{`{subject: shop.orders.7.paid, key: "7", content_type: application/json}`, "{subject: shop.orders.7.cancelled}"}: "" +
			":14:11 there is no message subject=shop.orders.7.cancelled data={\"order\":\"7\"}\n" +
			`:11:7 there is a message besides: subject=shop.orders.7.paid key=7 type=order_paid data={"order":"7","cents":1250,"currency":"EUR"}` + "\n",
		{
			`{subject: shop.orders.7.paid, key: "7", content_type: application/json}
        - {subject: shop.orders.7.cancelled, data: {order: "7"}}`, `{subject: shop.orders.7.cancelled}
        - {subject: shop.orders.7.paid}`,
		}: ":13:11 message shop.orders.7.cancelled is sent behind subject=shop.orders.7.paid, which has the same key\n",
		{`key: "8"`, "key: x"}: ":12:11 message shop.orders.8.placed: key is 8, want x\n",
	} {
		path := write(t, "sent.yaml", strings.Replace(sentCases, change[0], change[1], 1))
		if got := failures(path, runRounds(t, m, path, 0)[0]); got != want {
			t.Errorf("%s: said\n%swant\n%s", change[1], got, want)
		}
	}
	path := write(t, "none.yaml", "cases:\n  - name: a\n    when: [{stream: Shop/User/ann, event_type: E}]\n    then: {messages: [{subject: a}]}\n")
	if got := failures(path, runRounds(t, module(t, "user_counter"), path, 0)[0]); !strings.Contains(got, ":4:12 the projection has no messages: ") {
		t.Errorf("said %s", got)
	}
}

// TestRun_findsMessagesThatDependOnMoreThanTheEvents has a module that sends, by the type of the events, how large a batch
// is, how many events an instance has seen, and one message for each batch.
func TestRun_findsMessagesThatDependOnMoreThanTheEvents(t *testing.T) {
	t.Parallel()
	m := module(t, filepath.Join("testdata", "chatty"))
	for eventType, want := range map[string]string{
		"Batch": "message chatty.v1.", "Global": "message chatty.v1.", "Last": "there is a message besides: chatty.v1.", "Fine": "",
	} {
		var when strings.Builder
		for range 3 {
			for _, stream := range []string{"a", "b", "c"} {
				when.WriteString("      - {stream: Shop/User/" + stream + ", event_type: " + eventType + "}\n")
			}
		}
		path := write(t, "many.yaml", "cases:\n  - name: many\n    when:\n"+when.String()+"    then: {}\n")
		got := failures(path, run(t, m, path)[0])
		if (got == "") != (want == "") || !strings.Contains(got, want) ||
			want != "" && !strings.Contains(got, "what comes of the events depends on more than them") {
			t.Errorf("%s: said %q", eventType, got)
		}
	}
}

// TestUpdate_writesMessages into cases that say none yet, that name some members, and that are wrong.
func TestUpdate_writesMessages(t *testing.T) {
	t.Parallel()
	m := module(t, "order_messages")
	const when = "    when:\n      - {stream: Shop/Order/7, event_type: OrderCancelled}\n      - {stream: Shop/User/7, event_type: E}\n"
	const line = `{"name": "a", "when": [{"stream": "Shop/Order/a b", "event_type": "OrderCancelled"}]`
	for name, test := range map[string]struct{ before, after string }{
		"no then.yaml": {
			"cases:\n  - name: a\n" + when,
			"cases:\n  - name: a\n" + when + "    then:\n      messages:\n        - {subject: shop.orders.7.cancelled, key: \"7\", type: order_cancelled, data: {\"order\":\"7\"}}\n",
		},
		"some.yaml": {
			"cases:\n  - name: a\n" + when + "    then:\n      messages:\n        - {subject: x, data: 1}\n",
			"cases:\n  - name: a\n" + when + "    then:\n      messages:\n        - {subject: shop.orders.7.cancelled, data: {\"order\":\"7\"}}\n",
		},
		"none.yaml": {
			"cases:\n  - name: a\n    when: [{stream: Shop/User/7, event_type: E}, {stream: Shop/Order/7, event_type: OrderSeen}, {stream: Shop/Order/7, event_type: OrderPaid, payload: 1}]\n",
			"",
		},
		"lines.jsonl": {
			line + "}\n",
			line + `, "then": {"messages": [{"subject": "shop.orders.a%20b.cancelled", "key": "a b", "type": "order_cancelled", "data": {"order":"a b"}}]}}` + "\n",
		},
	} {
		path := write(t, name, test.before)
		if _, err := cases.Update(path, runRounds(t, m, path, 0)); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		after, err := os.ReadFile(path)
		if err != nil || test.after != "" && string(after) != test.after {
			t.Errorf("%s is\n%s\nwant\n%s\n%v", name, after, test.after, err)
		}
		for _, r := range runRounds(t, m, path, 0) {
			if !r.Passed() {
				t.Errorf("%s: after the update case %s fails: %s\n%s", name, r.Case.Name, failures(path, r), after)
			}
		}
	}
}
