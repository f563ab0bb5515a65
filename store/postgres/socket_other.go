//go:build !linux

package postgres

import "syscall"

// limitUnanswered does nothing: keepalive alone bounds the wait here.
func limitUnanswered(string, string, syscall.RawConn) error { return nil }
