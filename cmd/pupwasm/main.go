// Command pupwasm runs WebAssembly projections over an event store, and manages that store.
//
//	main.go        signals and errors
//	exit_codes.go  the table of exit codes, from which docs/exit-codes.md is written
//	root.go        the global flags; one file a command beside it
//	env.go         flags from the environment
//	config.go      flags from pupwasm.yaml; config_origin.go where values come from, config_follow.go changes of it
//	database.go    from --database to a store; events_flag.go from --events to a log
//	dialect.go     the kinds of databases, each in a file beside it
//	logger.go      logs to stderr
//	output.go      results to stdout, for people or as JSON
//	completion.go  what the shell offers; completion_flags.go for flags
//	backoff.go     waiting for a database that is down
//	hints.go       flags and commands in the place of what libraries name as in Go
//
// The command run has its flags in worker_flags.go, runtime_flags.go, limit_flags.go and events_flag.go. limits.go is
// the table of limits, from which docs/limits.md is written.
//
// relay.go copies the log to NATS; package relay/jetstream does the work.
//
// The import has two files: append.go (the command) and import.go (batches to the store), with identity.go for the ids
// of events without one and payload_schemas.go for --event-schemas. Package internal/eventline reads the input.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/oneline"
)

func main() {
	host.CompilerMain()
	ctx, stop := signalContext(context.Background())
	code := execute(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// usageError says that the command line or the environment is wrong.
type usageError struct{ message string }

// Error is the message.
func (e *usageError) Error() string { return e.message }

func usagef(format string, args ...any) error {
	return &usageError{message: fmt.Sprintf(format, args...)}
}

// inputError says what of the input is wrong and where.
type inputError struct {
	where string // "file:line" or "file"
	err   error
}

// Error has the place in front.
func (e *inputError) Error() string { return e.where + ": " + e.err.Error() }

// Unwrap returns what is wrong there.
func (e *inputError) Unwrap() error { return e.err }

// unwrapPath takes the path out of an error of package os, for an [inputError] that names it already.
func unwrapPath(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// errNoDatabase says that the database of --database does not exist.
var errNoDatabase = errors.New("there is no database")

// signalError is the cause of a context that a signal cancelled.
type signalError struct{ signal syscall.Signal }

// Error names the signal.
func (e *signalError) Error() string { return "stopped by signal: " + e.signal.String() }

// signalContext returns a context that the first SIGINT or SIGTERM cancels. The second one ends the process.
func signalContext(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		select {
		case received := <-signals:
			signal.Stop(signals)
			number, _ := received.(syscall.Signal)
			cancel(&signalError{signal: number})
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

// execute runs one command line and returns the exit code. It is where errors become text.
func execute(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) int {
	globals := &globalOptions{in: in, out: out, errs: errs}
	root := newRootCommand(globals)
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errs)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	var stopped *signalError
	if errors.As(context.Cause(ctx), &stopped) && errors.Is(err, context.Canceled) {
		err = stopped // the rest is a consequence of the signal
	}
	fmt.Fprintln(errs, "pupwasm: "+errorText(globals.located(err)))
	return exitCode(ctx, err)
}

// errorText makes every error one line, also those of libraries, which name no flags.
func errorText(err error) string { return printable(inFlags(oneline.Of(err))) }
