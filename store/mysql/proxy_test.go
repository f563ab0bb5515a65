package mysql_test

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pupwasm/pupwasm/internal/mariadbtest"
)

// proxy is between a store and its server. It counts round trips: how often the client spoke after the server did. While
// it is muted, the server's answers are lost. It can stop between two round trips, as a host does that is frozen.
type proxy struct {
	url   string
	muted atomic.Bool

	mu          sync.Mutex
	turns       int
	clientSpoke bool
	open        []net.Conn
	freezes     *freeze
}

// freeze keeps what the client says after a number of round trips.
type freeze struct {
	turns         int // of the proxy, after which it begins
	begun, thawed chan struct{}
}

func newProxy(t testing.TB, at mariadbtest.Database) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	server := fmt.Sprintf("127.0.0.1:%d", at.Server.Port)
	p := &proxy{url: strings.Replace(at.URL, server, listener.Addr().String(), 1)}
	var group sync.WaitGroup
	group.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			upstream, err := net.Dial("tcp", server)
			if err != nil {
				client.Close()
				continue
			}
			p.mu.Lock()
			p.open = append(p.open, client, upstream)
			p.mu.Unlock()
			group.Go(func() { p.forward(upstream, client, true) })
			group.Go(func() { p.forward(client, upstream, false) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		p.cut()
		group.Wait()
	})
	return p
}

func (p *proxy) forward(to, from net.Conn, fromClient bool) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			p.mu.Lock()
			if fromClient && !p.clientSpoke {
				p.turns++
			}
			p.clientSpoke = fromClient
			var frozen *freeze
			if f := p.freezes; f != nil && fromClient && p.turns > f.turns {
				frozen, p.freezes = f, nil
			}
			p.mu.Unlock()
			if frozen != nil {
				close(frozen.begun)
				<-frozen.thawed
			}
			if !fromClient && p.muted.Load() {
				continue
			}
			if _, err := to.Write(buffer[:n]); err != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	to.Close()
	from.Close()
}

// cut breaks every connection.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.open {
		conn.Close()
	}
	p.open = nil
}

// freezeAfter freezes the client of the next round trips after a number of them.
func (p *proxy) freezeAfter(trips int) *freeze {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clientSpoke = false
	p.freezes = &freeze{turns: p.turns + trips, begun: make(chan struct{}), thawed: make(chan struct{})}
	return p.freezes
}

// roundTrips returns how many round trips fn takes.
func (p *proxy) roundTrips(fn func()) int {
	p.mu.Lock()
	before := p.turns
	p.clientSpoke = false
	p.mu.Unlock()
	fn()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.turns - before
}
