package pup

import (
	"fmt"
	"slices"
	"testing"

	"github.com/pupwasm/pupwasm/guest-sdk/internal/catalogue"
)

// TestMessage_takesTheValuesThatTheHostExpects derives the types of the values as the host does.
func TestMessage_takesTheValuesThatTheHostExpects(t *testing.T) {
	t.Parallel()
	for _, subject := range []string{
		"shop.orders", "shop.{customer}", "shop.{customer}.{order}", "s{a}-{b}.{a}{c}", "x.{b}.{a}.{b}",
	} {
		for _, content := range []string{
			"", "application/json", "application/json; charset=utf-8", "APPLICATION/JSON ;a=b", " application/json",
			"application/vnd.shop+json", "application/x+JSON;q=1", "text/plain", "text/plain; charset=utf-8", "Text/HTML",
			"application/xml", "application/octet-stream", "image/svg+xml", "application/json2", "application/text",
		} {
			host := catalogue.MessageType{Name: "m", Subject: subject, ContentType: content}
			projection := catalogue.Projection{Name: "p", Version: 1, Messages: []catalogue.MessageType{host}}
			if err := projection.Validate(); err != nil {
				t.Fatal(err)
			}
			m := NewMessage("m", subject)
			if content != "" {
				m.ContentType(content)
			}
			var want []Type
			for _, of := range host.Params() {
				want = append(want, Type(of.Kind))
			}
			if !slices.Equal(m.params, want) {
				t.Errorf("%q, %q: %v, want %v", subject, content, m.params, want)
			}
		}
	}
}

// TestNewMessage_takesAnySubject leaves it to the host to refuse one.
func TestNewMessage_takesAnySubject(t *testing.T) {
	t.Parallel()
	for _, subject := range []string{"", "{", "}", "{}", "a.{", "a.{b", "a}b", "{{a}}"} {
		NewMessage("m", subject)
	}
}

func TestMessage_Send_countsOnFromTheWrites(t *testing.T) {
	t.Parallel()
	out := newMutations(nil, 0)
	m := NewMessage("paid", "shop.{customer}.paid")
	m.index = 3
	m.Send(out, Event{index: 2}).Text("c1").JSON([]byte("{}"))
	out.row.end()
	if out.row.failure != nil || out.Len() != 1 {
		t.Fatalf("%d mutations, %v", out.Len(), out.row.failure)
	}
	want := "03000200" + "02000000" + "0502000000" + "6331" + "0702000000" + "7b7d"
	if got := fmt.Sprintf("%x", out.finish()[replyHeaderSize:]); got != want {
		t.Errorf("written is %s, want %s", got, want)
	}
}

// TestMessage_Send_allocatesNothing of what a batch has room for.
func TestMessage_Send_allocatesNothing(t *testing.T) {
	out := newMutations(make([]byte, 1<<16), 1<<10)
	m := NewMessage("paid", "shop.{customer}.paid")
	m.index = 0
	data := []byte(`{"a":1}`)
	if n := testing.AllocsPerRun(100, func() {
		m.Send(out, Event{}).Text("c1").JSON(data)
	}); n > 0 {
		t.Errorf("%g allocations", n)
	}
}
