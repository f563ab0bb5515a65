package alert

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/pupwasm/pupwasm/internal/oneline"
)

const (
	// outputBytesMax bounds what is kept of a program's output, the beginning.
	outputBytesMax = 512
	// outputDelay is how long the output is read after the program has ended: a child may keep it open.
	outputDelay = time.Second
)

// program is run without arguments, and without a shell. It has the message as its input, and in its environment.
type program struct{ path string }

// Tell runs the program. Exit code 0 says that the message arrived. The program is killed with its children when ctx
// ends.
func (p *program) Tell(ctx context.Context, message Message) error {
	output := &beginning{}
	cmd := exec.CommandContext(ctx, p.path)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(message.JSON), output, output
	cmd.Env = append(os.Environ(), message.Env...)
	cmd.WaitDelay = outputDelay
	ownGroup(cmd)
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		killGroup(cmd)
		err = nil // it has ended well; what it left behind is gone
	}
	name := filepath.Base(p.path)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s was stopped: %w", name, context.Cause(ctx))
	}
	if said := oneline.Text(output.String()); said != "" {
		return fmt.Errorf("%s: %w: %s", name, oneline.Error(err), said)
	}
	return fmt.Errorf("%s: %w", name, oneline.Error(err))
}

// beginning keeps the first bytes that are written to it.
type beginning struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

// Write takes all bytes, and keeps some.
func (b *beginning) Write(data []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buffer.Write(data[:min(len(data), outputBytesMax-b.buffer.Len())])
	return len(data), nil
}

// String is what was kept.
func (b *beginning) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}
