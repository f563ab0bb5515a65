//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/pupwasm/pupwasm/internal/backoff"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// lease is short, so that the host that is started again need not wait long for what the one before had.
const lease = "3s"

// host is 'pupwasm run'.
type host struct {
	process *exec.Cmd
	ended   chan struct{}

	mu     sync.Mutex
	killed bool
	err    error
	log    bytes.Buffer
}

func (d *demo) startHost() (*host, error) {
	h := &host{ended: make(chan struct{})}
	h.process = exec.Command(d.program, "run", filepath.Join(d.folder, "modules"), "--publish", d.cluster.URL(),
		"--messages-from", "beginning", "--lease", lease, "--log-level", "error")
	h.process.Env, h.process.Stderr = d.environment(), &h.log
	if err := h.process.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(h.ended)
		err := h.process.Wait()
		h.mu.Lock()
		defer h.mu.Unlock()
		h.err = err
	}()
	return h, nil
}

// kill ends the host as a crash would.
func (h *host) kill() {
	h.mu.Lock()
	h.killed = true
	h.mu.Unlock()
	_ = h.process.Process.Kill() // which has ended
	<-h.ended
}

// failure is why the host has ended by itself, or nil.
func (h *host) failure() error {
	select {
	case <-h.ended:
	default:
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.killed {
		return nil
	}
	return fmt.Errorf("pupwasm has ended: %w: %s", h.err, strings.TrimSpace(h.log.String()))
}

// awaitEmpty waits until no message is to be sent.
func (d *demo) awaitEmpty(ctx context.Context) error {
	opened, err := sqlite.Open(d.database(), sqlite.Options{})
	if err != nil {
		return err
	}
	defer opened.Close()
	for {
		all, err := opened.Backend().OutboxStatus(ctx, moduleName)
		if err != nil {
			return err
		}
		if len(all) == 1 && all[0].Pending == 0 {
			return nil
		}
		if !backoff.Sleep(ctx, poll) {
			return fmt.Errorf("waiting for an empty outbox: %w", context.Cause(ctx))
		}
	}
}
