// Package testproxy is between a client and a server under test: it counts round trips, breaks connections, and lets a
// test decide what passes.
package testproxy

import (
	"net"
	"slices"
	"sync"
	"testing"
)

// Proxy forwards connections.
type Proxy struct {
	Addr string // where it listens, as host:port

	pass Pass

	mu          sync.Mutex
	turns       int
	clientSpoke bool
	open        []net.Conn
}

// Pass reports whether what came on a connection goes on. It may take its time.
type Pass func(from net.Conn, fromClient bool, data []byte) bool

// New forwards to a server, as host:port, until the test ends.
func New(t testing.TB, server string, pass Pass) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{Addr: listener.Addr().String(), pass: pass}
	var group sync.WaitGroup
	group.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			upstream, err := net.Dial("tcp", server)
			if err != nil {
				_ = client.Close()
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
		_ = listener.Close()
		p.Cut()
		group.Wait()
	})
	return p
}

func (p *Proxy) forward(to, from net.Conn, fromClient bool) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			p.mu.Lock()
			if fromClient && !p.clientSpoke {
				p.turns++
			}
			p.clientSpoke = fromClient
			p.mu.Unlock()
			if p.pass(from, fromClient, buffer[:n]) {
				if _, err := to.Write(buffer[:n]); err != nil {
					break
				}
			}
		}
		if err != nil {
			break
		}
	}
	_ = to.Close()
	_ = from.Close()
}

// Open returns the connections of now, of both sides.
func (p *Proxy) Open() []net.Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.open)
}

// Cut breaks every connection.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.open {
		_ = conn.Close()
	}
	p.open = nil
}

// Turns returns how often the client spoke after the server did.
func (p *Proxy) Turns() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.turns
}

// Begin is Turns, and has what the client says next be another one.
func (p *Proxy) Begin() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clientSpoke = false
	return p.turns
}

// RoundTrips returns how many round trips fn takes.
func (p *Proxy) RoundTrips(fn func()) int {
	before := p.Begin()
	fn()
	return p.Turns() - before
}
