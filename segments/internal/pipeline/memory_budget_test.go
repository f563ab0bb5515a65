package pipeline

import (
	"context"
	"errors"
	"testing"
)

// acquiring lets somebody wait for room, until turn is closed.
func (b *MemoryBudget) acquiring(t *testing.T, ctx context.Context, bytes int) <-chan error {
	t.Helper()
	b.mu.Lock()
	before := len(b.waiting) + b.used
	b.mu.Unlock()
	done := make(chan error, 1)
	go func() { done <- b.Acquire(ctx, bytes) }()
	for {
		b.mu.Lock()
		now := len(b.waiting) + b.used
		b.mu.Unlock()
		if now != before {
			return done
		}
	}
}

func TestMemoryBudget_readsWaitInTurn(t *testing.T) {
	t.Parallel()
	b := NewMemoryBudget(100)
	first := b.acquiring(t, t.Context(), 60)
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	second := b.acquiring(t, t.Context(), 60)
	third := b.acquiring(t, t.Context(), 10) // would fit, and does not pass the one before it
	if !b.Scarce() || len(second)+len(third) > 0 {
		t.Error("somebody did not wait")
	}
	b.Add(-20)
	if err := <-second; err != nil {
		t.Fatal(err)
	}
	b.Add(-60)
	if err := <-third; err != nil {
		t.Fatal(err)
	}
	if b.used != 50 || b.Scarce() {
		t.Errorf("%d bytes are used", b.used)
	}
}

func TestMemoryBudget_somebodyAlwaysGetsOn(t *testing.T) {
	t.Parallel()
	b := NewMemoryBudget(100)
	if err := b.Acquire(t.Context(), 1000); err != nil {
		t.Fatal(err)
	}
	large := b.acquiring(t, t.Context(), 1000)
	b.Add(-1000)
	if err := <-large; err != nil {
		t.Fatal(err)
	}
}

func TestMemoryBudget_whoGivesUpLetsOthersOn(t *testing.T) {
	t.Parallel()
	b := NewMemoryBudget(100)
	b.Add(50) // rows
	ctx, stop := context.WithCancel(t.Context())
	large := b.acquiring(t, ctx, 80)
	small := b.acquiring(t, t.Context(), 20)
	stop()
	if err := <-large; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := <-small; err != nil {
		t.Fatal(err)
	}
	if b.used != 70 {
		t.Errorf("%d bytes are used", b.used)
	}
}
