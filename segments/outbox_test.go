package segments_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/relay"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/segments/internal/logtest"
	"github.com/pupwasm/pupwasm/store"
)

// outboxEvents is what an observer is told of full outboxes.
type outboxEvents struct {
	mu         sync.Mutex
	full, room []segments.ObservedOutbox
}

func (e *outboxEvents) observer() *segments.Observer {
	return &segments.Observer{
		OutboxFull: func(o segments.ObservedOutbox) { e.mu.Lock(); defer e.mu.Unlock(); e.full = append(e.full, o) },
		OutboxRoom: func(o segments.ObservedOutbox) { e.mu.Lock(); defer e.mu.Unlock(); e.room = append(e.room, o) },
	}
}

func (e *outboxEvents) count() (full, room int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.full), len(e.room)
}

// bounded are options of a worker in small commits, with few messages in the outbox.
func bounded(events *outboxEvents, lines *logBuffer) segments.Options {
	options := quick()
	options.Segments, options.CommitEvents, options.BatchEvents, options.OutboxMax = 2, 5, 5, 20
	options.Observer, options.Logger = events.observer(), zerolog.New(lines)
	options.Projections = map[string]segments.ProjectionOptions{"mailer": {MessagesFrom: segments.MessagesFromBeginning}}
	return options
}

// fill appends events until a worker waits, and returns the last position.
func fill(t *testing.T, s store.Store, events *outboxEvents) (head int64) {
	t.Helper()
	testwait.Until(t, "it waits", func() bool {
		head = poisoned(t, s, 10, 1, 0)
		full, _ := events.count()
		return full > 0
	})
	return head
}

// TestOutboxMax has nobody send. What has messages waits, everything else goes on, and everything does once somebody
// sends.
func TestOutboxMax(t *testing.T) {
	t.Parallel()
	for _, transactional := range []bool{false, true} {
		t.Run(fmt.Sprintf("transactional %t", transactional), func(t *testing.T) {
			t.Parallel()
			s := logtest.New(t)
			events, lines := &outboxEvents{}, &logBuffer{}
			worker := startPrograms(t, s, bounded(events, lines), &mailer{transactional: transactional}, &failing{})
			fill(t, s, events)
			head := poisoned(t, s, 10, 20, 0)
			applied(t, s, "native", head) // another projection
			testwait.Until(t, "the status has it", func() bool {
				workers, err := s.Workers(t.Context())
				return err == nil && len(workers) == 1 && len(workers[0].Troubles) > 0 && strings.HasSuffix(
					workers[0].Troubles[0].Reason, "20 messages may be in its outbox: nobody sends them: run a host with Options.Relay")
			})
			if n := len(inOutbox(t, s)); n >= int(head) {
				t.Errorf("all %d messages are there", n)
			}
			worker.stop() // although commits wait
			if full, room := events.count(); full != 1 || room != 1 {
				t.Errorf("it is told %d times that the outbox is full, and %d times that it has room", full, room)
			}
			if n := strings.Count(lines.String(), "run a host with Options.Relay"); n != 1 {
				t.Errorf("%d lines of the log say so: %s", n, lines)
			}

			box := &mailbox{}
			options := bounded(&outboxEvents{}, lines)
			options.Relay = relayTo(t, s, box, relay.Options{})
			worker = startPrograms(t, s, options, &mailer{transactional: transactional})
			applied(t, s, "mailer", head)
			testwait.Until(t, "all have arrived", func() bool { return len(box.sorted()) == int(head) })
			worker.runs(t)
		})
	}
}

// TestOutboxMax_goesOn has somebody make room, while the worker waits.
func TestOutboxMax_goesOn(t *testing.T) {
	t.Parallel()
	s := logtest.New(t)
	events, lines := &outboxEvents{}, &logBuffer{}
	worker := startPrograms(t, s, bounded(events, lines), &mailer{})
	head := fill(t, s, events)
	testwait.Until(t, "all was sent", func() bool {
		all, err := s.Messages(t.Context(), store.MessagesRequest{})
		if err != nil {
			t.Fatal(err)
		}
		var sent []store.OutboxID
		for i := range all {
			sent = append(sent, all[i].ID())
		}
		if err := s.Sent(t.Context(), sent, false); err != nil {
			t.Fatal(err)
		}
		status := statusOf(t, s, "mailer")
		return status.Segments[0].Position >= head && status.Segments[1].Position >= head
	})
	testwait.Until(t, "it is told", func() bool { _, room := events.count(); return room > 0 })
	testwait.Until(t, "the status has it no longer", func() bool {
		workers, err := s.Workers(t.Context())
		return err == nil && len(workers) == 1 && len(workers[0].Troubles) == 0
	})
	if !strings.Contains(lines.String(), "no longer waits for room in its outbox") {
		t.Errorf("the log does not say so: %s", lines)
	}
	worker.runs(t)
}

// TestOutboxMax_none has no limit.
func TestOutboxMax_none(t *testing.T) {
	t.Parallel()
	s := logtest.New(t)
	events, lines := &outboxEvents{}, &logBuffer{}
	options := bounded(events, lines)
	options.Projections["mailer"] = segments.ProjectionOptions{
		MessagesFrom: segments.MessagesFromBeginning, OutboxMax: -1,
	}
	startPrograms(t, s, options, &mailer{})
	for range 30 {
		applied(t, s, "mailer", poisoned(t, s, 10, 1, 0))
	}
	if full, _ := events.count(); full != 0 {
		t.Errorf("it has waited: %s", lines)
	}
}

// TestOutboxMax_once ends with an error, instead of waiting for somebody who sends.
func TestOutboxMax_once(t *testing.T) {
	t.Parallel()
	s := logtest.New(t)
	events, lines := &outboxEvents{}, &logBuffer{}
	first := startPrograms(t, s, bounded(events, lines), &mailer{})
	fill(t, s, events)
	first.stop()
	options := bounded(events, lines)
	options.Once = true
	poisoned(t, s, 10, 100, 0)
	worker, err := segments.New(s, s, options)
	if err != nil {
		t.Fatal(err)
	}
	worker.SetProgram(&mailer{})
	err = worker.Run(t.Context())
	if full, is := errors.AsType[*segments.OutboxFullError](err); !is || full.Projection != "mailer" || full.Max != 20 {
		t.Errorf("Run returns %v", err)
	}
}

// TestOutboxMax_onceNothingArrives ends too when somebody sends, and nothing arrives.
func TestOutboxMax_onceNothingArrives(t *testing.T) {
	t.Parallel()
	s := logtest.New(t)
	options := bounded(&outboxEvents{}, &logBuffer{})
	options.Once = true
	box := &mailbox{answer: func(*store.OutboxMessage) error { return errors.New("connection refused") }}
	options.Relay = relayTo(t, s, box, relay.Options{RetryMin: 10 * time.Millisecond, RetryMax: 50 * time.Millisecond})
	for range 5 {
		poisoned(t, s, 10, 100, 0)
	}
	worker, err := segments.New(s, s, options)
	if err != nil {
		t.Fatal(err)
	}
	segments.SetOutboxPatience(worker, 3*time.Second) // longer than a claim takes
	worker.SetProgram(&mailer{})
	err = worker.Run(t.Context())
	full, is := errors.AsType[*segments.OutboxFullError](err)
	if !is || !strings.Contains(full.Reason, "sends to the mailbox none has arrived for 3s") {
		t.Errorf("Run returns %v", err)
	}
	if _, is := errors.AsType[*relay.UnsentError](err); !is || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("Run returns %v", err)
	}
	// What may be in, and what each segment commits at once.
	if n := len(inOutbox(t, s)); n > options.OutboxMax+options.Segments*options.CommitEvents {
		t.Errorf("%d messages are in the outbox", n)
	}
}
