package jetstream_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/pupwasm/pupwasm/internal/natstest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/relay/jetstream"
	"github.com/pupwasm/pupwasm/store"
)

// competitor is a copy that is ended and opened again.
type competitor struct {
	t    *testing.T
	url  string
	log  store.Log
	stop func()
}

// open begins to copy.
func (c *competitor) open() {
	ctx, cancel := context.WithCancel(context.Background())
	running, err := jetstream.OpenCopy(ctx, c.url, c.log, jetstream.CopyOptions{})
	if err != nil {
		c.t.Error(err)
		cancel()
		return
	}
	var group sync.WaitGroup
	group.Go(func() {
		if err := running.Run(ctx); ctx.Err() == nil {
			c.t.Errorf("a copy ends with %v", err)
		}
	})
	c.stop = func() {
		cancel()
		running.Close()
		group.Wait()
	}
}

// TestCopy_isExactWhateverDies has two copies of one log compete for a stream of three nodes, while events are appended, and
// kills nodes and copies at random. Each event must be there once, in order.
func TestCopy_isExactWhateverDies(t *testing.T) {
	t.Parallel()
	const rounds, each = 7, 3000
	cluster := natstest.StartCluster(t, 3)
	js := connect(t, cluster.URL())
	log := newLog(t)
	var copies [2]competitor
	for i := range copies {
		copies[i] = competitor{t: t, url: cluster.URL(), log: log}
		copies[i].open()
		defer func() { copies[i].stop() }()
	}
	sequence := func() uint64 {
		stream, err := js.Stream(t.Context(), "EVENTS")
		if err != nil {
			return 0
		}
		return stream.CachedInfo().State.LastSeq
	}
	for round := range rounds {
		appending := sync.WaitGroup{}
		appending.Go(func() {
			for i := range 10 {
				appendTo(t, log, round*each+i*each/10, each/10)
			}
		})
		before := uint64(round * each)
		testwait.Until(t, "some are copied", func() bool { return sequence() > before })
		node, copied := rand.N(3), rand.N(2)
		cluster.Kill(node)
		if rand.N(2) == 0 {
			copies[copied].stop()
			copies[copied].open()
		}
		appending.Wait()
		if err := cluster.Restart(node); err != nil {
			t.Fatal(err)
		}
		if err := cluster.WaitReady(); err != nil {
			t.Fatal(err)
		}
		testwait.Until(t, "most are copied", func() bool { return sequence() > before+each/2 })
	}
	testwait.Until(t, "all are copied", func() bool { return sequence() >= rounds*each })
	wantCopy(t, js, "EVENTS", log, 0)
	stream, err := js.Stream(t.Context(), "EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	if config := stream.CachedInfo().Config; config.Replicas != 3 || config.Retention != natsjs.LimitsPolicy {
		t.Errorf("the stream is %+v", config)
	}
}
