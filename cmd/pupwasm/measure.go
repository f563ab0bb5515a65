package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/eventline"
	"github.com/pupwasm/pupwasm/internal/trial"
	"github.com/pupwasm/pupwasm/store"
)

// measureBatch is how many events a batch has, as in 'pupwasm run'.
const measureBatch = 1000

// measurement is the cost of a module for the events of a file.
type measurement struct {
	Projection  string       `json:"projection"`
	Lines       int64        `json:"events_in_file"`
	Events      int64        `json:"events"` // those that the module asks for
	Batches     int          `json:"batches"`
	Fuel        int64        `json:"fuel"`
	FuelByEvent distribution `json:"fuel_per_event"`
	Nanos       int64        `json:"nanoseconds"`
	NanosEvent  distribution `json:"nanoseconds_per_event"` // of this machine, now
	MemoryBytes int          `json:"memory_bytes"`
	Mutations   int64        `json:"mutations"`
	Messages    int64        `json:"messages"`
	Queries     int64        `json:"queries_answered_empty"`
}

// distribution is of the batches.
type distribution struct {
	Min    int64 `json:"min"`
	Median int64 `json:"median"`
	Max    int64 `json:"max"`
}

// measure runs a module over the events of a file, in batches, without a database.
func measure(ctx context.Context, module *host.Module, name string, payloadMax int) (*measurement, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, &inputError{where: name, err: unwrapPath(err)}
	}
	defer file.Close()
	lines, err := eventline.NewReader(file, payloadMax)
	if err != nil {
		return nil, &inputError{where: name, err: err}
	}
	guest := module.NewGuest(0)
	defer guest.Close(context.WithoutCancel(ctx))
	m := &measurement{Projection: module.Description.Name}
	source := &measuredEvents{
		source: newLineSource(name, lines, false, nil), subscription: module.Description.Subscription,
	}
	var fuel, nanos []int64
	for {
		batch, err := source.batch()
		if err != nil {
			return nil, err
		}
		if len(batch) == 0 {
			break
		}
		mutations, err := guest.Apply(ctx, batch, m.answerEmpty(module))
		if err != nil {
			return nil, measureError(name, batch, err)
		}
		usage := guest.Usage()
		m.Batches++
		m.Events += int64(len(batch))
		m.Mutations += int64(len(mutations))
		m.Messages += int64(len(guest.Messages()))
		m.Fuel += usage.Fuel
		m.MemoryBytes = max(m.MemoryBytes, usage.MemoryBytes)
		m.Nanos += usage.Time.Nanoseconds()
		fuel = append(fuel, usage.Fuel/int64(len(batch)))
		nanos = append(nanos, usage.Time.Nanoseconds()/int64(len(batch)))
	}
	m.Lines = source.log.Events()
	m.FuelByEvent, m.NanosEvent = distributionOf(fuel), distributionOf(nanos)
	return m, nil
}

// measureError says which events of a file failed, by the positions that an empty log would give them.
func measureError(name string, batch []store.RecordedEvent, err error) error {
	var fault *host.Fault
	if errors.As(err, &fault) && fault.Position > 0 {
		return fmt.Errorf("%s: %w", name, err)
	}
	return fmt.Errorf("events %d to %d of %s: %w", batch[0].Position, batch[len(batch)-1].Position, name, err)
}

func distributionOf(values []int64) distribution {
	if len(values) == 0 {
		return distribution{}
	}
	slices.Sort(values)
	return distribution{Min: values[0], Median: values[len(values)/2], Max: values[len(values)-1]}
}

// answerEmpty answers every query without rows, and counts them.
func (m *measurement) answerEmpty(module *host.Module) host.Query {
	return func(query int, _ []store.Value, rows *store.Rows) error {
		m.Queries++
		_, results := module.Description.Signature(&module.Description.Queries[query])
		rows.Width, rows.Values = len(results), rows.Values[:0]
		return nil
	}
}

func (m *measurement) print(out io.Writer) {
	field := func(name, format string, args ...any) {
		fmt.Fprintf(out, "%-14s %s\n", name, fmt.Sprintf(format, args...))
	}
	field("projection", "%s", m.Projection)
	field("events", "%d of %d in the file, %s of %d at most", m.Events, m.Lines, batches(m.Batches), measureBatch)
	field("fuel per event", "min %d, median %d, max %d (of batches)", m.FuelByEvent.Min, m.FuelByEvent.Median,
		m.FuelByEvent.Max)
	field("time per event", "min %s, median %s, max %s (of batches, on this machine)", time.Duration(m.NanosEvent.Min),
		time.Duration(m.NanosEvent.Median), time.Duration(m.NanosEvent.Max))
	field("memory", "%.1f MiB", float64(m.MemoryBytes)/(1<<20))
	field("mutations", "%d", m.Mutations)
	if m.Messages > 0 {
		field("messages", "%d", m.Messages)
	}
	if m.Queries > 0 {
		field("queries", "%d, answered without rows", m.Queries)
	}
}

func batches(n int) string {
	if n == 1 {
		return "1 batch"
	}
	return fmt.Sprintf("%d batches", n)
}

// measuredEvents gives the events of an input that are in a subscription, as if they were appended to an empty
// log.
type measuredEvents struct {
	source       *lineSource
	subscription store.Subscription
	log          trial.Recorder
}

// batch returns the next events, or none at the end.
func (e *measuredEvents) batch() ([]store.RecordedEvent, error) {
	var events []store.RecordedEvent
	for len(events) < measureBatch {
		line, err := e.source.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		recorded := e.log.Record(line.Stream, line.Event)
		if e.subscription.Matches(line.Stream, line.Event.Type) {
			events = append(events, recorded)
		}
	}
	return events, nil
}
