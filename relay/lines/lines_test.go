//go:build unix

package lines_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pupwasm/pupwasm/relay/lines"
	"github.com/pupwasm/pupwasm/store"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(limitedFile); path != "" {
		os.Exit(writeLimited(path))
	}
	goleak.VerifyTestMain(m)
}

func message(position int64) *store.OutboxMessage {
	return &store.OutboxMessage{Message: store.Message{
		MessageID: store.MessageID{Projection: "shop", Version: 1, Position: position}, Type: "order_paid",
		Subject: "shop.orders.7.paid", Key: []byte("7"), ContentType: "application/json",
		Data: []byte("{\r\n\t\"total\": 12345678901234567890.10,\n\"note\": \"a\\nb\"\n}"),
		Time: time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC),
	}}
}

// lineOf is the line of message.
func lineOf(position int64) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":"shop.v1.%d.0","source":"/pupwasm/shop","type":"order_paid",`+
		`"subject":"shop.orders.7.paid","time":"2026-02-03T04:05:06Z","partitionkey":"7",`+
		`"datacontenttype":"application/json","data":{  `+"\t"+`"total": 12345678901234567890.10, "note": "a\nb" }}`+"\n", position)
}

func read(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// positions returns those of the messages of a text, and fails for lines that are none.
func positions(t interface{ Fatalf(string, ...any) }, text string) (all []int64) {
	for line := range strings.Lines(text) {
		var event struct{ ID string }
		if err := json.Unmarshal([]byte(line), &event); err != nil || !strings.HasSuffix(line, "\n") {
			t.Fatalf("line %q: %v", line, err)
		}
		id, err := store.ParseMessageID(event.ID)
		if err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		all = append(all, id.Position)
	}
	return all
}

// writer is a writer that may fail.
type writer struct {
	bytes.Buffer
	write func(text []byte) (int, error) // what to do with a text, nil to take it
}

func (w *writer) Write(text []byte) (int, error) {
	if w.write == nil {
		return w.Buffer.Write(text)
	}
	n, err := w.write(text)
	w.Buffer.Write(text[:n])
	return n, err
}

func to(t *testing.T, w io.Writer) *lines.Sink {
	t.Helper()
	sink, err := lines.To(w, "stdout", lines.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return sink
}

func TestTo(t *testing.T) {
	t.Parallel()
	w := &writer{}
	sink := to(t, w)
	defer sink.Close()
	for position := range int64(2) {
		if err := sink.Send(t.Context(), message(position)); err != nil {
			t.Fatal(err)
		}
	}
	if want := lineOf(0) + lineOf(1); w.String() != want {
		t.Errorf("got %s, want %s", w, want)
	}
	if sink.Target() != "stdout" || sink.Concurrency() < 1 {
		t.Errorf("got %s, %d", sink.Target(), sink.Concurrency())
	}
}

// TestTo_terminal has characters on which terminals act, in JSON and in text.
func TestTo_terminal(t *testing.T) {
	t.Parallel()
	const raw = "\u009b31m\u007f\u202e"
	for content, want := range map[string]string{
		"application/json": `"data":["` + `\u009b31m\u007f\u202e` + `"]}`,
		"text/plain":       `"data":"[\"` + `\u009b31m\u007f\u202e` + `\"]"}`,
	} {
		w := &writer{}
		sink := to(t, w)
		m := message(1)
		m.ContentType, m.Key, m.Data = content, []byte("\u202e"), []byte(`["`+raw+`"]`)
		if err := sink.Send(t.Context(), m); err != nil {
			t.Error(err)
		}
		if got := w.String(); !strings.HasSuffix(got, want+"\n") || strings.ContainsAny(got, raw[:2]+"\u007f\u202e") {
			t.Errorf("got %q, must end with %s", got, want)
		}
		sink.Close()
	}
}

// TestTo_afterAPartOfALine has the next one begin on a line of its own.
func TestTo_afterAPartOfALine(t *testing.T) {
	t.Parallel()
	w := &writer{}
	sink := to(t, w)
	defer sink.Close()
	for _, failure := range []func(text []byte) (int, error){
		func([]byte) (int, error) { return 5, errors.New("no\nroom") },
		func([]byte) (int, error) { return 0, errors.New("no\nroom") },
		func([]byte) (int, error) { return 0, errors.New("no\nroom") },
	} {
		w.write = failure
		if err := sink.Send(t.Context(), message(0)); err == nil || err.Error() != "stdout: no room" {
			t.Errorf("got %v", err)
		}
	}
	w.write = func(text []byte) (int, error) { return len(text) / 2, nil }
	if err := sink.Send(t.Context(), message(0)); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("got %v", err)
	}
	w.write = nil
	if err := sink.Send(t.Context(), message(1)); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(w.String(), `{"spe`+"\n") || !strings.HasSuffix(w.String(), "\n"+lineOf(1)) {
		t.Errorf("got %s", w)
	}
}

func TestTo_closedPipe(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	r.Close()
	sink := to(t, w)
	defer sink.Close()
	if err := sink.Send(t.Context(), message(0)); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("got %v", err)
	}
}

// TestTo_nobodyReads has both the one whose line is written and one that waits behind it give up.
func TestTo_nobodyReads(t *testing.T) {
	t.Parallel()
	r, w := io.Pipe()
	defer r.Close() // ends the write
	sink := to(t, w)
	ctx, cancel := context.WithCancelCause(t.Context())
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			if err := sink.Send(ctx, message(0)); err == nil || err.Error() != "stdout: the lease is lost" {
				t.Errorf("got %v", err)
			}
		})
	}
	if _, err := r.Read(make([]byte, 1)); err != nil { // one is being written
		t.Fatal(err)
	}
	cancel(errors.New("the lease\nis lost"))
	all.Wait()
	if err := sink.Close(); err != nil {
		t.Error(err)
	}
}

func TestOptions_refused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "out")
	if _, err := lines.To(io.Discard, "stdout", lines.Options{Source: "a b"}); err == nil {
		t.Error("taken")
	}
	if _, err := lines.OpenFile(path, lines.Options{Source: "a b"}); err == nil {
		t.Error("taken")
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the file was made: %v", err)
	}
}
