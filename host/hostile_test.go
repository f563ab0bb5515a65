package host_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/host/hosttest"
	"github.com/pupwasm/pupwasm/store"
)

// kitHost is this package's host as the conformance kit sees it.
type kitHost struct{ runtime *host.Runtime }

func (h kitHost) Load(ctx context.Context, wasm []byte) (hosttest.Loaded, error) {
	module, err := h.runtime.Load(ctx, "guest.wasm", wasm)
	if err != nil {
		return nil, err
	}
	return &kitModule{module: module, guest: module.NewGuest(0)}, nil
}

type kitModule struct {
	module *host.Module
	guest  *host.Guest
}

func (m *kitModule) Apply(ctx context.Context) (int, error) {
	events := make([]store.RecordedEvent, hosttest.Events)
	for i := range events {
		events[i].Position, events[i].AggregateVersion = int64(i+1), int64(i+1)
		events[i].AggregateID = fmt.Sprintf("a%d", i)
	}
	mutations, err := m.guest.Apply(ctx, events, emptyQuery(m.module))
	return len(mutations) + len(m.guest.Messages()), err
}

func (m *kitModule) Close() {
	m.guest.Close(context.Background())
	m.module.Close(context.Background())
}

func TestHost_survivesHostileGuests(t *testing.T) {
	t.Parallel()
	r := newRuntime(t, host.Options{Limits: host.Limits{
		MemoryMiB: hosttest.MemoryMiB, Fuel: 20_000_000,
		ReplyBytesMax: hosttest.ReplyBytesMax, ModuleBytesMax: hosttest.ModuleBytesMax,
	}})
	hosttest.RunHost(t, kitHost{r})
}
