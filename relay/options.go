package relay

import (
	"fmt"
	"time"

	"github.com/rs/zerolog"
)

// Sinks are where the messages of projections go. A projection without a sink is not relayed by this host.
type Sinks struct {
	// Default has the messages of the projections that ByProjection does not name. Nil for none.
	Default Sink
	// ByProjection has the sinks of single projections, by name. Nil is for one whose messages do not go to Default either.
	ByProjection map[string]Sink
}

// Options configures a relay. The zero value is ready to use.
type Options struct {
	// Keep is for how long messages stay in the outbox once they are sent. Defaults to 0: they are deleted at once.
	Keep time.Duration
	// Poll is the interval at which the outbox is read for messages that workers of other hosts have put in. Those of this
	// host's are found at once, see [Relay.Wake]. Defaults to 500 milliseconds.
	Poll time.Duration
	// RetryMin is about how long a message waits that could not be sent, the first time; twice that the next time, with
	// jitter. Also errors of the database are followed by such pauses. Defaults to 1 second.
	RetryMin time.Duration
	// RetryMax is the longest pause. Defaults to 1 minute.
	RetryMax time.Duration
	// Attempts is how often a message is tried that the receiver refuses. Then it is not tried again by itself, and the
	// later ones of its key wait until somebody has it sent again or skips it: its key is parked. A message that does not
	// arrive for other reasons is tried for ever, and these tries count once it is refused. Defaults to 5.
	Attempts int
	// Window is the most messages of a projection that are in memory, and while those of a few keys fill it, 16 times as
	// many. A key of which still more are to be sent, one behind the other, holds up others behind them; one that has
	// failed does not. Defaults to 1000.
	Window int
	// WindowBytes is the most bytes of these; a single larger message is let through. Defaults to 16 MiB.
	WindowBytes int
	// Logger receives what happens. Defaults to none.
	Logger zerolog.Logger
	// Observer is told what happens, for metrics and alerts. Defaults to none.
	Observer *Observer
}

// Defaults returns the options that the zero value means.
func Defaults() Options {
	return Options{
		Poll:        500 * time.Millisecond,
		RetryMin:    time.Second,
		RetryMax:    time.Minute,
		Attempts:    5,
		Window:      1000,
		WindowBytes: 16 << 20,
	}
}

func (o Options) withDefaults() Options {
	d := Defaults()
	setDefault(&o.Poll, d.Poll)
	setDefault(&o.RetryMin, d.RetryMin)
	setDefault(&o.RetryMax, max(d.RetryMax, o.RetryMin))
	setDefault(&o.Attempts, d.Attempts)
	setDefault(&o.Window, d.Window)
	setDefault(&o.WindowBytes, d.WindowBytes)
	if o.Observer == nil {
		o.Observer = &Observer{}
	}
	return o
}

func setDefault[T int | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// OptionError says which option of a relay cannot be used.
type OptionError struct {
	Option string // the field of Options
	Reason string // what it must be, and what it is
}

// Error names the option and what it must be.
func (e *OptionError) Error() string { return "option " + e.Option + " of the relay " + e.Reason }

// keepMax bounds how long messages are kept: longer is a mistake.
const keepMax = 10 * 365 * 24 * time.Hour

// Validate reports what is wrong with options. Zero values are the defaults.
//
// # Errors
//
// [*OptionError].
func (o Options) Validate() error {
	o = o.withDefaults()
	fault := func(option, format string, args ...any) error {
		return &OptionError{Option: option, Reason: fmt.Sprintf(format, args...)}
	}
	switch {
	case o.Keep < 0 || o.Keep > keepMax:
		return fault("Keep", "must be between 0 and %s, it is %s", keepMax, o.Keep)
	case o.Poll < time.Millisecond:
		return fault("Poll", "must be at least 1ms, it is %s", o.Poll)
	case o.RetryMin < time.Millisecond:
		return fault("RetryMin", "must be at least 1ms, it is %s", o.RetryMin)
	case o.RetryMax < o.RetryMin || o.RetryMax > laterMax:
		return fault("RetryMax", "must be between the first pause, which is %s, and %s; it is %s", o.RetryMin, laterMax,
			o.RetryMax)
	case o.Attempts < 1:
		return fault("Attempts", "must be at least 1, it is %d", o.Attempts)
	case o.Window < 1 || o.Window > 1_000_000:
		return fault("Window", "must be between 1 and 1000000, it is %d", o.Window)
	case o.WindowBytes < 1:
		return fault("WindowBytes", "must be at least 1, it is %d", o.WindowBytes)
	}
	return nil
}

// laterMax bounds how long a message waits for its next try, whatever the receiver says.
const laterMax = time.Hour
