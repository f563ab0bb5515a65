package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/store"
)

func TestInspect_showsWhoOwnsRowsAndWhatIsSent(t *testing.T) {
	t.Parallel()
	const tables = `"tables":[
{"name":"latest","key":["customer_id"],"columns":[{"name":"customer_id","type":"text","partition":true},{"name":"n","type":"i64"}]},
{"name":"log","key":["position"],"columns":[{"name":"position","type":"i64","position":true},{"name":"note","type":"text","backfill":"none"}]},
{"name":"audit","key":["id"],"columns":[{"name":"id","type":"uuid","event_id":true}]},
{"name":"total","key":["day"],"columns":[{"name":"day","type":"text"},{"name":"n","type":"i64"}]}],
"writes":[{"name":"trim","sql":"DELETE FROM {latest} WHERE customer_id = $1","params":["text"],"partition_param":1},
{"name":"prune","sql":"DELETE FROM {total}","unordered":true}],
"queries":[{"name":"days","table":"total","columns":["n"],"unordered":true}]`
	const messages = `"messages":[{"name":"order_paid","subject":"shop.{customer}.paid","type":"com.example.paid"},
{"name":"note","subject":"shop.notes","content_type":"text/plain","key":"none"}]`
	const promised = ", unordered: its author promises that the order of events does not matter to it\n"
	for members, want := range map[string][]string{
		`"partition":{"by":"json","path":["customer","id"]},` + tables: {
			"ordering       stream\n", `divided by     json "customer.id"` +
				"\n", "rows are owned: customer_id holds the partition key\n",
			"rows are per event: position holds its position\n", "rows are per event: id holds its id\n", "rows are shared by all segments\n",
			"  note                 text backfill none\n",
			"write trim (text), partition key in $1\n", "write prune ()" + promised, "query days: load n from total by (day)" +
				promised,
		},
		tables: {"divided by     stream\n", "sends          nothing\n"},
		messages: {
			"sends          2 messages, with data of the events that it reads, to wherever the host publishes\n",
			"\nmessage order_paid (customer text, data json)\n  subject shop.{customer}.paid\n  type com.example.paid\n" +
				"  content type application/json\n  key partition: in order within a partition key, by stream\n",
			"\nmessage note (data text)\n  subject shop.notes\n  type note\n  content type text/plain\n  key none: in any order\n",
		},
		`"ordering":"global","messages":[{"name":"m","subject":"a","key":"all"}]`: {
			"sends          1 message, with", "  key all: in the order of all events\n",
		},
		`"ordering":"global",` + tables: {"divided by     nothing: one segment applies all events\n", "write prune ()\n"},
	} {
		module := &inspected{Embedded: host.Embedded{Description: &host.Description{}}}
		if err := json.Unmarshal([]byte(`{"name":"p","version":1,`+members+`}`), module.Description); err != nil {
			t.Fatal(err)
		}
		if err := module.Description.Validate(); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		printModule(&out, module, store.DefaultSchema)
		for _, text := range want {
			if !strings.Contains(out.String(), text) {
				t.Errorf("%s\nlacks %q", out.String(), text)
			}
		}
	}
}
