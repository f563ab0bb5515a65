package segments

import (
	"fmt"
	"time"

	"github.com/rs/zerolog"
)

// Options configures a worker. The zero value is ready to use.
type Options struct {
	// Name identifies the worker among all; two processes must not share one. Defaults to host name, process id and a
	// random suffix.
	Name string
	// Segments is into how many segments a projection is divided when it is installed for the first time. Defaults to 1.
	Segments int
	// BatchEvents is the most events in one batch. A module may ask for fewer. Defaults to 1000.
	BatchEvents int
	// BatchBytes is the most bytes of payload and metadata in one batch; a single larger event is a batch of its own.
	// Defaults to 8 MiB.
	BatchBytes int
	// Lease is how long other workers wait for a worker that gives no sign of life. Defaults to 10 seconds.
	Lease time.Duration
	// Claim is the interval at which free segments are looked for. Defaults to 1 second.
	Claim time.Duration
	// Poll is the shortest interval at which the horizon is looked at. Defaults to 20 milliseconds.
	Poll time.Duration
	// PollMax is the longest interval, reached when nothing happens. Defaults to 1 second.
	PollMax time.Duration
	// Notify lets appends wake the worker while it idles, where the store can ([store.Waker]), so that PollMax may be as long as
	// one likes; while notifications do not arrive, it is at most a second. Defaults to false.
	Notify bool
	// RetryMax is the longest pause after an error of the database; pauses start at 100 milliseconds and double, with
	// jitter. Defaults to 10 seconds.
	RetryMax time.Duration
	// Once makes Run return when everything that was appended before it is applied or has failed. Defaults to false.
	Once bool
	// Logger receives what happens. Defaults to none.
	Logger zerolog.Logger
}

const retryMin = 100 * time.Millisecond

func (o Options) withDefaults() Options {
	if o.Name == "" {
		o.Name = defaultName()
	}
	setDefault(&o.Segments, 1)
	setDefault(&o.BatchEvents, 1000)
	setDefault(&o.BatchBytes, 8<<20)
	setDefault(&o.Lease, 10*time.Second)
	setDefault(&o.Claim, time.Second)
	setDefault(&o.Poll, 20*time.Millisecond)
	setDefault(&o.PollMax, time.Second)
	setDefault(&o.RetryMax, 10*time.Second)
	return o
}

func setDefault[T int | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

func (o Options) validate() error {
	switch {
	case o.Segments < 1 || o.Segments > 1024:
		return fmt.Errorf("option Segments must be between 1 and 1024, it is %d", o.Segments)
	case o.BatchEvents < 1 || o.BatchEvents > 100_000:
		return fmt.Errorf("option BatchEvents must be between 1 and 100000, it is %d", o.BatchEvents)
	case o.BatchBytes < 1:
		return fmt.Errorf("option BatchBytes must be at least 1, it is %d", o.BatchBytes)
	case o.Lease < 100*time.Millisecond:
		return fmt.Errorf("option Lease must be at least 100ms, it is %s", o.Lease)
	case o.Claim < time.Millisecond:
		return fmt.Errorf("option Claim must be at least 1ms, it is %s", o.Claim)
	case o.Poll < time.Millisecond || o.PollMax < o.Poll:
		return fmt.Errorf("option Poll must be at least 1ms and PollMax not below it, they are %s and %s", o.Poll, o.PollMax)
	case o.RetryMax < retryMin:
		return fmt.Errorf("option RetryMax must be at least %s, it is %s", retryMin, o.RetryMax)
	}
	return nil
}
