package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// coldResult is the start of 'pupwasm run' with one module that is not installed yet.
type coldResult struct {
	Guest   string       `json:"guest"`
	Cache   bool         `json:"compilation_cache"`
	Samples []coldSample `json:"samples"`
}

type coldSample struct {
	FirstCommit float64 `json:"first_commit_ms"` // since the start of the process
	Load        float64 `json:"load_ms"`         // the module, in this process
	StartUp     float64 `json:"instance_ms"`     // the first instance
}

const coldEvents = 1000

func runColdStarts(ctx context.Context, e *environment, r *report) error {
	var c *coldStart
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
			result, err := c.measure(ctx, e, kind, cache)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			fmt.Fprintf(os.Stderr, "%-45s %10.0f ms to the first commit\n", name, result.Samples[0].FirstCommit)
			r.ColdStarts = append(r.ColdStarts, result)
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
	if text, err := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", c.program, "./cmd/pupwasm").CombinedOutput(); err != nil {
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

func (c *coldStart) measure(ctx context.Context, e *environment, kind guestKind, cache bool) (*coldResult, error) {
	result := &coldResult{Guest: kind.String(), Cache: cache}
	w := balanceWorkload(&eventLog{dsn: c.dsn}, nil)
	wasm, err := e.module(kind.compiler, w.module)
	if err != nil {
		return nil, err
	}
	modules, err := os.MkdirTemp(e.folder, "modules-")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(modules, w.projection+".wasm"), wasm, 0o644); err != nil {
		return nil, err
	}
	compiled := ""
	if cache {
		if compiled, err = os.MkdirTemp(e.folder, "compiled-"); err != nil {
			return nil, err
		}
		if _, err := c.start(ctx, w, modules, compiled); err != nil { // the one that fills the cache
			return nil, err
		}
	}
	for range e.rounds {
		first, err := c.start(ctx, w, modules, compiled)
		if err != nil {
			return nil, err
		}
		sample, err := loadOnce(ctx, w, wasm, compiled)
		if err != nil {
			return nil, err
		}
		sample.FirstCommit = first.Seconds() * 1000
		result.Samples = append(result.Samples, sample)
	}
	return result, nil
}

// start runs the program until it has applied all, and returns when its first commit was seen.
func (c *coldStart) start(ctx context.Context, w *workload, modules, compiled string) (first time.Duration, err error) {
	s, err := postgres.Open(c.dsn, postgres.Options{})
	if err != nil {
		return 0, err
	}
	defer s.Close()
	if err := forget(ctx, s, w.projection); err != nil {
		return 0, err
	}
	conn, err := pgx.Connect(ctx, c.dsn)
	if err != nil {
		return 0, err
	}
	defer conn.Close(ctx)
	program := exec.CommandContext(ctx, c.program, "run", "--once", "--log-level", "error", "--database", c.dsn, "--cache-dir", compiled, modules)
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
func loadOnce(ctx context.Context, w *workload, wasm []byte, compiled string) (s coldSample, err error) {
	runtime, err := host.NewRuntime(ctx, host.Options{CacheDir: compiled})
	if err != nil {
		return s, err
	}
	defer runtime.Close(ctx)
	watch := startStopwatch()
	module, err := runtime.Load(ctx, w.projection+".wasm", wasm)
	if err != nil {
		return s, err
	}
	s.Load = watch.elapsed().Seconds() * 1000
	s.StartUp = module.StartUp.Seconds() * 1000
	module.Close(ctx)
	return s, nil
}

func (r *report) printColdStarts(out *tabwriter.Writer) {
	if len(r.ColdStarts) == 0 {
		return
	}
	fmt.Fprintf(out, "\ncold start of pupwasm run over %d events, a module that is not installed\n", coldEvents)
	fmt.Fprint(out, "first commit after ms\tmodule loaded in ms\tfirst instance in ms\t  guest\n")
	for _, c := range r.ColdStarts {
		cache := "nothing compiled before"
		if c.Cache {
			cache = "with the compilation cache"
		}
		fmt.Fprintf(out, "%s\t%s\t%s\t  %s, %s\n",
			figures(c.Samples, 0, func(s coldSample) float64 { return s.FirstCommit }),
			figures(c.Samples, 1, func(s coldSample) float64 { return s.Load }),
			figures(c.Samples, 2, func(s coldSample) float64 { return s.StartUp }), c.Guest, cache)
	}
	_ = out.Flush()
}
