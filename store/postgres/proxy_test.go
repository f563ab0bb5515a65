package postgres_test

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/pupwasm/pupwasm/internal/pgtest"
)

// proxy is between a store and its server. It counts round trips: how often the client spoke after the server did.
type proxy struct {
	dsn string

	mu          sync.Mutex
	turns       int
	copies      int // how often the client has asked for COPY
	clientSpoke bool
	silent      bool // nothing passes, and nobody is told
	open        []net.Conn
	stranded    map[net.Conn]bool // connections on which nothing passes
	asked       int               // what was asked on them, and not answered
}

func newProxy(t *testing.T, db pgtest.Database) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	server := fmt.Sprintf("127.0.0.1:%d", db.Server.Port)
	p := &proxy{dsn: strings.Replace(db.DSN, server, listener.Addr().String(), 1)}
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
			if fromClient && bytes.Contains(buffer[:n], []byte("FROM STDIN (FORMAT binary)")) {
				p.copies++
			}
			silent := p.silent || p.stranded[from]
			if fromClient && p.stranded[from] && buffer[0] != 'X' { // which is a farewell
				p.asked++
			}
			p.mu.Unlock()
			if silent {
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

// fallSilent swallows everything from now on, as a network does whose server has lost its power.
func (p *proxy) fallSilent() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.silent = true
}

// strand swallows what comes on the connections of now, as a firewall does that has forgotten them. New ones are
// as before.
func (p *proxy) strand() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stranded = map[net.Conn]bool{}
	for _, conn := range p.open {
		p.stranded[conn] = true
	}
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
