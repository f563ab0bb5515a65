package main_test

import (
	"bytes"
	wire "encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/pupwasm/pupwasm/internal/pgtest"
)

// gate is between a command and its server. It stops the first transaction of a kind at a statement, and tells so. All
// else passes, also when the command tries again.
type gate struct {
	dsn string
	at  int // how many statements pass, after which nothing does; afterCommit to stop only the answer of COMMIT

	reached chan struct{} // closed when a statement, or the answer of COMMIT, does not pass

	mu   sync.Mutex
	shut bool
	open []net.Conn
}

// afterCommit lets the whole transaction through, of which the command then does not know how it has ended.
const afterCommit = -1

// gatedTransaction is how the transaction begins that is stopped, which only promotions and rollbacks have.
var gatedTransaction = []byte("begin isolation level read committed")

func newGate(t *testing.T, db pgtest.Database, at int) *gate {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := fmt.Sprintf("127.0.0.1:%d", db.Server.Port)
	g := &gate{dsn: strings.Replace(db.DSN, server, listener.Addr().String(), 1), at: at, reached: make(chan struct{})}
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
			g.mu.Lock()
			g.open = append(g.open, client, upstream)
			g.mu.Unlock()
			silent := make(chan struct{})
			group.Go(func() { g.ask(upstream, client, silent) })
			group.Go(func() { g.answer(client, upstream, silent) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		g.cut()
		group.Wait()
	})
	return g
}

// cut breaks every connection, as the end of the command does.
func (g *gate) cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, conn := range g.open {
		conn.Close()
	}
	g.open = nil
}

// ask passes what the command sends on, message by message. The first one has no type.
func (g *gate) ask(server, client net.Conn, silent chan struct{}) {
	defer server.Close()
	began, passed := false, 0
	for typed := 0; ; typed = 1 {
		message := make([]byte, typed+4)
		if _, err := io.ReadFull(client, message); err != nil {
			return
		}
		rest := make([]byte, wire.BigEndian.Uint32(message[typed:])-4)
		if _, err := io.ReadFull(client, rest); err != nil {
			return
		}
		if typed == 1 && (message[0] == 'Q' || message[0] == 'E') { // a statement runs
			began = began || bytes.HasPrefix(rest, gatedTransaction)
			if began && passed == g.at && g.stop() {
				_, _ = io.Copy(io.Discard, client) // until it ends
				return
			}
			if began {
				passed++
			}
			if began && g.at == afterCommit && bytes.HasPrefix(rest, []byte("commit")) && g.stop() {
				close(silent)
			}
		}
		if _, err := server.Write(append(message, rest...)); err != nil {
			return
		}
	}
}

// answer passes what the server sends on, until it is to be silent.
func (g *gate) answer(client, server net.Conn, silent chan struct{}) {
	defer client.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := server.Read(buffer)
		if err != nil {
			return
		}
		select {
		case <-silent:
			continue
		default:
		}
		if _, err := client.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// stop reports whether the transaction stops here: it does once.
func (g *gate) stop() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut {
		return false
	}
	g.shut = true
	close(g.reached)
	return true
}
