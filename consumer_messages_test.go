package pupwasm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
)

// handleTx is a transaction in which a consumer writes nothing.
type handleTx struct{ store.Tx }

func (handleTx) Native(context.Context) (any, error) { return nil, nil }

const aTrace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// sendingConsumer has three messages and is divided by the customer.
func sendingConsumer(handle store.Handler) Consumer {
	return Consumer{
		Name: "shop", Version: 2, Partition: ByJSON("customer"), Handle: handle, Columns: store.ColumnEventType,
		Messages: []store.MessageType{
			{Name: "order_paid", Subject: "shop.{customer}.{order}.paid", Type: "com.example.paid"},
			{Name: "note", Subject: "shop.notes", ContentType: "text/plain", Key: store.MessageKeyNone},
			{Name: "raw", Subject: "shop.raw", ContentType: "image/png"},
		},
	}
}

// sentEvents are three events of two customers.
func sentEvents() []store.RecordedEvent {
	events := make([]store.RecordedEvent, 3)
	for i := range events {
		e := &events[i]
		e.Position, e.AggregateID = int64(10+10*i), fmt.Sprintf("o%d", i)
		e.Payload = fmt.Appendf(nil, `{"customer":"c%d"}`, i%2)
		e.CreatedAt = time.Date(2026, 1, 2, 3, 4, i, 0, time.UTC)
	}
	events[0].TraceID = aTrace
	return events
}

// processed gives the events to a consumer.
func processed(t *testing.T, handle store.Handler) (store.Output, error) {
	t.Helper()
	c := sendingConsumer(handle)
	program, err := c.program()
	if err != nil {
		t.Fatal(err)
	}
	return program.NewProcessor(0).Process(t.Context(), sentEvents(), handleTx{})
}

func TestSend_givesTheMessagesToTheTransaction(t *testing.T) {
	t.Parallel()
	type key struct{}
	output, err := processed(t, func(ctx context.Context, _ any, events []store.RecordedEvent) error {
		copied, data := events[2], []byte("a")
		if err := Send(context.WithValue(ctx, key{}, 1), "note", &copied, data); err != nil {
			return err
		}
		data[0] = 'b'
		return errors.Join(
			Send(ctx, "order_paid", &events[0], []byte(`{"n":1}`), "c.0", ""),
			Send(ctx, "raw", &events[1], nil),
			Send(ctx, "raw", &events[0], []byte{0, 255}),
		)
	})
	if err != nil || len(output.Mutations) > 0 {
		t.Fatalf("%d mutations, error %v", len(output.Mutations), err)
	}
	var got []string
	for _, m := range output.Messages {
		got = append(got, fmt.Sprintf("%s %s %s key=%s %s %q trace=%s %t %d", m.MessageID, m.Type, m.Subject, m.Key, m.ContentType, m.Data,
			m.TraceParent, m.Spread == store.Spread(store.PartitionHash(fmt.Sprintf("c%d", (m.Position/10+1)%2))), m.Time.Second()))
	}
	want := []string{
		`shop.v2.10.0 com.example.paid shop.c%2E0.%00.paid key=c0 application/json "{\"n\":1}" trace=` + aTrace + ` true 0`,
		`shop.v2.10.1 raw shop.raw key=c0 image/png "\x00\xff" trace=` + aTrace + ` true 0`,
		`shop.v2.20.0 raw shop.raw key=c1 image/png "" trace= true 1`,
		`shop.v2.30.0 note shop.notes key=shop.v2.30.0 text/plain "a" trace= true 2`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("sent is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestSend_mistakesFailTheBatch also when Handle does not tell.
func TestSend_mistakesFailTheBatch(t *testing.T) {
	t.Parallel()
	good := []byte("{}")
	for want, c := range map[string]struct {
		position int64
		send     func(ctx context.Context, events []store.RecordedEvent) error
	}{
		`consumer shop: message "paid" is not among the Messages of the consumer: list it there`: {20, func(ctx context.Context, events []store.RecordedEvent) error {
			return Send(ctx, "paid", &events[1], good)
		}},
		`consumer shop: event 15, which is to cause a message, is not of the batch`: {0, func(ctx context.Context, _ []store.RecordedEvent) error {
			return Send(ctx, "note", &store.RecordedEvent{Position: 15}, good)
		}},
		`consumer shop: a message needs the event that causes it`: {0, func(ctx context.Context, _ []store.RecordedEvent) error {
			return Send(ctx, "note", nil, good)
		}},
		`consumer shop: message "order_paid" takes 2 values of its subject (shop.{customer}.{order}.paid), 1 were given`: {
			30, func(ctx context.Context, events []store.RecordedEvent) error {
				return Send(ctx, "order_paid", &events[2], good, "c0")
			},
		},
		`consumer shop: message "order_paid", order: is not UTF-8 without NUL`: {30, func(ctx context.Context, events []store.RecordedEvent) error {
			return Send(ctx, "order_paid", &events[2], good, "c0", "\xff")
		}},
		`consumer shop: message "order_paid", customer: is not UTF-8 without NUL`: {30, func(ctx context.Context, events []store.RecordedEvent) error {
			return Send(ctx, "order_paid", &events[2], good, "\x00", "")
		}},
		`consumer shop: message "order_paid": the data is not JSON, and its content type is application/json`: {
			10, func(ctx context.Context, events []store.RecordedEvent) error {
				return Send(ctx, "order_paid", &events[0], nil, "a", "b")
			},
		},
		`consumer shop: message "note": the data is not UTF-8 without NUL, and its content type is text/plain`: {
			10, func(ctx context.Context, events []store.RecordedEvent) error {
				return Send(ctx, "note", &events[0], []byte("\x00"))
			},
		},
		`consumer shop: message "raw" has 1048577 bytes of data, the limit is 1048576`: {20, func(ctx context.Context, events []store.RecordedEvent) error {
			return Send(ctx, "raw", &events[1], make([]byte, store.MessageBytesMax+1))
		}},
		`consumer shop: message "order_paid" has a subject of more than 1024 bytes`: {20, func(ctx context.Context, events []store.RecordedEvent) error {
			return Send(ctx, "order_paid", &events[1], good, strings.Repeat("x", 1024), "")
		}},
	} {
		for _, ignored := range []bool{false, true} {
			output, err := processed(t, func(ctx context.Context, _ any, events []store.RecordedEvent) error {
				if err := Send(ctx, "note", &events[0], []byte("before")); err != nil {
					return err
				}
				err := c.send(ctx, events)
				if err == nil {
					t.Errorf("%s: Send returns nil", want)
				}
				if ignored {
					err = nil
				}
				return err
			})
			var fault *segments.Fault
			if !errors.As(err, &fault) || err.Error() != want || fault.Position != c.position || fault.Divide != (c.position == 0) {
				t.Errorf("error %v (%+v), want %s at %d", err, fault, want, c.position)
			}
			if len(output.Messages) > 0 {
				t.Errorf("%s: %d messages are sent", want, len(output.Messages))
			}
		}
	}
}

func TestSend_needsTheContextOfABatchThatIsHandled(t *testing.T) {
	t.Parallel()
	var late context.Context
	event := &sentEvents()[0]
	output, err := processed(t, func(ctx context.Context, _ any, _ []store.RecordedEvent) error {
		late = ctx
		return nil
	})
	if err != nil || len(output.Messages) > 0 {
		t.Errorf("%d messages, error %v", len(output.Messages), err)
	}
	if err := Send(late, "note", event, []byte("a")); err == nil || !strings.Contains(err.Error(), "after Handle has returned") {
		t.Errorf("error %v", err)
	}
	if err := Send(t.Context(), "note", event, []byte("a")); err == nil || !strings.Contains(err.Error(), "needs the context") {
		t.Errorf("error %v", err)
	}
}

// TestSend_aBatchThatIsHandledAgainBeginsEmpty has the first call fail behind a message, as a lost connection does.
func TestSend_aBatchThatIsHandledAgainBeginsEmpty(t *testing.T) {
	t.Parallel()
	calls := 0
	c := sendingConsumer(func(ctx context.Context, _ any, events []store.RecordedEvent) error {
		if calls++; calls == 1 {
			return errors.Join(Send(ctx, "note", &events[0], []byte("a")), store.ErrTransient)
		}
		return Send(ctx, "note", &events[0], []byte("b"))
	})
	program, err := c.program()
	if err != nil {
		t.Fatal(err)
	}
	processor := program.NewProcessor(0)
	if _, err := processor.Process(t.Context(), sentEvents(), handleTx{}); !errors.Is(err, store.ErrTransient) {
		t.Errorf("error %v", err)
	}
	output, err := processor.Process(t.Context(), sentEvents(), handleTx{})
	if err != nil || len(output.Messages) != 1 || string(output.Messages[0].Data) != "b" || output.Messages[0].Index != 0 {
		t.Errorf("%+v, error %v", output.Messages, err)
	}
}

func TestConsumer_readsWhatItsMessagesAreMadeWith(t *testing.T) {
	t.Parallel()
	handle := func(context.Context, any, []store.RecordedEvent) error { return nil }
	with, without := sendingConsumer(handle), sendingConsumer(handle)
	without.Messages = nil
	of := store.ColumnEventType | store.ColumnAggregateID | store.ColumnPayload | store.TraceColumns | store.ColumnCreatedAt
	for want, c := range map[store.Columns]Consumer{of: with, store.ColumnEventType: without} {
		program, err := c.program()
		if err != nil {
			t.Fatal(err)
		}
		if got := program.Columns(); got != want {
			t.Errorf("columns %b, want %b", got, want)
		}
	}
	with.Messages[0].Key = store.MessageKeyAll
	if _, err := with.program(); err == nil || !strings.Contains(err.Error(), `consumer shop: message "order_paid": has key "all"`) {
		t.Errorf("error %v", err)
	}
}
