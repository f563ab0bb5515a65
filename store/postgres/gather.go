package postgres

import (
	"context"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// A gatherer is a connection that takes a large answer in few, large pieces. A server sends it 8 KiB at a time, and to be woken for
// each of them costs more than to read it.
//
// While much of an answer is still due, a read waits until a piece of it has come, but not for longer than patience. For the rest a
// gatherer is the connection that it wraps.
type gatherer struct {
	net.Conn
	raw      syscall.RawConn
	patience time.Duration
	due      atomic.Int64 // how many bytes of the answer are still to come, about; 0 outside of one
	mark     int          // the bytes below which the socket does not say that there is something to read
	piece    []byte       // has room for twice of one, should more have come
	rest     []byte       // of the piece
}

const (
	// gatherMax is the size of a piece, gatherMin what is not worth waiting for.
	gatherMax = 64 << 10
	gatherMin = 16 << 10
	// gatherPatience bounds the wait for a piece: an answer may end before what was expected of it has come.
	gatherPatience = time.Millisecond
)

// gathering has the connections of a dialer gather, where the system can.
func gathering(dial pgconn.DialFunc) pgconn.DialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		tcp, ok := conn.(*net.TCPConn)
		if err != nil || !ok || !canGather {
			return conn, err
		}
		raw, err := tcp.SyscallConn()
		if err != nil {
			_ = conn.Close()
			return nil, err
		}
		return &gatherer{Conn: conn, raw: raw, patience: gatherPatience, mark: 1}, nil
	}
}

// Read implements [net.Conn].
func (g *gatherer) Read(p []byte) (int, error) {
	if len(g.rest) == 0 {
		want := min(g.due.Load()-gatherMin/2, gatherMax) // some of it is not worth to be exact about
		if want < gatherMin {
			if err := g.setMark(1); err != nil {
				return 0, err
			}
			return g.Conn.Read(p)
		}
		if err := g.gather(int(want)); err != nil {
			return 0, err
		}
	}
	n := copy(p, g.rest)
	g.rest = g.rest[n:]
	return n, nil
}

// gather reads a piece of so many bytes, or what has come of it in time. The thread waits itself: Go's poller would wake another one
// besides, each time.
func (g *gatherer) gather(want int) error {
	if g.piece == nil {
		g.piece = make([]byte, 2*gatherMax)
	}
	if err := g.setMark(want); err != nil {
		return err
	}
	come := false
	err := g.raw.Read(func(fd uintptr) (done bool) {
		come = waitFor(fd, g.patience)
		return true
	})
	if err != nil {
		return err
	}
	if !come {
		if err := g.setMark(1); err != nil {
			return err
		}
	}
	n, err := g.Conn.Read(g.piece)
	g.rest = g.piece[:n]
	return err
}

// setMark has the socket be silent until so many bytes have come.
func (g *gatherer) setMark(bytes int) error {
	if bytes == g.mark {
		return nil
	}
	var failure error
	if err := g.raw.Control(func(fd uintptr) { failure = setLowWater(fd, bytes) }); err != nil {
		return err
	}
	if failure == nil {
		g.mark = bytes
	}
	return failure
}

// remainder tells a gatherer how much of an answer is still to come, by the rows that have.
type remainder struct {
	gatherer   *gatherer // nil for a connection that does not gather
	rows       int64     // about how many there will be; 0 when nobody knows
	seen, size int64
}

// remainderOf is for an answer that comes over conn.
func remainderOf(conn *pgconn.PgConn, rows int64) *remainder {
	g, _ := conn.Conn().(*gatherer) // not below TLS, which reads in pieces of its own
	return &remainder{gatherer: g, rows: rows}
}

// remainderEvery is after how many rows the remainder is told anew.
const remainderEvery = 16

func (r *remainder) row(values [][]byte) {
	if r.gatherer == nil || r.rows == 0 {
		return
	}
	const length = 4 // on the wire, before each value
	for _, value := range values {
		r.size += length + int64(len(value))
	}
	if r.seen++; r.seen%remainderEvery == 0 {
		r.gatherer.due.Store((r.rows - r.seen) * r.size / r.seen)
	}
}

// end must follow the last row.
func (r *remainder) end() {
	if r.gatherer != nil {
		r.gatherer.due.Store(0)
	}
}
