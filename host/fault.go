package host

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tetratelabs/wazero/sys"
)

// Fault says what a guest did wrong with a batch. The same batch would bring it about again, on every host. Nothing of the
// batch was applied and the instance is gone.
type Fault struct {
	Module   string // file name
	Reason   string
	Position int64  // of the event that the guest blames, or 0
	Code     uint32 // of the guest's own choice
}

func (f *Fault) Error() string {
	if f.Position > 0 {
		return fmt.Sprintf("module %s at event %d: %s", f.Module, f.Position, f.Reason)
	}
	return fmt.Sprintf("module %s: %s", f.Module, f.Reason)
}

// SlowError says that a guest was stopped for the time that it took, although it had fuel left. Elsewhere, or later, the same batch may
// pass: it is no [Fault].
type SlowError struct {
	Module string // file name
	Limit  time.Duration
}

func (e *SlowError) Error() string {
	return fmt.Sprintf("module %s: took longer than %s for a batch, with fuel left: this machine is slow or busy", e.Module, e.Limit)
}

// LoadError says why a file cannot be used as a module.
type LoadError struct {
	File   string
	Reason string
}

func (e *LoadError) Error() string { return fmt.Sprintf("module %s: %s", e.File, e.Reason) }

// callReason puts what wazero reports of a failed call into one line. stderr is what the guest wrote to its standard error, where Go's
// panics go.
func callReason(err error, stderr string) string {
	var exit *sys.ExitError
	if errors.As(err, &exit) {
		reason := fmt.Sprintf("ended itself with exit code %d", exit.ExitCode())
		return withStderr(reason, stderr)
	}
	// The first line names the trap; the guest's stack follows.
	line, _, _ := strings.Cut(err.Error(), "\n")
	line = strings.TrimPrefix(line, "wasm error: ")
	if line == "unreachable" {
		line = "panicked or reached an unreachable instruction"
	}
	return withStderr(line, stderr)
}

// shorten keeps the first line of a reason, unless it is a page: guests have a say in it.
func shorten(reason string) string {
	line, _, _ := strings.Cut(reason, "\n")
	if len(line) > reasonBytes {
		line = strings.ToValidUTF8(line[:reasonBytes], "") + "…"
	}
	return line
}

func withStderr(reason, stderr string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(stderr), "\n")
	if line == "" {
		return reason
	}
	return reason + ": " + line
}
