package postgres

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const canGather = true

// waitFor tells whether a socket has something to read, as much as setLowWater asks for, at the latest after patience. A signal ends
// the wait early.
func waitFor(fd uintptr, patience time.Duration) bool {
	ready, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(patience.Milliseconds()))
	return err == nil && ready > 0
}

// setLowWater has a socket have nothing to read until so many bytes have come.
func setLowWater(fd uintptr, bytes int) error {
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVLOWAT, bytes))
}
