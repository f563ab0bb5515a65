package store_test

import (
	"bytes"
	"runtime"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/store"
)

func TestMessageType_Fill(t *testing.T) {
	t.Parallel()
	m := store.MessageType{Name: "m", Subject: "a.{x}-{y}.{x}"}
	for _, c := range []struct{ x, y, want string }{
		{"1", "2", "a.1-2.1"},
		{"", "", "a.%00-%00.%00"},
		{"a.b", "* >\r\n", "a.a%2Eb-%2A%20%3E%0D%0A.a%2Eb"},
		{"%2E", "{x}", "a.%252E-%7Bx%7D.%252E"},
		{"ž", "Z_9-a", "a.%C5%BE-Z_9-a.%C5%BE"},
	} {
		subject, data, err := m.Fill([]store.Value{store.Text(c.x), store.Text(c.y), store.BytesOf(store.KindJSON, []byte("1"))})
		if err != nil || subject != c.want || string(data) != "1" {
			t.Errorf("%q, %q: %s, %s, %v, want %s", c.x, c.y, subject, data, err, c.want)
		}
	}
}

// TestMessageType_isNoCloudEvent refuses data that receivers would take for the event around it.
func TestMessageType_isNoCloudEvent(t *testing.T) {
	t.Parallel()
	for content, refused := range map[string]bool{
		"application/cloudevents+json": true, " Application/CloudEvents-Batch+JSON ;a=b": true, "application/cloudevents": true,
		"application/cloudevents+xml;charset=utf-8": true, "application/json;a=application/cloudevents+json": false,
		"application/vnd.cloudevents+json": false,
	} {
		p := store.Projection{
			Name: "p", Version: 1, Messages: []store.MessageType{{Name: "m", Subject: "a", ContentType: content}},
		}
		err := p.Validate()
		if refused != (err != nil && strings.Contains(err.Error(), "would be taken for a CloudEvent")) || !refused && err != nil {
			t.Errorf("%q: %v", content, err)
		}
	}
}

// TestMessageType_Fill_buildsNoLargeSubject has a value that comes often in the subject, and is three times as long there.
// It is not parallel: it counts memory.
func TestMessageType_Fill_buildsNoLargeSubject(t *testing.T) {
	m := store.MessageType{Name: "m", Subject: "a" + strings.Repeat(".{x}", 49)}
	values := []store.Value{store.BytesOf(store.KindText, bytes.Repeat([]byte("."), 8<<20)), store.BytesOf(store.KindJSON, []byte("1"))}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _, err := m.Fill(values)
	runtime.ReadMemStats(&after)
	if err == nil || err.Error() != `message "m" has a subject of more than 1024 bytes` {
		t.Errorf("error %v", err)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 4<<20 {
		t.Errorf("it took %d bytes", took)
	}
}
