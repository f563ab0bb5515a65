package main

import (
	"context"
	"fmt"
	"os"
	"runtime"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/store"
)

const guestBatch = 1000

// guestKinds are both compilers, and both ways to use instances.
var guestKinds = []guestKind{
	{"tinygo", host.InstancesFresh},
	{"tinygo", host.InstancesReuse},
	{"go", host.InstancesFresh},
	{"go", host.InstancesReuse},
}

// synthetic are workloads without a database, each with its events.
type synthetic struct {
	workload *workload
	context  string
	kind     string
	events   []logEvent
}

const syntheticEvents = 20 * guestBatch

func syntheticWorkloads() []synthetic {
	bookings := makeBookings(syntheticEvents, 5000)
	accounts := make([]logEvent, len(bookings))
	for i, b := range bookings {
		accounts[i] = b.event(i)
	}
	fines, err := realFines(syntheticEvents)
	if err != nil {
		fines = madeFines(syntheticEvents)
	}
	none := &eventLog{}
	return []synthetic{
		{balanceWorkload(none, nil), "Bank", "Account", accounts},
		{rowsWorkload(none, nil), "Bank", "Account", accounts},
		{fineWorkload(none, nil), "Traffic", "Fine", fines},
	}
}

// batches are the events as a worker hands them to a guest.
func (s *synthetic) batches() (batches [][]store.RecordedEvent) {
	versions := map[string]int64{}
	for start := 0; start+guestBatch <= len(s.events); start += guestBatch {
		batch := make([]store.RecordedEvent, guestBatch)
		for i := range batch {
			e, r := &s.events[start+i], &batch[i]
			versions[e.stream]++
			r.Position, r.AggregateVersion = int64(start+i+1), versions[e.stream]
			r.BoundedContext, r.AggregateType, r.AggregateID = s.context, s.kind, e.stream
			r.PartitionHash = store.PartitionHash(e.stream)
			r.Type, r.Event.Version, r.CreatedAt = e.kind, 1, e.at
			r.Payload, r.Metadata = e.payload, []byte("{}")
		}
		batches = append(batches, batch)
	}
	return batches
}

func runGuests(ctx context.Context, e *environment, r *report) error {
	workloads := syntheticWorkloads()
	alone := r.addTable("guests",
		fmt.Sprintf("guests without a database, batches of %d, events in and mutations out", guestBatch),
		"workload, guest, instances",
		column{"ns/event", unitNanos, 0, showSpread},
		column{"in the guest", "in-guest-ns/event", 0, showSpread},
		column{"encode, copy, decode", "host-ns/event", 0, showSpread},
		column{"fuel/event", "fuel/event", 0, showMedian},
		column{"host allocs/event", "host-allocs/event", 3, showMedian},
		column{"instance MiB", "instance-MiB", 2, showMedian})
	memory := r.addTable("guest_memory",
		fmt.Sprintf("memory of a guest over %s events, W1", thousands(float64(e.guestEvents), 0)),
		"guest, instances",
		column{"first batch MiB", "first-MiB", 2, showMedian},
		column{"last batch MiB", "last-MiB", 2, showMedian},
		column{"most MiB", "most-MiB", 2, showMedian},
		column{"process grew by MiB", "process-MiB", 0, showMedian},
		column{"ns/event", unitNanos, 0, showMedian})
	for _, s := range workloads {
		for _, kind := range guestKinds {
			name := fmt.Sprintf("guest/%s/%s", s.workload.name, kind)
			if !e.wants(name) {
				continue
			}
			row := s.workload.name + ", " + kind.String()
			if err := measureGuest(ctx, e, &s, kind, func(s sample) { alone.add(row, s) }); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			fmt.Fprintf(os.Stderr, "%-45s %10s ns/event\n", name, showMedian(alone.row(row).Samples[unitNanos], 0))
		}
	}
	for _, kind := range guestKinds {
		name := fmt.Sprintf("memory/%s", kind)
		if !e.wants(name) {
			continue
		}
		result, err := measureGuestMemory(ctx, e, &workloads[0], kind)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		fmt.Fprintf(os.Stderr, "%-45s %10.2f MiB at most\n", name, result["most-MiB"])
		memory.add(kind.String(), result)
	}
	return nil
}

// measureGuest gives each round's sample to add.
func measureGuest(ctx context.Context, e *environment, s *synthetic, kind guestKind, add func(sample)) error {
	module, err := e.load(ctx, kind, s.workload)
	if err != nil {
		return err
	}
	defer module.Close(ctx)
	guest := module.NewGuest(0)
	defer guest.Close(ctx)
	batches := s.batches()
	for round := range e.rounds + 1 {
		var inGuest, fuel, memory float64
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		watch := startStopwatch()
		passes := e.pick(1, 10)
		for range passes {
			for _, batch := range batches {
				if _, err := guest.Apply(ctx, batch, nil); err != nil {
					return err
				}
				usage := guest.Usage()
				inGuest += float64(usage.Time.Nanoseconds())
				fuel += float64(usage.Fuel)
				memory = max(memory, float64(usage.MemoryBytes))
			}
		}
		all := float64(watch.elapsed().Nanoseconds())
		runtime.ReadMemStats(&after)
		if round == 0 {
			continue // to warm up
		}
		n := float64(passes * len(batches) * guestBatch)
		add(sample{
			unitNanos: all / n, "in-guest-ns/event": inGuest / n, "host-ns/event": (all - inGuest) / n,
			"fuel/event": fuel / n, "host-allocs/event": float64(after.Mallocs-before.Mallocs) / n,
			"instance-MiB": memory / mebibyte,
		})
	}
	return nil
}

// measureGuestMemory applies many events in one guest, whose positions go on from batch to batch.
func measureGuestMemory(ctx context.Context, e *environment, s *synthetic, kind guestKind) (sample, error) {
	module, err := e.load(ctx, kind, s.workload)
	if err != nil {
		return nil, err
	}
	defer module.Close(ctx)
	guest := module.NewGuest(0)
	defer guest.Close(ctx)
	batches := s.batches()
	memory := startMemoryWatch()
	watch := startStopwatch()
	var first, last, most float64
	events := 0
	for ; events < e.guestEvents; events += guestBatch {
		batch := batches[events/guestBatch%len(batches)]
		for i := range batch {
			batch[i].Position = int64(events + i + 1)
		}
		if _, err := guest.Apply(ctx, batch, nil); err != nil {
			return nil, err
		}
		last = float64(guest.Usage().MemoryBytes) / mebibyte
		most = max(most, last)
		if events == 0 {
			first = last
		}
	}
	nanos := float64(watch.elapsed().Nanoseconds()) / float64(events)
	return sample{
		"first-MiB": first, "last-MiB": last, "most-MiB": most, "process-MiB": memory.peak() / mebibyte,
		unitNanos: nanos,
	}, nil
}
