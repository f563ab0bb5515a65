package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/store/postgres"
)

const coldEvents = 1000

func runColdStarts(ctx context.Context, e *environment, r *report) error {
	var c *coldStart
	result := r.addTable("cold_starts",
		fmt.Sprintf("cold start of pupwasm run over %d events, a module that is not installed", coldEvents),
		"guest",
		column{"first commit after ms", "first-commit-ms", 0, showSpread},
		column{"module loaded in ms", "load-ms", 1, showSpread},
		column{"first instance in ms", "first-instance-ms", 2, showSpread})
	for _, kind := range []guestKind{tinygoGuest, goGuest} {
		for _, cache := range []bool{false, true} {
			name := fmt.Sprintf("cold/%s/cache=%t", kind, cache)
			if !e.wants(name) {
				continue
			}
			if c == nil {
				var err error
				if c, err = prepareColdStart(ctx, e); err != nil {
					return err
				}
			}
			row := kind.String() + ", nothing compiled before"
			if cache {
				row = kind.String() + ", with the compilation cache"
			}
			err := c.measure(ctx, e, kind, cache, func(s sample) {
				fmt.Fprintf(os.Stderr, "%-45s %10.0f ms to the first commit\n", name, s["first-commit-ms"])
				result.add(row, s)
			})
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}

// coldStart is a log that is short, and the program.
type coldStart struct {
	dsn, program string
}

func prepareColdStart(ctx context.Context, e *environment) (*coldStart, error) {
	c := &coldStart{program: filepath.Join(e.folder, "pupwasm")}
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", c.program, "./cmd/pupwasm")
	if text, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building pupwasm: %w: %s", err, text)
	}
	var err error
	if c.dsn, err = e.database(ctx, "cold"); err != nil {
		return nil, err
	}
	events := make([]logEvent, coldEvents)
	for i, b := range makeBookings(coldEvents, e.streams) {
		events[i] = b.event(i)
	}
	return c, fill(ctx, c.dsn, "Bank", "Account", events)
}

// measure gives each round's sample to add.
func (c *coldStart) measure(ctx context.Context, e *environment, kind guestKind, cache bool, add func(sample)) error {
	w := balanceWorkload(&eventLog{dsn: c.dsn}, nil)
	wasm, err := e.module(kind.compiler, w.module)
	if err != nil {
		return err
	}
	modules, err := os.MkdirTemp(e.folder, "modules-")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(modules, w.projection+".wasm"), wasm, 0o644); err != nil {
		return err
	}
	compiled := ""
	if cache {
		if compiled, err = os.MkdirTemp(e.folder, "compiled-"); err != nil {
			return err
		}
		if _, err := c.start(ctx, w, modules, compiled); err != nil { // the one that fills the cache
			return err
		}
	}
	for range e.rounds {
		first, err := c.start(ctx, w, modules, compiled)
		if err != nil {
			return err
		}
		sample, err := loadOnce(ctx, w, wasm, compiled)
		if err != nil {
			return err
		}
		sample["first-commit-ms"] = milliseconds(first)
		add(sample)
	}
	return nil
}

// start runs the program until it has applied all, and returns when its first commit was seen.
func (c *coldStart) start(ctx context.Context, w *workload, modules, compiled string) (first time.Duration, err error) {
	s, err := postgres.Open(c.dsn, postgres.Options{})
	if err != nil {
		return 0, err
	}
	defer s.Close()
	if err := forget(ctx, s.Backend(), w.projection); err != nil {
		return 0, err
	}
	conn, err := pgx.Connect(ctx, c.dsn)
	if err != nil {
		return 0, err
	}
	defer conn.Close(ctx)
	program := exec.CommandContext(ctx, c.program, "run", "--once", "--log-level", "error",
		"--database", c.dsn, "--cache-dir", compiled, modules)
	program.Stderr = os.Stderr
	watch := startStopwatch()
	if err := program.Start(); err != nil {
		return 0, err
	}
	done := make(chan error, 1)
	go func() { done <- program.Wait() }()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	ended := false
	for position := int64(0); position == 0; {
		select {
		case <-tick.C:
		case err := <-done:
			if err != nil {
				return 0, err
			}
			if ended {
				return 0, errors.New("pupwasm ended without a commit")
			}
			ended = true
			done <- nil
		}
		err := conn.QueryRow(ctx, "SELECT coalesce(max(position), 0) FROM pupwasm.segments").Scan(&position)
		if err != nil {
			return 0, err
		}
		first = watch.elapsed()
	}
	return first, <-done
}

// loadOnce loads the module into a runtime of its own.
func loadOnce(ctx context.Context, w *workload, wasm []byte, compiled string) (sample, error) {
	runtime, err := host.NewRuntime(ctx, host.Options{CacheDir: compiled})
	if err != nil {
		return nil, err
	}
	defer runtime.Close(ctx)
	watch := startStopwatch()
	module, err := runtime.Load(ctx, w.projection+".wasm", wasm)
	if err != nil {
		return nil, err
	}
	defer module.Close(ctx)
	return sample{"load-ms": milliseconds(watch.elapsed()), "first-instance-ms": milliseconds(module.StartUp)}, nil
}
