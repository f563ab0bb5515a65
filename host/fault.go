package host

import (
	"fmt"
	"strings"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

// Fault says what a guest did wrong with a batch. The same batch would bring it about again, on every host,
// or here at least when it is about time. Nothing of the batch was applied and the instance is gone.
type Fault struct {
	Module   string // file name
	Reason   string
	Position int64        // of the event at fault, or 0 when no single event is
	Stream   store.Stream // of that event, as far as the module reads it
	Code     uint32       // of the guest's own choice
	// Divide says that the search for the event at fault was cut short: smaller batches find it.
	Divide bool

	wholeBatch bool // no event is to blame
	exceeds    bool // a limit of the batch, which its events may exceed together
	fuel       bool // that of fuel
}

// Error names the module, the event at fault and the reason in one line.
func (f *Fault) Error() string {
	if f.Position == 0 {
		return fmt.Sprintf("module %s: %s", f.Module, f.Reason)
	}
	stream := ""
	if f.Stream.AggregateID != "" {
		stream = " of stream " + f.Stream.Readable()
	}
	return fmt.Sprintf("module %s at event %d%s: %s", f.Module, f.Position, stream, f.Reason)
}

// setEvent makes an event the one at fault.
func (f *Fault) setEvent(e *store.RecordedEvent) {
	f.Position, f.Stream = e.Position, e.Stream
}

// SlowError says that a guest was stopped for the time that it took, although it had fuel left. Elsewhere, or
// later, the same batch may pass: it is no [Fault]. The caller, who knows how often it happened, decides when
// it becomes one.
type SlowError struct {
	Module string        // file name
	Limit  time.Duration // for one batch
	Raise  string        // the setting that raises the limit, such as Limits.BatchTimeout
}

// Error says in one line what to change.
func (e *SlowError) Error() string {
	return fmt.Sprintf("module %s: took longer than %s for a batch, with fuel left: if this machine is not busy, "+
		"raise %s, or have fewer events in a batch (Options.BatchEvents)",
		e.Module, e.Limit, e.Raise)
}

// slow is the error of a guest that took too long.
func (g *Guest) slow() error {
	limit, raise := g.module.limits.BatchTimeout, "Limits.BatchTimeout"
	switch {
	case limit < g.module.granted.BatchTimeout:
		raise = "batch_ms in the module's description"
	case g.module.Settings.BatchTimeout != 0:
		raise = "batch_timeout in the settings of the module"
	}
	return &SlowError{Module: g.module.File, Limit: limit, Raise: raise}
}

// LoadError says why a file cannot be used as a module.
type LoadError struct {
	File   string
	Reason string
	// Transient says that this machine is to blame and not the module, which may load later: a full disk, too
	// many processes, a file that changes while it is read.
	Transient bool

	cause error
}

// Error names the file and the reason in one line.
func (e *LoadError) Error() string { return fmt.Sprintf("module %s: %s", e.File, e.Reason) }

// shorten keeps the first line of a reason, unless it is a page: guests have a say in it.
func shorten(reason string) string {
	line, _, _ := strings.Cut(reason, "\n")
	if len(line) > reasonBytes {
		line = strings.ToValidUTF8(line[:reasonBytes], "") + "…"
	}
	return line
}
