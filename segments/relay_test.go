package segments_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/relay"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/segments/internal/logtest"
	"github.com/pupwasm/pupwasm/store"
)

// mailer is a program that sends a message for each event that is not Quiet. It fails at the events that bad says.
type mailer struct {
	native
	version       int  // of one that has a table, beside others; 0 for one that has none
	silent        bool // it sends nothing
	transactional bool
	bad           func(e *store.RecordedEvent) error
}

func (m *mailer) Projection() *store.Projection {
	p := &store.Projection{Name: "mailer", Version: max(m.version, 1)}
	if m.version > 0 {
		note := store.Column{Name: "note", Type: store.Type{Kind: store.KindText}, Partition: true}
		p.Tables = []store.Table{{Name: "notes", Columns: []store.Column{note}, Key: []string{"note"}}}
	}
	if !m.silent {
		p.Messages = []store.MessageType{{Name: "noted", Subject: "notes.{stream}"}}
	}
	return p
}

func (m *mailer) Columns() store.Columns {
	return store.ColumnEventType | store.ColumnBoundedContext | store.ColumnAggregateType | store.ColumnAggregateID |
		store.ColumnCreatedAt | store.TraceColumns
}
func (m *mailer) Transactional() bool                 { return m.transactional }
func (m *mailer) NewProcessor(int) segments.Processor { return mailerProcessor{m} }
func (m *mailer) Close(context.Context)               {}

type mailerProcessor struct{ *mailer }

func (p mailerProcessor) Close(context.Context) {}

func (p mailerProcessor) Process(
	ctx context.Context, events []store.RecordedEvent, tx store.Tx,
) (output store.Output, err error) {
	if (tx != nil) != p.transactional {
		return output, errors.New("a transaction or none")
	}
	if native, is := tx.(store.NativeTx); is { // on SQLite nobody else writes from here on
		if _, err := native.Native(ctx); err != nil {
			return output, err
		}
	}
	projection := p.Projection()
	for i := range events {
		e := &events[i]
		if p.bad != nil {
			if err := p.bad(e); err != nil {
				return output, err
			}
		}
		if e.Type == "Quiet" || p.silent {
			continue
		}
		values := []store.Value{store.Text(e.AggregateID), store.BytesOf(store.KindJSON, []byte("{}"))}
		m, err := projection.Messages[0].Make(projection, e, 0, values)
		if err != nil {
			return output, err
		}
		output.Messages = append(output.Messages, m)
	}
	return output, nil
}

// inOutbox returns the positions of all messages in the outbox of a store, in order, however often they are there.
func inOutbox(t *testing.T, outbox store.Outbox) (positions []int64) {
	t.Helper()
	all, err := outbox.Messages(t.Context(), store.MessagesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range all {
		positions = append(positions, all[i].Position)
	}
	return positions
}

// mailbox is a sink that has what was sent to it.
type mailbox struct {
	answer func(m *store.OutboxMessage) error // nil: it takes everything

	mu  sync.Mutex
	all []string
}

func (b *mailbox) Send(_ context.Context, m *store.OutboxMessage) error {
	if b.answer != nil {
		if err := b.answer(m); err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = append(b.all, fmt.Sprintf("%s %s", m.MessageID, m.Subject))
	return nil
}

func (b *mailbox) Concurrency() int { return 4 }
func (b *mailbox) Target() string   { return "the mailbox" }
func (b *mailbox) Close() error     { return nil }

// sorted returns what has arrived.
func (b *mailbox) sorted() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Sorted(slices.Values(b.all))
}

// relayTo makes a relay of a store's outbox.
func relayTo(t *testing.T, outbox store.Outbox, sink relay.Sink, options relay.Options) *relay.Relay {
	t.Helper()
	r, err := relay.New(outbox, relay.Sinks{Default: sink}, options)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestRelay_sendsWhatIsCommitted has a worker send what it commits at once: the relay itself looks once an hour.
func TestRelay_sendsWhatIsCommitted(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store, _ func(_, _ string) int) {
		box := &mailbox{}
		options := quick()
		options.Relay = relayTo(t, s, box, relay.Options{Poll: time.Hour})
		before := appendTo(t, s, noted("Before"))
		worker := startPrograms(t, s, options, &mailer{})
		applied(t, s, "mailer", before)
		appendTo(t, s, noted("First"))
		testwait.Until(t, "the first one has arrived", func() bool { return len(box.sorted()) == 1 })
		for range 3 {
			appendTo(t, s, noted("One", "Quiet", "Two"))
		}
		testwait.Until(t, "everything has arrived", func() bool { return len(box.sorted()) == 7 })
		if got := box.sorted()[0]; !strings.HasPrefix(got, "mailer.v1.") || !strings.HasSuffix(got, " notes.n1") {
			t.Errorf("the first one is %q", got)
		}
		testwait.Until(t, "the outbox is empty", func() bool { return len(inOutbox(t, s)) == 0 })
		worker.stop()
		status, err := s.OutboxStatus(t.Context(), "mailer")
		if err != nil || len(status) != 1 || status[0].Relay != "" {
			t.Errorf("when it has stopped, the status is %+v, %v", status, err)
		}
	})
}

// TestMessagesFrom begins with what comes, or with the first event. It is decided once.
func TestMessagesFrom(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store, _ func(_, _ string) int) {
		first := appendTo(t, s, noted("One", "Two"))
		options := quick()
		options.Projections = map[string]segments.ProjectionOptions{
			"mailer": {MessagesFrom: segments.MessagesFromBeginning},
		}
		worker := startPrograms(t, s, options, &mailer{})
		applied(t, s, "mailer", first)
		if got, want := inOutbox(t, s), []int64{first - 1, first}; !slices.Equal(got, want) {
			t.Errorf("from the beginning, messages are of %v, want %v", got, want)
		}
		worker.stop()

		between := appendTo(t, s, noted("Three"))
		worker = startPrograms(t, s, quick(), &mailer{}) // for which it is decided
		applied(t, s, "mailer", between)
		if got, want := inOutbox(t, s), []int64{first - 1, first, between}; !slices.Equal(got, want) {
			t.Errorf("after a restart, messages are of %v, want %v", got, want)
		}
		worker.runs(t)
	})
}

// TestMessages_ofALogElsewhere has the log in another database than the outbox.
func TestMessages_ofALogElsewhere(t *testing.T) {
	t.Parallel()
	log, tables, box := logtest.New(t), logtest.New(t), &mailbox{}
	options := quick()
	options.Relay = relayTo(t, tables, box, relay.Options{})
	appendTo(t, log, noted("Before"))
	worker := startWorkerOn(t, log, tables, options)
	worker.SetProgram(&mailer{})
	testwait.Until(t, "a message has arrived", func() bool {
		appendTo(t, log, noted("After"))
		return len(box.sorted()) > 0
	})
	if got := box.sorted()[0]; got == "mailer.v1.1.0 notes.n1" {
		t.Errorf("an event from before is sent: %q", got)
	}
	worker.runs(t)
}

// TestMessages_ofBatchesThatAreRepeated has batches that fail, are divided, meet deadlocks and are tried again when
// their keys were parked: there is one message of each event.
func TestMessages_ofBatchesThatAreRepeated(t *testing.T) {
	t.Parallel()
	for _, transactional := range []bool{false, true} {
		t.Run(fmt.Sprintf("transactional %t", transactional), func(t *testing.T) {
			t.Parallel()
			s := logtest.New(t)
			var commits atomic.Int64
			watch := &commitWatch{Store: s, instead: func(_, _ int64, commit func() error) error {
				if n := commits.Add(1); n%3 == 0 {
					return fmt.Errorf("%w: as the test has it", store.ErrDeadlock)
				} else if n%7 == 0 {
					return fmt.Errorf("%w: as the test has it", store.ErrTransient)
				}
				return commit()
			}}
			head := poisoned(t, s, 10, 20, 7, 2, 5)
			var mended atomic.Bool
			program := &mailer{transactional: transactional, bad: func(e *store.RecordedEvent) error {
				if mended.Load() {
					return nil
				}
				err := badType("Bad")(e)
				if fault, is := errors.AsType[*segments.Fault](err); is {
					fault.Divide = true
				}
				return err
			}}
			options := parking()
			options.Projections = map[string]segments.ProjectionOptions{
				"mailer": {MessagesFrom: segments.MessagesFromBeginning, CommitEvents: 40, BatchEvents: 15},
			}
			worker := startPrograms(t, watch, options, program)
			applied(t, s, "mailer", head)
			if got := parkedIn(t, s); got != "n2: 14 events, n5: 14 events" {
				t.Errorf("parked is %q", got)
			}
			if n := len(inOutbox(t, s)); n != 200-28 {
				t.Errorf("there are %d messages", n)
			}
			mended.Store(true)
			for _, key := range []string{"n2", "n5"} {
				id := store.ParkedID{Projection: program.Projection().ID(), Key: []byte(key)}
				if err := s.Order(t.Context(), id, store.ActionRetry); err != nil {
					t.Fatal(err)
				}
			}
			testwait.Until(t, "nothing is parked", func() bool { return parkedIn(t, s) == "" })
			var want []int64
			for position := head - 199; position <= head; position++ {
				want = append(want, position)
			}
			if got := inOutbox(t, s); !slices.Equal(got, want) {
				t.Errorf("messages are of %v", got)
			}
			worker.runs(t)
		})
	}
}

// TestRelay_once sends what it has committed before it ends, or says what it has not sent.
func TestRelay_once(t *testing.T) {
	t.Parallel()
	s := logtest.New(t)
	box, lines := &mailbox{}, &logBuffer{}
	run := func() error {
		options := quick()
		options.Once, options.OutboxMax = true, 10
		options.Relay = relayTo(t, s, box, relay.Options{Logger: zerolog.New(lines)})
		options.Projections = map[string]segments.ProjectionOptions{
			"mailer": {MessagesFrom: segments.MessagesFromBeginning, CommitEvents: 10, BatchEvents: 10},
		}
		return mailOnce(t, t.Context(), s, options)
	}
	poisoned(t, s, 10, 100, 0) // many more than may be in the outbox
	if err := run(); err != nil {
		t.Fatal(err)
	}
	if got := box.sorted(); len(got) != 1000 || len(slices.Compact(got)) != 1000 {
		t.Errorf("%d messages have arrived", len(got))
	}
	for _, line := range []string{"this host sends the messages", "this host no longer sends the messages"} {
		if n := strings.Count(lines.String(), line); n != 1 {
			t.Errorf("the log says %d times: %s", n, line)
		}
	}
	box.answer = func(*store.OutboxMessage) error { return &relay.RefusedError{Err: errors.New("no such box")} }
	appendTo(t, s, noted("One", "Two"))
	err := run()
	if left, is := errors.AsType[*relay.UnsentError](err); !is || left.Left[0].Pending != 2 {
		t.Errorf("it ends with %v", err)
	}
}

// mailOnce runs the mailer once.
func mailOnce(t *testing.T, ctx context.Context, s store.Store, options segments.Options) error {
	t.Helper()
	worker, err := segments.New(s, s, options)
	if err != nil {
		t.Fatal(err)
	}
	worker.SetProgram(&mailer{})
	return worker.Run(ctx)
}

// TestRelay_onceIsStopped says so, when everything is applied and not everything is sent.
func TestRelay_onceIsStopped(t *testing.T) {
	t.Parallel()
	s := logtest.New(t)
	ctx, stop := context.WithCancel(t.Context())
	box := &mailbox{answer: func(*store.OutboxMessage) error {
		stop()
		return errors.New("no answer")
	}}
	options := quick()
	options.Once = true
	options.Relay = relayTo(t, s, box, relay.Options{})
	options.Projections = map[string]segments.ProjectionOptions{"mailer": {MessagesFrom: segments.MessagesFromBeginning}}
	appendTo(t, s, noted("One", "Two"))
	if err := mailOnce(t, ctx, s, options); !errors.Is(err, context.Canceled) {
		t.Errorf("it ends with %v", err)
	}
	if n := len(inOutbox(t, s)); n != 2 {
		t.Errorf("%d messages are left", n)
	}
}

// leaseWatch is a relay that only looks at the lease.
type leaseWatch struct {
	leases chan store.HeldLease
	ended  atomic.Bool
}

func (w *leaseWatch) Run(ctx context.Context, lease store.HeldLease) error {
	w.leases <- lease
	<-ctx.Done()
	w.ended.Store(true)
	return nil
}

func (w *leaseWatch) Finish(context.Context, store.HeldLease, <-chan struct{}) error {
	return errors.New("it runs once")
}
func (w *leaseWatch) Wake(string) {}

// TestRelay_lease has a relay see the lease of its worker: it is renewed, and it is over when another process takes the
// name.
func TestRelay_lease(t *testing.T) {
	t.Parallel()
	s := logtest.New(t)
	watch := &leaseWatch{leases: make(chan store.HeldLease, 1)}
	options := quick()
	options.Name, options.Relay = "host", watch
	worker, err := segments.New(s, s, options)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- worker.Run(t.Context()) }()
	lease := <-watch.leases
	self := lease.Worker()
	if workers, err := s.Workers(t.Context()); err != nil || len(workers) != 1 || self.Name != "host" ||
		self.Incarnation != workers[0].Incarnation {
		t.Errorf("it is %+v of %+v, %v", self, workers, err)
	}
	first := lease.Until()
	if left := first.Sub(clock.Now()); left <= 0 || left > options.Lease {
		t.Errorf("the lease lasts %s", left)
	}
	testwait.Until(t, "it is renewed", func() bool { return lease.Until().After(first) })
	if left := lease.Until().Sub(clock.Now()); left > options.Lease {
		t.Errorf("the lease lasts %s", left)
	}
	if err := s.Join(t.Context(), store.Worker{Name: "host", Incarnation: "another"}, time.Minute); err != nil {
		t.Fatal(err)
	}
	testwait.Until(t, "it is over", func() bool { return lease.Until().IsZero() })
	if err := <-ended; !errors.Is(err, store.ErrNameTaken) || !watch.ended.Load() {
		t.Errorf("Run returns %v, and its relay has ended: %t", err, watch.ended.Load())
	}
}
