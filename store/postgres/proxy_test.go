package postgres_test

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testproxy"
)

// proxy is between a store and its server.
type proxy struct {
	*testproxy.Proxy
	dsn string

	mu       sync.Mutex
	copies   int               // how often the client has asked for COPY
	silent   bool              // nothing passes, and nobody is told
	stranded map[net.Conn]bool // connections on which nothing passes
	asked    int               // what was asked on them, and not answered
}

func newProxy(t *testing.T, db pgtest.Database) *proxy {
	t.Helper()
	server := fmt.Sprintf("127.0.0.1:%d", db.Server.Port)
	p := &proxy{}
	p.Proxy = testproxy.New(t, server, p.pass)
	p.dsn = strings.Replace(db.DSN, server, p.Addr, 1)
	return p
}

func (p *proxy) pass(from net.Conn, fromClient bool, data []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if fromClient && bytes.Contains(data, []byte("FROM STDIN (FORMAT binary)")) {
		p.copies++
	}
	if fromClient && p.stranded[from] && data[0] != 'X' { // which is a farewell
		p.asked++
	}
	return !p.silent && !p.stranded[from]
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
	for _, conn := range p.Open() {
		p.stranded[conn] = true
	}
}
