package mysql_test

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/internal/testproxy"
)

// proxy is between a store and its server. While it is muted, the server's answers are lost. It can stop between two round
// trips, as a host does that is frozen.
type proxy struct {
	*testproxy.Proxy
	url   string
	muted atomic.Bool

	mu      sync.Mutex
	freezes *freeze
}

// freeze keeps what the client says after a number of round trips.
type freeze struct {
	turns         int // of the proxy, after which it begins
	begun, thawed chan struct{}
}

func newProxy(t testing.TB, at mariadbtest.Database) *proxy {
	t.Helper()
	server := fmt.Sprintf("127.0.0.1:%d", at.Server.Port)
	p := &proxy{}
	p.Proxy = testproxy.New(t, server, p.pass)
	p.url = strings.Replace(at.URL, server, p.Addr, 1)
	return p
}

func (p *proxy) pass(_ net.Conn, fromClient bool, _ []byte) bool {
	if !fromClient {
		return !p.muted.Load()
	}
	p.mu.Lock()
	frozen := p.freezes
	if frozen != nil && p.Turns() > frozen.turns {
		p.freezes = nil
	} else {
		frozen = nil
	}
	p.mu.Unlock()
	if frozen != nil {
		close(frozen.begun)
		<-frozen.thawed
	}
	return true
}

// freezeAfter freezes the client of the next round trips after a number of them.
func (p *proxy) freezeAfter(trips int) *freeze {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.freezes = &freeze{turns: p.Begin() + trips, begun: make(chan struct{}), thawed: make(chan struct{})}
	return p.freezes
}
