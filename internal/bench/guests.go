package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"text/tabwriter"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/store"
)

// guestResult is a module at work without a database.
type guestResult struct {
	Workload string        `json:"workload"`
	Guest    string        `json:"guest"`
	Reuses   bool          `json:"reuses_instances"`
	Samples  []guestSample `json:"samples"`
}

type guestSample struct {
	Nanos      float64 `json:"ns_per_event"`          // events in, mutations out
	GuestNanos float64 `json:"in_guest_ns_per_event"` // of these, within the guest
	Fuel       float64 `json:"fuel_per_event"`
	Allocs     float64 `json:"host_allocs_per_event"`
	Memory     float64 `json:"instance_bytes"`
}

// guestMemoryResult is what a guest's memory comes to over many events.
type guestMemoryResult struct {
	Guest   string  `json:"guest"`
	Reuses  bool    `json:"reuses_instances"`
	Events  int     `json:"events"`
	First   float64 `json:"instance_bytes_first"`
	Last    float64 `json:"instance_bytes_last"`
	Most    float64 `json:"instance_bytes_most"`
	Process float64 `json:"process_peak_bytes"` // beyond what it had before
	Nanos   float64 `json:"ns_per_event"`
}

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
	for _, s := range workloads {
		for _, kind := range guestKinds {
			name := fmt.Sprintf("guest/%s/%s", s.workload.name, kind)
			if !e.wants(name) {
				continue
			}
			result, err := measureGuest(ctx, e, &s, kind)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			last := result.Samples[len(result.Samples)-1]
			fmt.Fprintf(os.Stderr, "%-45s %10.0f ns/event, %.0f in the guest\n", name, last.Nanos, last.GuestNanos)
			r.Guests = append(r.Guests, result)
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
		fmt.Fprintf(os.Stderr, "%-45s %10.2f MiB at most\n", name, result.Most/(1<<20))
		r.GuestMemory = append(r.GuestMemory, result)
	}
	return nil
}

func measureGuest(ctx context.Context, e *environment, s *synthetic, kind guestKind) (*guestResult, error) {
	module, err := e.load(ctx, kind, s.workload)
	if err != nil {
		return nil, err
	}
	defer module.Close(ctx)
	result := &guestResult{Workload: s.workload.name, Guest: kind.String(), Reuses: module.Reuses()}
	guest := module.NewGuest(0)
	defer guest.Close(ctx)
	batches := s.batches()
	for round := range e.rounds + 1 {
		var sample guestSample
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		watch := startStopwatch()
		passes := e.pick(1, 10)
		for range passes {
			for _, batch := range batches {
				if _, err := guest.Apply(ctx, batch, nil); err != nil {
					return nil, err
				}
				usage := guest.Usage()
				sample.GuestNanos += float64(usage.Time.Nanoseconds())
				sample.Fuel += float64(usage.Fuel)
				sample.Memory = max(sample.Memory, float64(usage.MemoryBytes))
			}
		}
		sample.Nanos = float64(watch.elapsed().Nanoseconds())
		runtime.ReadMemStats(&after)
		sample.Allocs = float64(after.Mallocs - before.Mallocs)
		if round == 0 {
			continue // to warm up
		}
		n := float64(passes * len(batches) * guestBatch)
		sample.Nanos /= n
		sample.GuestNanos /= n
		sample.Fuel /= n
		sample.Allocs /= n
		result.Samples = append(result.Samples, sample)
	}
	return result, nil
}

// measureGuestMemory applies many events in one guest, whose positions go on from batch to batch.
func measureGuestMemory(ctx context.Context, e *environment, s *synthetic, kind guestKind) (*guestMemoryResult, error) {
	module, err := e.load(ctx, kind, s.workload)
	if err != nil {
		return nil, err
	}
	defer module.Close(ctx)
	result := &guestMemoryResult{Guest: kind.String(), Reuses: module.Reuses()}
	guest := module.NewGuest(0)
	defer guest.Close(ctx)
	batches := s.batches()
	memory := startMemoryWatch()
	watch := startStopwatch()
	for n := 0; result.Events < e.guestEvents; n++ {
		batch := batches[n%len(batches)]
		for i := range batch {
			batch[i].Position = int64(result.Events + i + 1)
		}
		if _, err := guest.Apply(ctx, batch, nil); err != nil {
			return nil, err
		}
		result.Events += len(batch)
		result.Last = float64(guest.Usage().MemoryBytes)
		result.Most = max(result.Most, result.Last)
		if n == 0 {
			result.First = result.Last
		}
	}
	result.Nanos = float64(watch.elapsed().Nanoseconds()) / float64(result.Events)
	result.Process = memory.peak()
	return result, nil
}

func (r *report) printGuests(out *tabwriter.Writer) {
	if len(r.Guests) > 0 {
		fmt.Fprintf(out, "\nguests without a database, batches of %d, events in and mutations out\n", guestBatch)
		fmt.Fprint(out, "ns/event\tin the guest\tencode, copy, decode\tfuel/event\thost allocs/event\tinstance MiB\t  workload, guest, instances\n")
		for _, g := range r.Guests {
			fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\t  %s, %s\n",
				figures(g.Samples, 0, func(s guestSample) float64 { return s.Nanos }),
				figures(g.Samples, 0, func(s guestSample) float64 { return s.GuestNanos }),
				figures(g.Samples, 0, func(s guestSample) float64 { return s.Nanos - s.GuestNanos }),
				figure(g.Samples, 0, func(s guestSample) float64 { return s.Fuel }),
				figure(g.Samples, 3, func(s guestSample) float64 { return s.Allocs }),
				figure(g.Samples, 2, func(s guestSample) float64 { return s.Memory / (1 << 20) }), g.Workload, g.Guest)
		}
		_ = out.Flush()
	}
	if len(r.GuestMemory) > 0 {
		fmt.Fprintf(out, "\nmemory of a guest over %s events, W1\n", thousands(float64(r.GuestMemory[0].Events), 0))
		fmt.Fprint(out, "first batch MiB\tlast batch MiB\tmost MiB\tprocess grew by MiB\tns/event\t  guest, instances\n")
		for _, m := range r.GuestMemory {
			const mib = 1 << 20
			fmt.Fprintf(out, "%.2f\t%.2f\t%.2f\t%.0f\t%s\t  %s\n", m.First/mib, m.Last/mib, m.Most/mib, m.Process/mib, thousands(m.Nanos, 0), m.Guest)
		}
		_ = out.Flush()
	}
}
