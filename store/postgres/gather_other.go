//go:build !linux

package postgres

import (
	"errors"
	"time"
)

const canGather = false

func waitFor(uintptr, time.Duration) bool { return false }

func setLowWater(uintptr, int) error { return errors.ErrUnsupported }
