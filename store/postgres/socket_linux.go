package postgres

import (
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// limitUnanswered bounds how long sent data may stay without an acknowledgement; without it the kernel tries for a
// quarter of an hour.
func limitUnanswered(network, _ string, conn syscall.RawConn) error {
	if !strings.HasPrefix(network, "tcp") {
		return nil
	}
	var err error
	control := conn.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(unansweredMax.Milliseconds()))
	})
	if control != nil {
		return control
	}
	return err
}
