package cloudevents_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pupwasm/pupwasm/relay/cloudevents"
	"github.com/pupwasm/pupwasm/store"
)

const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func message() store.Message {
	return store.Message{
		MessageID: store.MessageID{Projection: "shop", Version: 1, Position: 120, Index: 2},
		Type:      "order_paid", Subject: "shop.orders.7.paid", Key: []byte("Ünï \"7\" %"), ContentType: "application/json",
		Data: []byte(`{"total": 12345678901234567890.10, "e":1E400 , "note":"<\u00e9>"}`), TraceParent: parent,
		Time: time.Date(2026, 2, 3, 4, 5, 6, 7000, time.FixedZone("", 3600)),
	}
}

func TestEvent_asJSON(t *testing.T) {
	t.Parallel()
	m := message()
	e := cloudevents.Of(&m, "")
	want := `{"specversion":"1.0","id":"shop.v1.120.2","source":"/pupwasm/shop","type":"order_paid",` +
		`"subject":"shop.orders.7.paid","time":"2026-02-03T03:05:06.000007Z","traceparent":"` + parent + `",` +
		`"partitionkey":"Ünï \"7\" %","datacontenttype":"application/json",` +
		`"data":{"total": 12345678901234567890.10, "e":1E400 , "note":"<\u00e9>"}}`
	if got := string(e.AppendJSON([]byte("before "))); got != "before "+want {
		t.Errorf("got  %s\nwant before %s", got, want)
	}
}

func TestEvent_asHeaders(t *testing.T) {
	t.Parallel()
	m := message()
	e := cloudevents.Of(&m, "https://shop.example/orders")
	got := map[string]string{}
	for name, value := range e.Headers() {
		got[name] = value
	}
	if diff := cmp.Diff(map[string]string{
		"ce-specversion": "1.0", "ce-id": "shop.v1.120.2", "ce-source": "https://shop.example/orders",
		"ce-type": "order_paid", "ce-subject": "shop.orders.7.paid", "ce-time": "2026-02-03T03:05:06.000007Z",
		"ce-traceparent": parent, "ce-partitionkey": "%C3%9Cn%C3%AF%20%227%22%20%25",
	}, got); diff != "" {
		t.Error(diff)
	}
}

// TestHeaderValue_ofTheSpecification is the example of the bindings.
func TestHeaderValue_ofTheSpecification(t *testing.T) {
	t.Parallel()
	if got := cloudevents.HeaderValue("Euro € 😀"); got != "Euro%20%E2%82%AC%20%F0%9F%98%80" {
		t.Errorf("got %s", got)
	}
}

// TestEvent_data says where the data is, by its content type and by what it is.
func TestEvent_data(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ content, data, want string }{
		{"application/json", " {\"a\" :\n1.0}\t", "\"data\": {\"a\" :\n1.0}\t}"},
		{"Application/Vnd.Shop+JSON; v=1", "null", `"data":null}`},
		{"text/json", `"a"`, `"data":"a"}`},
		{"application/json", `1,"id":"2"`, `"data_base64":"MSwiaWQiOiIyIg=="}`},
		{"application/json", "\"\xff\"", `"data_base64":"Iv8i"}`},
		{"application/json", "", `"data_base64":""}`},
		{"text/plain; charset=utf-8", "a\n\"\\\x01é", `"data":"a\u000a\"\\\u0001é"}`},
		{"text/plain", "\xff", `"data_base64":"/w=="}`},
		{"application/xml", "<a/>", `"data_base64":"PGEvPg=="}`},
		{"application/octet-stream", "\x00\x01", `"data_base64":"AAE="}`},
		{"", "{}", `"data_base64":"e30="}`},
	} {
		m := message()
		m.ContentType, m.Data = test.content, []byte(test.data)
		e := cloudevents.Of(&m, "")
		if got := string(e.AppendJSON(nil)); !strings.HasSuffix(got, ","+test.want) || !json.Valid([]byte(got)) {
			t.Errorf("%s, %q: got %s, must end with %s", test.content, test.data, got, test.want)
		}
	}
}

func TestEvent_leavesOutWhatHasNoForm(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"", "\xff", "a\nb", "\u0085", "\ufffe", "\U0001ffff", "\ufdd0"} {
		m := message()
		m.Key = []byte(key)
		if e := cloudevents.Of(&m, ""); e.PartitionKey != "" {
			t.Errorf("key %q is partition key %q", key, e.PartitionKey)
		}
	}
	for _, at := range []time.Time{{}, time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC)} {
		m := message()
		m.Time, m.TraceParent = at, parent+"\r\nce-id: 1"
		if e := cloudevents.Of(&m, ""); e.Time != "" || e.TraceParent != "" {
			t.Errorf("%v, %q: got %q, %q", at, m.TraceParent, e.Time, e.TraceParent)
		}
	}
}

// TestEvent_ofAnyMessage is read by the Go SDK of CloudEvents, whatever a message has. The SDK knows no types that end with
// +json.
func TestEvent_ofAnyMessage(t *testing.T) {
	t.Parallel()
	anyBytes := rapid.OneOf(
		rapid.SliceOf(rapid.Byte()),
		rapid.Map(rapid.String(), func(s string) []byte { return []byte(s) }),
		rapid.SampledFrom([][]byte{[]byte("a\r\nb: c"), []byte(`","id":"x`), []byte("\ufffe"), []byte(`{"a":[1.50,"\ud800"]}`)}),
	)
	anyText := rapid.Map(anyBytes, func(b []byte) string { return string(b) })
	contents := rapid.OneOf(rapid.SampledFrom([]string{"application/json", "text/plain", "image/png", "text/json"}), anyText)
	rapid.Check(t, func(t *rapid.T) {
		m := store.Message{
			MessageID: store.MessageID{
				Projection: rapid.StringMatching(`[a-z]{1,9}`).Draw(t, "projection"), Version: 1,
				Position: rapid.Int64Min(1).Draw(t, "position"),
			},
			Type: anyText.Draw(t, "type"), Subject: anyText.Draw(t, "subject"), Key: anyBytes.Draw(t, "key"),
			ContentType: contents.Draw(t, "content"), Data: anyBytes.Draw(t, "data"), TraceParent: anyText.Draw(t, "parent"),
			Time: time.Unix(rapid.Int64().Draw(t, "time"), 1),
		}
		e := cloudevents.Of(&m, "")
		text := e.AppendJSON(nil)
		var read event.Event
		if err := event.ReadJson(&read, strings.NewReader(string(text))); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if !json.Valid(text) || !utf8.Valid(text) {
			t.Fatalf("%q is no JSON", text)
		}
		key, _ := read.Extensions()["partitionkey"].(string)
		if read.ID() != m.MessageID.String() || read.Source() != "/pupwasm/"+m.Projection || read.Type() != e.Type ||
			read.Subject() != e.Subject || read.DataContentType() != e.DataContentType || key != e.PartitionKey ||
			e.Time != "" && !read.Time().Equal(m.Time) {
			t.Fatalf("%s is read as %v", text, read)
		}
		if data := read.Data(); string(data) != string(m.Data) && string(data) != strings.Trim(string(m.Data), " \t\r\n") {
			t.Fatalf("data %q is read as %q", m.Data, data)
		}
		for name, value := range e.Headers() {
			if strings.ContainsFunc(name+value, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' }) {
				t.Fatalf("header %q: %q", name, value)
			}
			if decoded, err := url.PathUnescape(value); err != nil || !utf8.ValidString(decoded) ||
				name == "ce-partitionkey" && decoded != string(m.Key) || name == "ce-subject" && decoded != e.Subject {
				t.Fatalf("header %s: %s is %q, %v", name, value, decoded, err)
			}
		}
	})
}

func TestCheckSource(t *testing.T) {
	t.Parallel()
	for _, source := range []string{"", "/shop", "https://shop.example/a?b=c#d", "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66", "mailto:a@b"} {
		if err := cloudevents.CheckSource(source); err != nil {
			t.Errorf("%q: %v", source, err)
		}
	}
	for _, source := range []string{"a b", "/ü", "/a\n", "http://[", "%zz", "<a>", strings.Repeat("a", 2000)} {
		if err := cloudevents.CheckSource(source); err == nil {
			t.Errorf("%q is taken", source)
		}
	}
}
