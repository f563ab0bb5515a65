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

// TestGatherer_aReadBeginsWithAStepAndEndsWithAPiece has the first step of a piece be there when it is read.
func TestGatherer_aReadBeginsWithAStepAndEndsWithAPiece(t *testing.T) {
	t.Parallel()
	const pieces, step = 40, 8 << 10
	g, server := gathererOn(t, time.Minute)
	p, sent := make([]byte, 2*gatherMax), make([]byte, step)
	whole := 0
	for range pieces {
		if _, err := server.Write(sent); err != nil {
			t.Fatal(err)
		}
		if err := g.setMark(1); err != nil {
			t.Fatal(err)
		}
		if err := g.raw.Control(func(fd uintptr) { waitFor(fd, time.Minute) }); err != nil {
			t.Fatal(err)
		}
		go func() {
			for range gatherMax/step - 1 {
				_, _ = server.Write(sent)
			}
		}()
		g.due.Store(1 << 20)
		for got := 0; got < gatherMax; {
			n, err := g.Read(p)
			if err != nil {
				t.Fatal(err)
			}
			if n == gatherMax {
				whole++
			}
			if got += n; got < gatherMax {
				g.due.Store(int64(gatherMax - got + gatherMin/2)) // what is left of the piece
			}
		}
	}
	if whole < pieces/2 { // a signal may end some waits early
		t.Errorf("%d reads of %d brought a piece", whole, pieces)
	}
}

// TestGatherer_whatComesAfterPatienceHasEnded fails by never ending, if the socket keeps silent then.
func TestGatherer_whatComesAfterPatienceHasEnded(t *testing.T) {
	t.Parallel()
	g, server := gathererOn(t, 0)
	asked := make(chan struct{})
	defer close(asked)
	go func() {
		for range asked {
			_, _ = server.Write([]byte{1})
		}
	}()
	g.due.Store(1 << 20)
	for range 200 { // the byte seldom is there at once
		asked <- struct{}{}
		if n, err := g.Read(make([]byte, 8)); n != 1 || err != nil {
			t.Fatalf("read %d bytes: %v", n, err)
		}
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

// TestGatherer_outsideOfAnAnswerOneByteIsEnough fails by never ending, if the socket keeps silent after a piece.
func TestGatherer_outsideOfAnAnswerOneByteIsEnough(t *testing.T) {
	t.Parallel()
	g, server := gathererOn(t, time.Minute)
	asked := make(chan int)
	defer close(asked)
	go func() {
		for size := range asked {
			_, _ = server.Write(make([]byte, size))
		}
	}()
	p := make([]byte, 2*gatherMax)
	for range 200 { // the byte seldom is there at once
		g.due.Store(1 << 20)
		asked <- gatherMax
		for got := 0; got < gatherMax; {
			n, err := g.Read(p)
			if err != nil {
				t.Fatal(err)
			}
			got += n
			g.due.Store(int64(gatherMax - got + gatherMin/2)) // where a signal has ended the wait
		}
		g.due.Store(0)
		asked <- 1
		if n, err := g.Read(p); n != 1 || err != nil {
			t.Fatalf("read %d bytes: %v", n, err)
		}
	}
}

func TestGatherer_endsWithTheConnection(t *testing.T) {
	t.Parallel()
	for name, ending := range map[string]struct {
		of   func(g *gatherer, server net.Conn) error
		want error
	}{
		"a deadline": {func(g *gatherer, _ net.Conn) error { return g.SetReadDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
		"its end":    {func(_ *gatherer, server net.Conn) error { return server.Close() }, io.EOF},
		"close":      {func(g *gatherer, _ net.Conn) error { return g.Close() }, net.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, server := gathererOn(t, time.Minute)
			g.due.Store(1 << 20)
			if err := ending.of(g, server); err != nil {
				t.Fatal(err)
			}
			if _, err := g.Read(make([]byte, 1)); !errors.Is(err, ending.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}
