package postgres

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"time"
)

// gathererOn returns a gatherer, and the other end of its connection.
func gathererOn(t *testing.T, patience time.Duration) (*gatherer, net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	conn, err := gathering((&net.Dialer{}).DialContext)(t.Context(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); server.Close() })
	g := conn.(*gatherer)
	g.patience = patience
	return g, server
}

// random is an answer, whose bytes differ wherever one looks.
func random(size int) []byte {
	answer := make([]byte, size)
	for i := range answer {
		answer[i] = byte(rand.Uint32())
	}
	return answer
}

// TestGatherer_waitsForAPiece sends the way PostgreSQL does, in 128 steps.
func TestGatherer_waitsForAPiece(t *testing.T) {
	t.Parallel()
	g, server := gathererOn(t, time.Minute)
	answer := random(1 << 20)
	go func() {
		for rest := answer; len(rest) > 0; rest = rest[8<<10:] {
			if _, err := server.Write(rest[:8<<10]); err != nil {
				return
			}
		}
	}()
	var got []byte
	reads := 0
	for p := make([]byte, 1<<20); len(got) < len(answer); reads++ {
		g.due.Store(int64(len(answer) - len(got)))
		n, err := g.Read(p)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, p[:n]...)
	}
	// A signal of Go's scheduler, or a window that is full, may end a wait early.
	if most := 2*len(answer)/gatherMax + 4; reads > most {
		t.Errorf("%d reads, want %d at most", reads, most)
	}
	if !bytes.Equal(got, answer) {
		t.Error("what was read is not what was sent")
	}
}

// TestGatherer_waitsForNoMoreThanThereIs has the answer be shorter than was expected, at each of its ends.
func TestGatherer_waitsForNoMoreThanThereIs(t *testing.T) {
	t.Parallel()
	g, server := gathererOn(t, time.Millisecond)
	p := make([]byte, 8<<10)
	for _, size := range []int{1, 100, gatherMin - 1, gatherMin, 3*gatherMax + 7, 5} {
		answer := random(size)
		go func() { _, _ = server.Write(answer) }()
		got := make([]byte, 0, size)
		for len(got) < size {
			g.due.Store(1 << 30)
			n, err := g.Read(p)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, p[:n]...)
		}
		g.due.Store(0)
		if !bytes.Equal(got, answer) {
			t.Errorf("of %d bytes, what was read is not what was sent", size)
		}
	}
}

// TestGatherer_outsideOfAnAnswerOneByteIsEnough fails by never ending, if the socket keeps silent.
func TestGatherer_outsideOfAnAnswerOneByteIsEnough(t *testing.T) {
	t.Parallel()
	g, server := gathererOn(t, time.Millisecond)
	send := func(size int) { go func() { _, _ = server.Write(make([]byte, size)) }() }
	p := make([]byte, 2*gatherMax)
	g.due.Store(1 << 20)
	send(1)
	if _, err := g.Read(p); err != nil {
		t.Fatal(err)
	}
	g.due.Store(0)
	send(1)
	if n, err := g.Read(p); n != 1 || err != nil {
		t.Errorf("read %d bytes: %v", n, err)
	}
}

func TestGatherer_endsWithTheConnection(t *testing.T) {
	t.Parallel()
	t.Run("a deadline", func(t *testing.T) {
		t.Parallel()
		g, _ := gathererOn(t, time.Millisecond)
		g.due.Store(1 << 20)
		if err := g.SetReadDeadline(time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
		if _, err := g.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("its end", func(t *testing.T) {
		t.Parallel()
		g, server := gathererOn(t, time.Minute)
		g.due.Store(1 << 20)
		server.Close()
		if _, err := g.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("close", func(t *testing.T) {
		t.Parallel()
		g, _ := gathererOn(t, time.Millisecond)
		g.due.Store(1 << 20)
		g.Close()
		if _, err := g.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v", err)
		}
	})
}
