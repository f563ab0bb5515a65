package postgres

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

const canGather = true

// gather reads a piece of so many bytes, or what has come of it in time. The thread waits itself: Go's poller would wake another one
// besides, each time.
func (g *gatherer) gather(want int) error {
	if g.piece == nil {
		g.piece = make([]byte, 2*gatherMax)
	}
	if err := g.setMark(want); err != nil {
		return err
	}
	var n int
	var failure error
	err := g.raw.Read(func(fd uintptr) (done bool) {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		_, _ = unix.Poll(poll, int(g.patience.Milliseconds())) // what it could say, the read says
		if n, failure = readNow(fd, g.piece); !errors.Is(failure, unix.EAGAIN) {
			return true
		}
		failure = g.setMarkOf(fd, 1) // nothing at all has come: it is waited for as usual
		return failure != nil
	})
	switch {
	case err != nil:
		return err
	case failure != nil:
		return os.NewSyscallError("read", failure)
	case n == 0:
		return io.EOF
	}
	g.rest = g.piece[:n]
	return nil
}

func readNow(fd uintptr, p []byte) (n int, err error) {
	for {
		if n, err = unix.Read(int(fd), p); !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

// setMark has the socket be silent until so many bytes have come.
func (g *gatherer) setMark(bytes int) error {
	if bytes == g.mark {
		return nil
	}
	var failure error
	if err := g.raw.Control(func(fd uintptr) { failure = g.setMarkOf(fd, bytes) }); err != nil {
		return err
	}
	return os.NewSyscallError("setsockopt", failure)
}

func (g *gatherer) setMarkOf(fd uintptr, bytes int) error {
	err := unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVLOWAT, bytes)
	if err == nil {
		g.mark = bytes
	}
	return err
}
