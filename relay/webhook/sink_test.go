package webhook_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/pupwasm/pupwasm/relay/webhook"
)

func TestSink_structured(t *testing.T) {
	t.Parallel()
	server := serve(t, ok)
	sink := open(t, server.URL+"/hook?a=b", webhook.Options{Token: "abc", Headers: http.Header{"x-team": {"1", "2"}}})
	if err := send(t, sink); err != nil {
		t.Fatal(err)
	}
	got := server.all()[0]
	for name, want := range map[string]string{
		"Content-Type": "application/cloudevents+json", "Idempotency-Key": "shop.v1.120.0", "User-Agent": "pupwasm",
		"Authorization": "Bearer abc", "X-Team": "1,2", "Webhook-Id": "", "Accept-Encoding": "", "Ce-Id": "",
	} {
		if value := strings.Join(got.Header.Values(name), ","); value != want {
			t.Errorf("header %s is %q, want %q", name, value, want)
		}
	}
	want := `{"specversion":"1.0","id":"shop.v1.120.0","source":"/pupwasm/shop","type":"order_paid",` +
		`"subject":"shop.orders.7.paid","time":"2026-02-03T04:05:06Z","partitionkey":"7",` +
		`"datacontenttype":"application/json","data":` + data + `}`
	if got.Method != http.MethodPost || got.RequestURI != "/hook?a=b" || got.body != want {
		t.Errorf("got %s %s %s, want %s", got.Method, got.RequestURI, got.body, want)
	}
	if sink.Concurrency() != 16 || sink.Target() != server.URL {
		t.Errorf("got %d, %s", sink.Concurrency(), sink.Target())
	}
}

func TestSink_binary(t *testing.T) {
	t.Parallel()
	server := serve(t, answer(http.StatusNoContent))
	if err := send(t, open(t, server.URL, webhook.Options{Mode: webhook.ModeBinary, Source: "/shop"})); err != nil {
		t.Fatal(err)
	}
	got := server.all()[0]
	for name, want := range map[string]string{
		"Content-Type": "application/json", "Ce-Id": "shop.v1.120.0", "Ce-Source": "/shop", "Ce-Specversion": "1.0",
		"Ce-Type": "order_paid", "Ce-Subject": "shop.orders.7.paid", "Ce-Partitionkey": "7", "Ce-Time": "2026-02-03T04:05:06Z",
	} {
		if value := got.Header.Get(name); value != want {
			t.Errorf("header %s is %q, want %q", name, value, want)
		}
	}
	if got.body != data {
		t.Errorf("got %s", got.body)
	}
}

// TestSink_textsAreNoHeaders has texts that would end a header if they were not encoded.
func TestSink_textsAreNoHeaders(t *testing.T) {
	t.Parallel()
	server := serve(t, ok)
	for _, mode := range []webhook.Mode{webhook.ModeBinary, webhook.ModeStructured} {
		m := message()
		const evil = "a\r\nX-Evil: 1\r\n\r\nPOST /evil HTTP/1.1\r\n\r\n"
		m.Projection, m.Type, m.Subject, m.Key, m.ContentType = evil, evil, evil, []byte(evil), evil
		m.TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\nX-Evil: 1"
		if err := open(t, server.URL, webhook.Options{Mode: mode}).Send(t.Context(), m); err != nil {
			t.Errorf("%s: %v", mode, err)
		}
	}
	for _, got := range server.all() {
		if got.Header.Get("X-Evil") != "" || got.URL.Path != "/" {
			t.Errorf("got %s, %v", got.URL, got.Header)
		}
	}
	if n := len(server.all()); n != 2 {
		t.Errorf("got %d requests", n)
	}
}

func secretOf(fill string) string {
	return "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat(fill, 24)))
}

// TestSink_signature is verified by receivers with either secret.
func TestSink_signature(t *testing.T) {
	t.Parallel()
	server := serve(t, ok)
	for _, mode := range []webhook.Mode{webhook.ModeBinary, webhook.ModeStructured} {
		if err := send(t, open(t, server.URL, webhook.Options{Mode: mode, Secret: secretOf("a") + "  " + secretOf("b")})); err != nil {
			t.Fatal(err)
		}
	}
	for _, got := range server.all() {
		if id := got.Header.Get("webhook-id"); id != "shop-v1-120-0" || got.Header.Get("Idempotency-Key") != "shop.v1.120.0" {
			t.Errorf("the id is %s", id)
		}
		for fill, valid := range map[string]bool{"a": true, "b": true, "c": false} {
			verifier, err := standardwebhooks.NewWebhook(secretOf(fill))
			if err != nil {
				t.Fatal(err)
			}
			if err := verifier.Verify([]byte(got.body), got.Header); (err == nil) != valid {
				t.Errorf("secret %s: %v", fill, err)
			}
			if err := verifier.Verify([]byte(got.body+" "), got.Header); err == nil {
				t.Error("another body is valid")
			}
		}
	}
}

func TestSink_usesConnectionsAgain(t *testing.T) {
	t.Parallel()
	server := unstarted(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Content-Type") != "" {
			w.WriteHeader(http.StatusBadGateway)
			_, _ = fmt.Fprint(w, strings.Repeat("a", 4000))
		}
	})
	var connections atomic.Int32
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	sink := open(t, server.URL, webhook.Options{})
	for range 20 {
		check(t, send(t, sink), "answers 502")
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("made %d connections", n)
	}
}

func TestSink_sendsAtTheSameTime(t *testing.T) {
	t.Parallel()
	var arrived sync.WaitGroup
	arrived.Add(16)
	server := serve(t, func(http.ResponseWriter, *http.Request) { arrived.Done(); arrived.Wait() })
	sink := open(t, server.URL, webhook.Options{Secret: secretOf("a")})
	var all sync.WaitGroup
	for range sink.Concurrency() {
		all.Go(func() {
			if err := sink.Send(t.Context(), message()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// TestSink_answersLate has the message arrive, and the answer come when nobody waits any more.
func TestSink_answersLate(t *testing.T) {
	t.Parallel()
	var tries atomic.Int32
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if tries.Add(1) == 1 {
			hang(w, r)
			w.WriteHeader(http.StatusNoContent)
		}
	})
	sink := open(t, server.URL+secretPath, webhook.Options{Timeout: 100 * time.Millisecond})
	err := send(t, sink)
	if check(t, err, "no answer within 100ms"); kind(err) != "again" {
		t.Errorf("it is %s", kind(err))
	}
	sink = open(t, server.URL+secretPath, webhook.Options{})
	if err := send(t, sink); err != nil {
		t.Error(err)
	}
	if got := server.all(); len(got) != 2 || got[0].Header.Get("Idempotency-Key") != got[1].Header.Get("Idempotency-Key") ||
		got[0].body != got[1].body {
		t.Errorf("got %v", got)
	}
}

func TestSink_contextEndsATry(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	server := serve(t, func(w http.ResponseWriter, r *http.Request) { cancel(); hang(w, r) })
	err := open(t, server.URL+secretPath, webhook.Options{}).Send(ctx, message())
	if check(t, err, "context canceled"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestSink_nobodyThere(t *testing.T) {
	t.Parallel()
	server := serve(t, ok)
	server.Close()
	err := send(t, open(t, server.URL+secretPath, secrets()))
	if check(t, err, "connection refused"); kind(err) != "again" {
		t.Errorf("it is %s", kind(err))
	}
}
