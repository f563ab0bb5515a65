package host

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/pupwasm/pupwasm/host/hosttest"
	"github.com/pupwasm/pupwasm/store"
)

// FuzzParseDescription reads what a hostile module may say of itself. What is accepted means the same when it
// is written and read again.
func FuzzParseDescription(f *testing.F) {
	f.Add(hosttest.Describe)
	for _, text := range []string{
		`{}`, `null`, `[]`, `{"name":"a","version":1}`, `{"name":"a","version":1} {}`, `{"name":"a","version":1e9}`, `{"name":"a","version":1,"ordering":"global"}`,
		`{"name":"a","version":1,"partition":{"by":"json","path":["a","b"]},"columns":["payload"],"limits":{"memory_mib":1}}`,
		`{"name":"a","version":1,"tables":[{"name":"t","columns":[{"name":"id","type":"text","partition":true},{"name":"n","type":"i64","default":1},{"name":"m","type":"i64","generated":"n"},{"name":"o","type":"json","backfill":"none"}],
			"key":["id"],"indexes":[["n"]],"checks":[{"name":"c","sql":{"any":"n > 1"}}]}],"views":[{"name":"v","sql":"SELECT 1"}],
			"writes":[{"name":"w","action":"upsert","table":"t","columns":[{"name":"n","action":"add"}]},{"name":"s","sql":"DELETE FROM {t}","params":["text"],"partition_param":1}],
			"queries":[{"name":"q","table":"t","columns":["n"]},{"name":"r","sql":"SELECT 1","results":["i64"],"unordered":true}]}`,
		`{"name":"a","version":1,"tables":[{"name":"t","columns":[{"name":"n","type":"numeric","default":1e999999999}]}]}`,
		`{"name":"a","version":1,"ordering":"global","messages":[{"name":"m","subject":"a.{b}-{c}.{b}","type":"t","content_type":"text/plain;a=b","key":"all"}]}`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := parseDescription([]byte(text))
		if err != nil {
			if said := err.Error(); strings.ContainsAny(said, "\n\r") || !utf8.ValidString(said) || len(said) > 1100 {
				t.Errorf("the error is not one line of text: %q", said)
			}
			return
		}
		again, err := json.Marshal(d)
		if err != nil {
			t.Fatalf("an accepted description cannot be written: %v", err)
		}
		second, err := parseDescription(again)
		if err != nil {
			t.Fatalf("an accepted description is refused when it is read again: %v: %s", err, again)
		}
		for _, dialect := range []store.Dialect{store.DialectPostgres, store.DialectSQLite, store.DialectMySQL} {
			if first, second := d.Declaration(dialect), second.Declaration(dialect); first != second {
				t.Errorf("the declaration is %s, and when it is read again %s", first, second)
			}
		}
	})
}
