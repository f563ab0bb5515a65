package postgres

import (
	"net"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pupwasm/pupwasm/internal/pgtest"
)

// TestSocket_unansweredDataEndsTheConnection looks at what the kernel was told, since a proxy acknowledges what it
// swallows.
func TestSocket_unansweredDataEndsTheConnection(t *testing.T) {
	t.Parallel()
	s, err := Open(pgtest.New(t).DSN, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	conn, err := s.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	socket := conn.Conn().PgConn().Conn().(*watchedConn).Conn.(*net.TCPConn)
	raw, err := socket.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	check := func(option int, want int) {
		t.Helper()
		var got int
		var failed error
		if err := raw.Control(func(fd uintptr) {
			got, failed = unix.GetsockoptInt(int(fd), syscall.IPPROTO_TCP,
				option)
		}); err != nil || failed != nil {
			t.Fatal(err, failed)
		}
		if got != want {
			t.Errorf("option %d is %d, must be %d", option, got, want)
		}
	}
	check(unix.TCP_USER_TIMEOUT, int(unansweredMax.Milliseconds()))
	check(unix.TCP_KEEPIDLE, int(keepAlive.Idle.Seconds()))
	check(unix.TCP_KEEPINTVL, int(keepAlive.Interval.Seconds()))
	check(unix.TCP_KEEPCNT, keepAlive.Count)
}
